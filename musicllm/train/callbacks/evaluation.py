"""The evaluation callback: benchmarks measured during training.

Rank 0, which must have the whole model, measures; the other ranks wait. For the measures see
`train.evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from musicllm.errors import Problem
from musicllm.schema import CallbacksConfig, HardwareConfig, StrategyConfig
from musicllm.train import metrics
from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer

if TYPE_CHECKING:
    from musicllm.train.evaluation import Evaluation


class Evaluations(Observer):
    """Measures before the first step, every `every_steps` steps, and after the last."""

    def __init__(self, evaluation: Evaluation) -> None:
        """Set the measures and their interval."""
        self._evaluation = evaluation

    def start(self, context: FitContext) -> None:
        """Measure the initial model, unless an earlier start of the run has done so."""
        if context.module.start_step == 0 and not context.from_main(lambda: _has_start(context)):
            self._evaluate(context, 0)

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Measure if it is due and no loss was bad."""
        if step % self._evaluation.every_steps == 0 or is_last:
            context.require_good_steps()
            self._evaluate(context, step)

    def _evaluate(self, context: FitContext, step: int) -> None:
        from musicllm.train.evaluation import measured

        trainer, module = context.trainer, context.module
        with context.clock.paused("evaluation"):
            if trainer.is_global_zero:
                with trainer.precision_plugin.val_step_context(), module.mixed():
                    values = measured(module.model, self._evaluation.measures)
                context.report(step, values)
            context.barrier()


def _has_start(context: FitContext) -> bool:
    from musicllm.train.evaluation import SECONDS

    return any(SECONDS in line for line in metrics.read(context.metrics_file) if line["step"] == 0)


class EvaluationKind(CallbackKind):
    """`callbacks.evaluate_every_steps` and `num_eval_questions`, with `benchmark`."""

    name = "evaluation"

    def build(self, context: FitContext, _options: Mapping[str, Any]) -> Observer | None:
        """See `CallbackKind`."""
        return None if context.evaluation is None else Evaluations(context.evaluation)

    def problems(
        self, callbacks: CallbacksConfig, _hardware: HardwareConfig, strategy: StrategyConfig
    ) -> Iterator[Problem]:
        """Yield evaluations of a partitioned model."""
        every = callbacks.evaluate_every_steps
        if every is not None and strategy.zero_stage == 3:
            rule = "needs whole weights on one device, which ZeRO 3 does not keep"
            yield Problem("callbacks.evaluate_every_steps", every, rule, "use zero2, or null")


EVALUATION = CALLBACKS.register(EvaluationKind())
