from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from musicllm.data import store as store_module
from musicllm.data.documents import Documents
from musicllm.data.packing import FORMERS, RowPlan
from musicllm.data.rows import RowBatch
from musicllm.data.store import BlockWriter, TokenStore, write_block
from musicllm.errors import ArtifactError
from tests.rows import make_documents

FIRST = make_documents([10, 11, 12], [20, 21])
SECOND = make_documents([30, 31, 32, 33], [40, 41, 42], unsupervised=[31, 41])


@pytest.fixture
def two_blocks(tmp_path: Path) -> TokenStore:
    write(tmp_path, "a", FIRST, [0, 1])
    write(tmp_path, "b", SECOND, [0, 2])
    return TokenStore(tmp_path, ["a", "b"])


def write(folder: Path, name: str, documents: Documents, source: Sequence[int]) -> None:
    kind = np.arange(len(source), dtype=np.int8) % 2
    write_block(folder, name, documents, np.array(source, np.int16), kind)


def plan_of(*rows: Sequence[tuple[int, int, int]]) -> RowPlan:
    pieces = np.array([piece for row in rows for piece in row], np.int64).reshape(-1, 3)
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return RowPlan(pieces[:, 0], pieces[:, 1], pieces[:, 2], offsets)


def only(store: TokenStore, plan: RowPlan, drawn: Sequence[int] = range(4)) -> RowBatch:
    (batch,) = store.read(plan, np.array(drawn))
    return batch


def test_the_store_knows_its_documents_without_reading_tokens(two_blocks: TokenStore) -> None:
    assert two_blocks.lengths.tolist() == [3, 2, 4, 3]
    assert two_blocks.num_supervised.tolist() == [2, 1, 2, 1]
    assert two_blocks.source.tolist() == [0, 1, 0, 2]
    assert two_blocks.kind.tolist() == [0, 1, 0, 1]
    assert two_blocks.lengths.dtype == two_blocks.num_supervised.dtype == np.int64


def test_a_row_keeps_its_documents_apart(two_blocks: TokenStore) -> None:
    batch = only(two_blocks, plan_of([(0, 0, 3), (3, 0, 3)], [(2, 0, 4)]))

    assert batch.input_ids.tolist() == [10, 11, 12, 40, 41, 42, 30, 31, 32, 33]
    assert batch.supervised.tolist() == [0, 1, 1, 0, 0, 1, 0, 0, 1, 1]
    assert batch.document_lengths.tolist() == [3, 3, 4]
    assert batch.source.tolist() == [0, 2, 0]
    assert batch.offsets.tolist() == [0, 2, 3]


def test_the_first_token_of_a_piece_is_not_supervised(two_blocks: TokenStore) -> None:
    batch = only(two_blocks, plan_of([(0, 1, 3)], [(2, 2, 4)]))

    assert batch.input_ids.tolist() == [11, 12, 32, 33]
    assert batch.supervised.tolist() == [0, 1, 0, 1]


def test_drawn_documents_stand_for_those_of_the_plan(two_blocks: TokenStore) -> None:
    # the plan's documents 0, 1, 2 are the store's 3, 1 and again 3
    batch = only(two_blocks, plan_of([(0, 0, 3), (1, 0, 2)], [(2, 1, 3)]), drawn=[3, 1, 3])

    assert batch.input_ids.tolist() == [40, 41, 42, 20, 21, 41, 42]
    assert batch.source.tolist() == [2, 1, 2]


def test_types_are_those_of_rows(two_blocks: TokenStore) -> None:
    batch = only(two_blocks, plan_of([(0, 0, 3)]))

    assert batch.input_ids.dtype == batch.document_lengths.dtype == np.int32
    assert batch.supervised.dtype == np.bool_
    assert batch.source.dtype == np.int16


def test_supervised_tokens_are_stored_only_where_they_say_something(
    tmp_path: Path, two_blocks: TokenStore
) -> None:
    names = sorted(path.name for path in tmp_path.iterdir())

    assert names == ["a.ids", "a.npy", "b.ids", "b.npy", "b.supervised"]


def test_a_block_of_several_batches_is_the_block_of_all(tmp_path: Path) -> None:
    block = BlockWriter(tmp_path, "both")
    block.add(FIRST, np.array([0, 1], np.int16), np.array([0, 1], np.int8))
    block.add(make_documents(), np.zeros(0, np.int16), np.zeros(0, np.int8))
    block.add(SECOND, np.array([0, 2], np.int16), np.array([0, 1], np.int8))
    assert not (tmp_path / "both.ids").exists()
    block.close()

    store = TokenStore(tmp_path, ["both"])
    assert store.num_supervised.tolist() == [2, 1, 2, 1]
    assert only(store, plan_of([(0, 0, 3), (2, 0, 4)])).supervised.tolist() == [0, 1, 1, 0, 0, 1, 1]


def test_a_first_token_that_is_marked_supervised_does_not_count(tmp_path: Path) -> None:
    marked = Documents(np.arange(3, dtype=np.int32), np.ones(3, np.bool_), np.array([0, 0, 1, 3]))
    write(tmp_path, "a", marked, [0, 0, 0])

    assert TokenStore(tmp_path, ["a"]).num_supervised.tolist() == [0, 0, 1]


def test_blocks_may_be_empty(tmp_path: Path) -> None:
    write(tmp_path, "a", make_documents(), [])
    write(tmp_path, "b", FIRST, [0, 1])
    write(tmp_path, "c", make_documents(), [])
    store = TokenStore(tmp_path, ["a", "b", "c"])

    assert only(store, plan_of([(1, 0, 2)])).input_ids.tolist() == [20, 21]
    assert len(TokenStore(tmp_path, []).lengths) == 0


@pytest.mark.parametrize("former", FORMERS)
@pytest.mark.parametrize("tokens_per_batch", [50, 1000])
def test_gathering_is_joining_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: str, tokens_per_batch: int
) -> None:
    monkeypatch.setattr(store_module, "TOKENS_PER_BATCH", tokens_per_batch)
    random = np.random.default_rng(0)
    lengths = random.integers(0, 90, 60)
    texts = np.split(random.integers(0, 99, lengths.sum()), np.cumsum(lengths)[:-1])
    for number in range(6):
        some = make_documents(*texts[10 * number : 10 * number + 10], unsupervised=range(number))
        write(tmp_path, str(number), some, [number] * 10)
    store = TokenStore(tmp_path, [str(number) for number in range(6)])
    drawn = random.integers(0, 60, 80)
    plan = FORMERS[former](store.lengths[drawn], 32)

    batches = list(store.read(plan, drawn))

    documents, ids, supervised = drawn[plan.document], [], []
    for document, start, stop in zip(documents, plan.start, plan.stop, strict=True):
        piece = texts[document][start:stop]
        ids += piece.tolist()
        supervised += [False, *(piece[1:] >= document // 10).tolist()]
    assert np.concatenate([batch.input_ids for batch in batches]).tolist() == ids
    assert np.concatenate([batch.supervised for batch in batches]).tolist() == supervised
    sources = np.concatenate([batch.source for batch in batches])
    assert sources.tolist() == (documents // 10).tolist()
    assert (len(batches) > 1) == (tokens_per_batch == 50 or plan.num_tokens.sum() > 1000)
    assert max(len(batch.input_ids) for batch in batches) <= tokens_per_batch


def test_a_file_that_was_cut_is_an_error(tmp_path: Path, two_blocks: TokenStore) -> None:
    path = tmp_path / "b.ids"
    path.write_bytes(path.read_bytes()[:-4])

    with pytest.raises(ArtifactError, match=r"b\.ids is shorter than its index says; delete"):
        only(two_blocks, plan_of([(3, 0, 3)]))


def test_a_joined_index_stands_for_those_of_the_blocks(
    tmp_path: Path, two_blocks: TokenStore
) -> None:
    plan = plan_of([(0, 0, 3), (3, 0, 3)])
    expected = only(two_blocks, plan)
    TokenStore(tmp_path, ["a", "b"], tmp_path / "index")
    for name in ("a.npy", "b.npy"):
        (tmp_path / name).unlink()

    again = TokenStore(tmp_path, ["a", "b"], tmp_path / "index")

    assert again.num_supervised.tolist() == two_blocks.num_supervised.tolist()
    assert only(again, plan).input_ids.tolist() == expected.input_ids.tolist()
    assert only(again, plan).supervised.tolist() == expected.supervised.tolist()


def test_a_joined_index_may_be_empty(tmp_path: Path) -> None:
    TokenStore(tmp_path, [], tmp_path / "index")

    assert TokenStore(tmp_path, [], tmp_path / "index").lengths.tolist() == []
