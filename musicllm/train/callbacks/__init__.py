"""Callbacks of training: observers of optimizer steps, one module for each kind.

`train.driver` finishes every optimizer step and calls the observers in the order of `ORDER`. A kind
checks its settings and builds its observer. A kind of the user's own is registered by a file of
`extensions`, and enabled by `callbacks.extra.<name>={kind: <name of the kind>, ...}`. Importing a
kind imports neither torch nor Lightning, since `checks` uses the kinds, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from musicllm.errors import Problem
from musicllm.registry import Registry
from musicllm.schema import CallbacksConfig, HardwareConfig, StrategyConfig
from musicllm.train.interruption import Interruption
from musicllm.train.loggers import OpenLogger
from musicllm.train.metrics import NAME, report  # `metrics` here is the module of that kind
from musicllm.train.plan import Plan
from musicllm.train.speed import StepClock, Totals
from musicllm.train.tunes import SampleTune, SampleWriter

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from musicllm.data.batches import StepBatches
    from musicllm.train.checkpoints import Checkpoint
    from musicllm.train.evaluation import Evaluation
    from musicllm.train.loading import TimedLoader
    from musicllm.train.module import CausalLMModule
    from musicllm.train.settings import FitSettings

Value = TypeVar("Value")

EXTRA = "extra"
ORDER = (
    "loss_scale", "metrics", "incidents", "progress", "samples", "evaluation", EXTRA, "checkpoints",
)  # fmt: skip
"""The order in which observers are called; `EXTRA` is the place of those of `callbacks.extra`.

`metrics` logs what `loss_scale` counted; a loss is checked after it was logged and before the model
is used or saved; a checkpoint is saved when everything else in its step is done.
"""


@dataclass
class FitContext:
    """A training, as observers see it.

    Attributes:
        folder: the run folder.
        identities: of the job, and of its earlier, shorter versions.
        plan: batches and steps.
        settings: what happens during the run.
        batches: assignment of rows to steps.
        loader: of the training batches.
        loggers: of Lightning, with their kinds; none on ranks other than 0.
        restored: the checkpoint from which the run continues, or None.
        write_samples: samples tunes from the model; None without samples.
        evaluation: benchmarks during the run, or None.
        interruption: signals that request a stop.
        exits: context managers that are closed with the training.
        clock: seconds of steps; paused by everything that is not part of a step.
        totals: work of this process.
        observers: in the order of `ORDER`.
        trainer: Lightning's; set when training starts.
        module: with the model; set when training starts.
        current_step: number of the step that is being computed.
        num_supervised: supervised tokens of the last finished step, over all ranks.
        is_over: whether training ends with this step, although the plan has more; all ranks ask,
            and get the same answer.
    """

    folder: Path
    identities: tuple[str, ...]
    plan: Plan
    settings: FitSettings
    batches: StepBatches
    loader: TimedLoader
    loggers: list[OpenLogger]
    restored: Checkpoint | None
    write_samples: SampleWriter | None
    evaluation: Evaluation | None
    interruption: Interruption
    exits: ExitStack
    clock: StepClock = field(default_factory=StepClock)
    totals: Totals = field(default_factory=Totals)
    observers: list[Observer] = field(default_factory=list)
    trainer: Trainer = field(init=False)
    module: CausalLMModule = field(init=False)
    current_step: int = 0
    num_supervised: int = 0
    is_over: Callable[[int], bool] = field(default=lambda _step: False)

    @property
    def metrics_file(self) -> Path:
        """Path of metrics.jsonl."""
        return self.folder / NAME

    def report(self, step: int, values: Mapping[str, float]) -> None:
        """Write metrics to metrics.jsonl and the loggers, on rank 0."""
        if self.trainer.is_global_zero:
            report(self.metrics_file, step, values, self.trainer.loggers)

    def show_tunes(self, step: int, tunes: list[SampleTune]) -> None:
        """Display tunes in the loggers that can."""
        for kind, logger in self.loggers:
            kind.show_tunes(logger, step, tunes)

    def require_good_steps(self) -> None:
        """Raise, as after a step, if the loss of a finished step was bad; waits for the loss."""
        for observer in self.observers:
            observer.judge(self)

    def stop_requested(self) -> bool:
        """Return whether any process received a signal; must be called by all ranks."""
        from musicllm.train import group

        return group.any_of(self.interruption.signal is not None)

    def from_main(self, make: Callable[[], Value]) -> Value:
        """Return the result of `make` on rank 0 on every rank; must be called by all ranks."""
        from musicllm.train import group

        return group.from_main(make)

    def barrier(self) -> None:
        """Wait for all ranks."""
        from musicllm.train import group

        group.barrier()


class Observer:
    """Hooks into the optimizer steps of a training, on every rank; none has to be overridden."""

    def start(self, context: FitContext) -> None:
        """Called once, when model and optimizer are on their device."""

    def before_step(self, context: FitContext, finished: int) -> None:
        """Called before the first micro-batch of a step.

        Args:
            context: of the training.
            finished: number of finished steps, including the validation after the last.
        """

    def before_update(self, context: FitContext) -> None:
        """Called when the gradient of a step is complete, before it is clipped and applied."""

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Called after the update of a step.

        Args:
            context: of the training.
            step: number of finished steps, which counts from 1.
            is_last: it is the last step of the run.
        """

    def after_validation(self, context: FitContext) -> None:
        """Called after a validation, whose losses the module has."""

    def judge(self, context: FitContext) -> None:
        """Raise if a finished step was bad."""

    def values(self) -> Mapping[str, float]:
        """Return metrics for the line of the step in metrics.jsonl."""
        return {}

    def end(self, context: FitContext) -> None:
        """Called once after the last step and its validation."""

    def failed(self, context: FitContext) -> None:
        """Called when training ends by an exception, before it is raised."""


class CallbackKind(ABC):
    """A kind of observer.

    Attributes:
        name: in `ORDER`, or `kind` of an entry of `callbacks.extra`.
    """

    name: ClassVar[str]

    @abstractmethod
    def build(self, context: FitContext, options: Mapping[str, Any]) -> Observer | None:
        """Return the observer, or None if the settings disable it.

        Args:
            context: of the training, without `trainer` and `module`.
            options: the entry of `callbacks.extra`; empty for kinds of `ORDER`.
        """

    def problems(
        self, callbacks: CallbacksConfig, hardware: HardwareConfig, strategy: StrategyConfig
    ) -> Iterator[Problem]:
        """Yield settings of a kind of `ORDER` that contradict each other."""
        del callbacks, hardware, strategy
        yield from ()

    def problems_of_options(self, key: str, options: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield problems of an entry of `callbacks.extra`.

        Args:
            key: of the entry, such as `callbacks.extra.mine`.
            options: the entry, without `kind`.
        """
        del key, options
        yield from ()


CALLBACKS: Registry[CallbackKind] = Registry("callback", __name__)


def observers(context: FitContext, *, without: Collection[str] = ()) -> list[Observer]:
    """Build the observers that the settings enable, in the order of `ORDER`.

    Args:
        context: of the training.
        without: names in `ORDER` that are not built.
    """
    extra = [entry for entry in context.settings.callbacks.extra.values() if "kind" in entry]
    built: list[Observer | None] = []
    for name in (name for name in ORDER if name not in without):
        if name == EXTRA:
            built += [CALLBACKS[entry["kind"]].build(context, _options(entry)) for entry in extra]
        else:
            built.append(CALLBACKS[name].build(context, {}))
    return [observer for observer in built if observer is not None]


def problems_of_extra(callbacks: CallbacksConfig) -> Iterator[Problem]:
    """Yield entries of `callbacks.extra` that name neither a class nor a kind of the user's own."""
    own = [name for name in CALLBACKS if name not in ORDER]
    for name, entry in callbacks.extra.items():
        key = f"callbacks.extra.{name}"
        if ("kind" in entry) == ("_target_" in entry):
            rule = "must name either a Lightning callback by _target_ or a kind of your own by kind"
            yield Problem(key, entry, rule)
        elif "kind" in entry and entry["kind"] not in own:
            rule = f"must be one of {', '.join(own) or 'those that extensions=[...] registers'}"
            yield Problem(f"{key}.kind", entry["kind"], rule)
        elif "kind" in entry:
            yield from CALLBACKS[entry["kind"]].problems_of_options(key, _options(entry))


def _options(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "kind"}
