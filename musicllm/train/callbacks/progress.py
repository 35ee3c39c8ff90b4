"""The progress bar, with the loss beside it; on a GPU that of the step before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from musicllm import console
from musicllm.launch import ranks
from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer


class Progress(Observer):
    """Advances the bar after every step."""

    def __init__(self, advance: console.Advance) -> None:
        """Advance by `advance`, which `console.progress` returns."""
        self._advance = advance

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Advance the bar by a step."""
        del step, is_last
        reading, validation_loss = context.module.readings.settled, context.module.validation_loss
        notes = [] if reading is None else [f"loss {reading.loss:.3f}"]
        if math.isfinite(validation_loss):
            notes.append(f"validation {validation_loss:.3f}")
        self._advance(note=", ".join(notes))


class ProgressKind(CallbackKind):
    """`callbacks.progress_bar`."""

    name = "progress"

    def build(self, context: FitContext, _options: Mapping[str, Any]) -> Observer | None:
        """See `CallbackKind`."""
        if not (context.settings.callbacks.progress_bar and ranks.is_main()):
            return None
        start_step = 0 if context.restored is None else context.restored.step
        bar = console.progress("training", context.plan.num_steps - start_step)
        return Progress(context.exits.enter_context(bar))


PROGRESS = CALLBACKS.register(ProgressKind())
