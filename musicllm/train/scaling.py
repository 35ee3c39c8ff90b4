"""fp16's loss scale as a run sees it: its value, and the steps that it made empty.

A gradient that does not fit into fp16 costs a step: no update is made and the scale is halved,
which is how the scale finds its place (mixed precision training, arXiv 1710.03740). A run whose
every step ends so learns nothing, and is stopped. Who moves the scale is torch's scaler, or
`zero.LossScale` under DeepSpeed.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from musicllm.data.batches import MicroBatch
from musicllm.errors import StageError
from musicllm.train.module import CausalLMModule


def loss_scale(trainer: Trainer) -> float | None:
    """Return the factor in front of the loss, or None where the precision needs none.

    On a GPU this waits for the device, which torch's scaler does after every step anyway.
    """
    plugin = trainer.precision_plugin
    scaler = getattr(plugin, "scaler", None)
    if scaler is not None:
        return float(scaler.get_scale())
    scale = getattr(plugin, "loss_scale", None)
    return None if scale is None else float(scale.value)


class SkippedSteps(Callback):  # type: ignore[misc]
    """Counts steps that the loss scale made empty; stops a run that makes no others.

    It must stand before `Metrics`, which takes its values into each line.
    """

    def __init__(self, *, most_in_a_row: int) -> None:
        """Watch a run; more empty steps than `most_in_a_row` without another between stop it."""
        self._most_in_a_row = most_in_a_row
        self._scale: float | None = None
        self._in_a_row = 0
        self._since_last_line = 0

    def on_train_batch_start(
        self, trainer: Trainer, _module: CausalLMModule, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Note the scale of the first step, which a checkpoint may have brought."""
        if batch_idx == 0:
            self._scale = loss_scale(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, module: CausalLMModule, _: Any, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Look whether the scale was halved.

        Raises:
            StageError: too often in a row.
        """
        step = module.finished_steps(batch_idx + 1)
        if step is None or self._scale is None:
            return
        before, self._scale = self._scale, loss_scale(trainer)
        assert self._scale is not None, "the loss scale went away during the run"
        if self._scale >= before:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._since_last_line += 1
        if self._in_a_row > self._most_in_a_row:
            raise StageError(
                f"the last {self._in_a_row} steps up to step {step} changed nothing: their "
                f"gradients do not fit into fp16, with a loss scale that has come down to "
                f"{self._scale:g}; use hardware.precision=bf16 where the device has it or fp32, "
                f"or a lower optimizer.lr and a longer warm-up; callbacks.max_skipped_steps="
                f"{self._most_in_a_row} is how many are allowed in a row"
            )

    def values(self) -> dict[str, float]:
        """Return the scale and the steps skipped since this was last asked; nothing without one."""
        if self._scale is None:
            return {}
        skipped, self._since_last_line = self._since_last_line, 0
        return {"train/loss_scale": self._scale, "train/skipped_steps": float(skipped)}
