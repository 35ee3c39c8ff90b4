"""The disk space of a run: checkpoints and result."""

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
        checkpoint: of one checkpoint.
        num_checkpoints: at a time, including the one that is being written.
        artifact: of the resulting adapter or model.
        free: on the disk of `paths.runs`.
    """

    checkpoint: int
    num_checkpoints: int
    artifact: int
    free: int

    @property
    def needed(self) -> int:
        """Sum of checkpoints and artifact."""
        return self.checkpoint * self.num_checkpoints + self.artifact

    def refuse(self, runs: Path, *, reused: int = 0) -> None:
        """Raise if the disk is too small.

        Args:
            runs: the folder of runs.
            reused: bytes of checkpoints that an earlier start of the run left there.

        Raises:
            StageError: with needed and free space, and what to change.
        """
        if self.needed <= self.free + reused:
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
    """Return the disk space of a run.

    A checkpoint has the trained parameters and the optimizer state in float32, 12 bytes a parameter
    with AdamW. An adapter is stored in float32, a whole model in its own dtype. PiSSA keeps its
    start and stores twice the rank.

    Args:
        size: of model and adapter.
        adapter: what is trained.
        dtype: of a model that is trained whole.
        optimizer: its name.
        num_kept: checkpoints that are kept.
        num_steps: of the run; there is at most one checkpoint for each.
        runs: the folder of the runs; it need not exist.
    """
    bytes_per_parameter = BYTES[dtype] if adapter.kind == "full" else FLOAT32
    state = OPTIMIZERS[optimizer].state_bytes(size.num_trainable, size.num_hidden)
    pissa = 2 * FLOAT32 * size.num_hidden if adapter.init == "pissa" else 0
    folder = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.exists())
    return Disk(
        checkpoint=FLOAT32 * size.num_trainable + state + SMALL_FILES,
        num_checkpoints=min(num_kept + 1, num_steps),
        artifact=bytes_per_parameter * size.num_trainable + pissa + SMALL_FILES,
        free=shutil.disk_usage(folder).free,
    )
