"""Bad losses: detected, recorded with their rows, and handled by a policy.

A loss is bad when it, or outside fp16 the gradient's norm, is not finite, or when it is far above
the median of the last lines of metrics.jsonl. The policies: `stop` ends the run; `skip` skips the
update, for which every step waits for its loss before the update; `roll_back` returns to the last
checkpoint and leaves the step out, for which the caller of the training catches `RollBack`. For the
files of an incident see `records`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from musicllm import console
from musicllm.errors import Problem, StageError
from musicllm.schema import CallbacksConfig, HardwareConfig, StrategyConfig
from musicllm.train import metrics
from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer
from musicllm.train.callbacks.loss_scale import loss_scale

if TYPE_CHECKING:
    from musicllm.train.module import CausalLMModule
    from musicllm.train.readings import Reading
    from musicllm.train.records import Records

ADVICE = "a lower optimizer.lr, a longer warm-up, or bf16 instead of fp16 usually helps"


class RollBack(Exception):  # noqa: N818 - a request, not an error
    """A request to continue from the last checkpoint before a step, without that step.

    Attributes:
        step: with the bad loss; `records.left_out_steps` contains it from now on.
    """

    def __init__(self, step: int) -> None:
        """Set the message."""
        super().__init__(f"roll back to before step {step}")
        self.step = step


def fault(
    policy: CallbacksConfig, loss: float, grad_norm: float, logged: Sequence[float]
) -> str | None:
    """Return what is wrong with a step, or None.

    Args:
        policy: with `loss_spike_factor` and `loss_spike_window`.
        loss: of the step, in nats.
        grad_norm: of the step, before clipping.
        logged: finite losses of earlier lines, the newest last.
    """
    if not math.isfinite(loss):
        return f"is {loss}"
    if not math.isfinite(grad_norm):
        return f"is {loss:.4g}, but the norm of its gradient is {grad_norm}"
    window = logged[-policy.loss_spike_window :]
    if policy.loss_spike_factor is None or len(window) < policy.loss_spike_window:
        return None
    usual = median(window)
    if loss <= policy.loss_spike_factor * usual:
        return None
    factor = f"callbacks.loss_spike_factor={policy.loss_spike_factor:g}"
    return f"is {loss:.4g}, more than {factor} times the usual {usual:.4g}"


class Incidents(Observer):
    """Checks the loss of every step.

    With `skip` a loss is read before the update. Otherwise it is read after the step, and on a GPU
    one step later, to avoid a sync; but immediately before a checkpoint and at the end.
    """

    def __init__(self, records: Records) -> None:
        """Start without losses."""
        self._records = records
        self._logged: list[float] = []
        self._last_judged = 0

    def start(self, context: FitContext) -> None:
        """Read the losses logged by earlier processes."""

        def losses() -> list[float]:
            values = (line.get("train/loss") for line in metrics.read(context.metrics_file))
            window = context.settings.callbacks.loss_spike_window
            return [loss for loss in values if loss is not None][-window:]

        self._last_judged = context.module.start_step
        self._logged = context.from_main(losses)

    def before_update(self, context: FitContext) -> None:
        """With `skip`, check the loss before the update.

        Raises:
            StageError: it is bad, and there were too many incidents.
        """
        policy, module = context.settings.callbacks, context.module
        if policy.on_bad_loss == "skip":
            loss = float(module.totals_of_step()[0])
            norm = 0.0 if loss_scale(context.trainer) else _gradient_norm(module)
            if what := fault(policy, loss, norm, self._logged):
                self._act(context, context.current_step, loss, what)
                module.skip_step()

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Check the losses that can be read without a sync, or all before a checkpoint.

        Raises:
            StageError: a loss is bad, and the policy is `stop`, or there were too many incidents.
            RollBack: a loss is bad, and the policy is `roll_back`.
        """
        if step % context.settings.training.checkpoint_every_steps == 0 or is_last:
            self.judge(context)
        else:
            self._judge(context, context.module.readings.settled)

    def judge(self, context: FitContext) -> None:
        """Check all finished steps now, such as before saving; raises as `after_step`."""
        self._judge(context, context.module.readings.settled)
        self._judge(context, context.module.readings.newest)

    def _judge(self, context: FitContext, reading: Reading | None) -> None:
        if reading is None or reading.step <= self._last_judged:
            return
        policy = context.settings.callbacks
        self._last_judged = reading.step
        norm = 0.0 if loss_scale(context.trainer) else reading.grad_norm
        what = fault(policy, reading.loss, norm, self._logged)
        is_logged = reading.step % context.settings.training.log_every_steps == 0
        if is_logged and math.isfinite(reading.loss):
            self._logged.append(reading.loss)
        if what and policy.on_bad_loss != "skip":
            self._act(context, reading.step, reading.loss, what)

    def _act(self, context: FitContext, step: int, loss: float, what: str) -> None:
        """Follow the policy, in the same way on every rank."""
        policy, message = context.settings.callbacks, f"the loss of step {step} {what}"
        num_incidents = context.from_main(
            lambda: self._record(policy.on_bad_loss, step, loss, message)
        )
        path = self._records.path(step)
        if num_incidents > policy.max_incidents:
            raise StageError(
                f"{message}; that is incident {num_incidents} of this run, and "
                f"callbacks.max_incidents={policy.max_incidents} are allowed; {path.parent} lists "
                f"the rows of each; {ADVICE}"
            )
        if policy.on_bad_loss == "stop":
            raise StageError(
                f"{message}; its rows of the training split are listed in {path}; {ADVICE}, and "
                f"callbacks.on_bad_loss=roll_back, in a run of its own, leaves these rows out"
            )
        if policy.on_bad_loss == "roll_back":
            raise RollBack(step)

    def _record(self, policy: str, step: int, loss: float, message: str) -> int:
        """Write the record, and return the number of incidents of this run."""
        num_incidents = self._records.write(step, loss, message, policy)
        if policy == "roll_back":
            self._records.leave_out(step)
        if policy != "stop":
            effect = {"skip": "it changes nothing", "roll_back": "going back to before it"}[policy]
            console.note(f"{message}; {effect}; its rows are listed in {self._records.path(step)}")
        return num_incidents


def _gradient_norm(module: CausalLMModule) -> float:
    from torch import nn

    gradients = [weight.grad for weight in module.model.parameters() if weight.grad is not None]
    return float(nn.utils.get_total_norm(gradients))


class IncidentsKind(CallbackKind):
    """`callbacks.on_bad_loss`, `loss_spike_factor`, `loss_spike_window` and `max_incidents`."""

    name = "incidents"

    def build(self, context: FitContext, _options: Mapping[str, Any]) -> Observer:
        """See `CallbackKind`."""
        from musicllm.train.records import Records

        return Incidents(Records(context.folder, context.batches, context.settings.source_names))

    def problems(
        self, callbacks: CallbacksConfig, hardware: HardwareConfig, strategy: StrategyConfig
    ) -> Iterator[Problem]:
        """Yield a policy that the strategy cannot follow."""
        if callbacks.on_bad_loss != "skip":
            return
        fix = "write roll_back or stop"
        if hardware.precision == "fp16":
            rule = "is not possible with hardware.precision=fp16: its loss scale decides on updates"
            yield Problem("callbacks.on_bad_loss", "skip", rule, fix)
        if strategy.kind == "deepspeed":
            rule = f"is not possible with strategy={strategy.name}: DeepSpeed updates by itself"
            yield Problem("callbacks.on_bad_loss", "skip", rule, fix)


INCIDENTS = CALLBACKS.register(IncidentsKind())
