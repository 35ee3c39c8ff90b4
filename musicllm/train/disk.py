"""How much disk a run fills: its checkpoints and what it leaves behind."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from musicllm.errors import StageError
from musicllm.model.size import Size
from musicllm.model.spec import AdapterSpec
from musicllm.train.memory.activations import BYTES, FLOAT32
from musicllm.train.optimizers import OPTIMIZERS

SMALL_FILES = 5_000_000
"""Bytes of manifests, metrics, tokenizer and headers, at most."""


@dataclass(frozen=True)
class Disk:
    """Bytes on disk.

    Attributes:
        checkpoint: one of them.
        num_checkpoints: at a time, the one that is being written included.
        artifact: the adapter or the model that comes out.
        free: on the disk of `paths.runs`.
    """

    checkpoint: int
    num_checkpoints: int
    artifact: int
    free: int

    @property
    def needed(self) -> int:
        """All together."""
        return self.checkpoint * self.num_checkpoints + self.artifact

    def refuse(self, runs: Path, *, written: int = 0) -> None:
        """Raise if the disk is too small.

        Args:
            runs: the folder of runs.
            written: bytes of it that are there already, from an earlier start.

        Raises:
            StageError: with what is needed, what is there, and what to change.
        """
        if self.needed <= self.free + written:
            return
        raise StageError(
            f"{runs} has {self.free / 1e9:.1f} GB free, and this run writes up to "
            f"{self.needed / 1e9:.1f} GB: {self.num_checkpoints} checkpoints (one is being "
            f"written) of {self.checkpoint / 1e9:.2f} GB and a result of "
            f"{self.artifact / 1e9:.2f} GB; make room, write paths.runs=<folder on a larger disk>, "
            f"or keep fewer: training.keep_last_checkpoints, training.keep_best_checkpoints"
        )


def disk(
    size: Size,
    adapter: AdapterSpec,
    *,
    dtype: str,
    optimizer: str,
    num_kept: int,
    num_steps: int,
    runs: Path,
) -> Disk:
    """Return what a run needs.

    A checkpoint is the trained numbers and the optimizer's state in float32, 12 bytes a number with
    AdamW. An adapter is written in float32, a whole model in its own type.

    Args:
        size: of model and adapter.
        adapter: what is trained.
        dtype: of a model that is trained whole.
        optimizer: its name.
        num_kept: checkpoints that stay.
        num_steps: of the run; there is no more than a checkpoint for each.
        runs: the folder that holds the runs; it need not exist.
    """
    each = BYTES[dtype] if adapter.kind == "full" else FLOAT32
    state = OPTIMIZERS[optimizer].state_bytes(size.num_trainable, size.num_hidden)
    return Disk(
        checkpoint=FLOAT32 * size.num_trainable + state + SMALL_FILES,
        num_checkpoints=min(num_kept + 1, num_steps),
        artifact=each * size.num_trainable + SMALL_FILES,
        free=shutil.disk_usage(_existing(runs)).free,
    )


def _existing(folder: Path) -> Path:
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
