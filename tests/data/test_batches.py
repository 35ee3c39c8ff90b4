from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from musicllm.data.batches import (
    MicroBatch,
    StepBatches,
    collate,
    row_order,
    steps_per_epoch,
)
from musicllm.data.documents import Documents
from musicllm.data.rows import Row, RowStore
from tests.rows import write_rows


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    """Eleven rows; row i holds the tokens 100 i, 100 i + 1, ... of one document of i % 3 + 2."""
    lengths = [i % 3 + 2 for i in range(11)]
    documents = Documents(
        np.concatenate([100 * i + np.arange(n) for i, n in enumerate(lengths)]).astype(np.int32),
        np.ones(sum(lengths), np.bool_),
        np.cumsum([0, *lengths]),
    )
    return write_rows(tmp_path / "rows", documents, "single", max_length=8)


def batches(store: RowStore, rows_per_device: int = 4, **settings: int) -> StepBatches:
    chosen = {"seed": 7, "num_steps": 6, **settings}
    return StepBatches(store, rows_per_step=4, rows_per_device=rows_per_device, **chosen)


def rows_in(batch: MicroBatch) -> list[int]:
    return (batch["input_ids"][0][batch["position_ids"][0] == 0] // 100).tolist()


def joined(parts: Iterable[list[int]]) -> list[int]:
    return list(chain.from_iterable(parts))


def same(left: MicroBatch, right: MicroBatch) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(torch.as_tensor(left[key]), torch.as_tensor(right[key])) for key in left
    )


def test_collate_by_hand() -> None:
    first = Row(
        np.array([5, 6, 7, 8, 9], np.int32),
        np.array([0, 1, 0, 1, 1], np.bool_),
        np.array([2, 3], np.int32),
        np.array([0, 0], np.int16),
    )
    second = Row(
        np.array([3, 4], np.int32),
        np.array([0, 1], np.bool_),
        np.array([2], np.int32),
        np.array([1], np.int16),
    )

    batch = collate([first, second], num_supervised_in_step=40)

    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 3, 4]]
    assert batch["position_ids"].tolist() == [[0, 1, 0, 1, 2, 0, 1]]
    assert batch["labels"].tolist() == [[-100, 6, -100, 8, 9, -100, 4]]
    assert batch["cu_seq_lens"].tolist() == [0, 2, 5, 7]
    assert batch["document_sources"].tolist() == [0, 0, 1]
    assert batch["num_supervised_in_step"] == 40
    assert batch["document_sources"].dtype == torch.int64
    assert batch["input_ids"].dtype == batch["position_ids"].dtype == torch.int64
    assert batch["labels"].dtype == torch.int64
    assert batch["cu_seq_lens"].dtype == torch.int32


def test_order_is_a_permutation_that_depends_on_seed_and_epoch() -> None:
    orders = {tuple(row_order(50, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}

    assert len(orders) == 4
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_order_never_changes_between_versions() -> None:
    # a checkpoint of an earlier version must find the same rows; never update these numbers
    assert row_order(10, seed=42, epoch=0).tolist() == [0, 1, 4, 2, 6, 8, 5, 9, 7, 3]


def test_an_epoch_reads_every_row_once_and_ends_with_a_smaller_step(store: RowStore) -> None:
    assert steps_per_epoch(11, 4) == 3
    epoch = [rows_in(batch) for batch in batches(store, num_steps=3)]

    assert [len(step) for step in epoch] == [4, 4, 3]
    assert sorted(joined(epoch)) == list(range(11))
    assert joined(epoch) == row_order(11, 7, 0).tolist()


def test_the_next_epoch_has_another_order(store: RowStore) -> None:
    run = [rows_in(batch) for batch in batches(store, num_steps=6)]

    assert joined(run[3:]) == row_order(11, 7, 1).tolist()


def test_the_denominator_is_that_of_the_step(store: RowStore) -> None:
    # a document of n tokens has n - 1 supervised ones
    for batch in batches(store, num_steps=3):
        expected = sum(row % 3 + 1 for row in rows_in(batch))
        assert batch["num_supervised_in_step"] == expected == int((batch["labels"] >= 0).sum())


@pytest.mark.parametrize(
    ("rows_per_device", "world_size"), [(4, 1), (2, 1), (1, 1), (2, 2), (1, 2)]
)
def test_steps_do_not_depend_on_micro_batches_and_ranks(
    store: RowStore, rows_per_device: int, world_size: int
) -> None:
    ranks = [
        batches(store, rows_per_device, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    accumulation = 4 // (rows_per_device * world_size)
    whole = list(batches(store))

    assert {len(rank) for rank in ranks} == {6 * accumulation}
    for step, expected in enumerate(whole):
        micros = [
            rank[step * accumulation + micro] for micro in range(accumulation) for rank in ranks
        ]
        filled = [micro for micro in micros if (micro["labels"] >= 0).any()]
        assert joined(map(rows_in, filled)) == rows_in(expected)
        assert {micro["num_supervised_in_step"] for micro in micros} == {
            expected["num_supervised_in_step"]
        }


def test_a_micro_batch_without_rows_holds_one_token_without_a_label(store: RowStore) -> None:
    # the third step has three rows for four ranks
    idle = batches(store, 1, rank=3, world_size=4)[2]

    assert idle["input_ids"].shape == (1, 1)
    assert idle["labels"].tolist() == [[-100]]
    assert idle["cu_seq_lens"].tolist() == [0, 1]
    assert idle["num_supervised_in_step"] > 0


@pytest.mark.parametrize("start_step", [1, 2, 3, 5])
def test_resuming_continues_the_same_run(store: RowStore, start_step: int) -> None:
    whole = list(batches(store, 2))

    resumed = list(batches(store, 2, start_step=start_step))

    assert len(resumed) == len(whole) - 2 * start_step
    assert all(map(same, resumed, whole[2 * start_step :]))


def test_workers_do_not_change_the_batches(store: RowStore) -> None:
    loader = DataLoader(
        batches(store, 2), batch_size=None, num_workers=2, multiprocessing_context="fork"
    )

    assert all(map(same, loader, batches(store, 2)))


def test_rows_that_do_not_divide_are_our_own_bug(store: RowStore) -> None:
    with pytest.raises(AssertionError, match="4 rows a step are not a multiple of 1 ranks x 3"):
        batches(store, 3)
