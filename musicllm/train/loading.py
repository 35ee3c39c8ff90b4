"""The data loader, with the time spent waiting for it, and the validation batches.

The assignment of rows to batches is that of `musicllm.data.batches`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from torch.utils.data import DataLoader

from musicllm.data.batches import MicroBatch, StepBatches, steps_per_epoch
from musicllm.data.rows import RowStore
from musicllm.train.interruption import SIGNALS

VALIDATION_ORDER = 0
"""Seed of the order of validation rows, the same for all runs."""


class TimedLoader:
    """A data loader that measures how long its consumer waits.

    Attributes:
        wait_s: seconds spent waiting since the start.
    """

    def __init__(self, batches: StepBatches, num_workers: int) -> None:
        """Wrap the batches of one rank.

        Args:
            batches: read from the first to the last.
            num_workers: processes that read ahead; 0 reads in this one.
        """
        self._loader = DataLoader(
            batches, batch_size=None, num_workers=num_workers, worker_init_fn=_ignore_signals
        )
        self.wait_s = 0.0

    def __len__(self) -> int:
        """Return the number of micro-batches."""
        return len(self._loader)

    def __iter__(self) -> Iterator[MicroBatch]:
        """Yield the micro-batches."""
        batches = iter(self._loader)
        while True:
            started = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.wait_s += time.perf_counter() - started
            yield batch


def _ignore_signals(_worker: int) -> None:
    """Leave signals to the main process: Slurm and terminals send them to all processes."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def validation_batches(
    store: RowStore, *, num_rows: int | None, rows_per_device: int, rank: int, world_size: int
) -> StepBatches:
    """Return the validation rows of one rank, every row once.

    Args:
        store: the validation split.
        num_rows: rows to use, rounded up to whole batches over all ranks; None for all.
        rows_per_device: rows of a micro-batch.
        rank: of this process.
        world_size: number of processes.
    """
    rows_per_step = rows_per_device * world_size
    used = len(store) if num_rows is None else min(num_rows, len(store))
    return StepBatches(
        store,
        rows_per_step=rows_per_step,
        rows_per_device=rows_per_device,
        seed=VALIDATION_ORDER,
        num_steps=steps_per_epoch(used, rows_per_step),
        rank=rank,
        world_size=world_size,
    )
