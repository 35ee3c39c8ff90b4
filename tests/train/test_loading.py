from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

from musicllm.data.batches import MicroBatch, StepBatches
from musicllm.data.rows import RowStore
from musicllm.train.interruption import SIGNALS
from musicllm.train.loading import TimedLoader, validation_batches


def test_waiting_is_measured_and_working_is_not(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("musicllm.train.loading.time.perf_counter", lambda: now[0])

    class SlowBatches(StepBatches):
        def __getitem__(self, index: int) -> MicroBatch:
            now[0] += 2
            return super().__getitem__(index)

    batches = SlowBatches(store, rows_per_step=2, rows_per_device=1, seed=0, num_steps=2)
    loader = TimedLoader(batches, 0)
    for _ in loader:
        now[0] += 5
    assert len(loader) == 4
    assert loader.wait_s == 4 * 2


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("rows_per_device", [1, 2])
def test_every_validation_row_is_used_once(
    store: RowStore, rows_per_device: int, world_size: int
) -> None:
    tokens = sum(
        int((batch["labels"] >= 0).sum())
        for rank in range(world_size)
        for batch in TimedLoader(
            validation_batches(
                store,
                num_rows=None,
                rows_per_device=rows_per_device,
                rank=rank,
                world_size=world_size,
            ),
            0,
        )
    )
    assert tokens == store.num_supervised.sum()


def test_fewer_validation_rows_are_whole_batches_of_the_same_rows(store: RowStore) -> None:
    few = validation_batches(store, num_rows=3, rows_per_device=2, rank=0, world_size=1)
    more = validation_batches(store, num_rows=8, rows_per_device=2, rank=0, world_size=1)
    assert len(few) == 2, "three rows, rounded up to two batches of two"
    assert len(more) == 4
    assert few.rows_of_step(1).tolist() == more.rows_of_step(1).tolist()
    every = validation_batches(store, num_rows=1000, rows_per_device=2, rank=0, world_size=1)
    assert len(every) == -(-len(store) // 2)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_do_not_reach_data_workers(store: RowStore, number: signal.Signals) -> None:
    """Slurm and terminals send them to every process, and the training is about to save."""
    batches = StepBatches(store, rows_per_step=1, rows_per_device=1, seed=0, num_steps=8)
    reading = iter(TimedLoader(batches, 1))
    next(reading)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid or 0, number)
    assert len(list(reading)) == 7
