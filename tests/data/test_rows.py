from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from musicllm.data.packing import single
from musicllm.data.rows import RowBatch, RowStore, finish, write_shard
from musicllm.errors import ArtifactError
from tests.rows import make_documents, write_rows


def two_rows() -> RowBatch:
    # 10 11 12 of source 0 | 20 21 of source 2 || 30 31 32 33 of source 0, 31 not supervised
    return RowBatch(
        np.array([10, 11, 12, 20, 21, 30, 31, 32, 33], np.int32),
        np.array([0, 1, 1, 0, 1, 0, 0, 1, 1], np.bool_),
        np.array([3, 2, 4], np.int32),
        np.array([0, 2, 0], np.int16),
        np.array([0, 2, 3], np.int64),
    )


def row_of(*tokens: int) -> RowBatch:
    supervised = np.arange(len(tokens)) > 0
    lengths, source = np.array([len(tokens)], np.int32), np.zeros(1, np.int16)
    return RowBatch(np.array(tokens, np.int32), supervised, lengths, source, np.array([0, 1]))


def test_rows_come_back_from_disk(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [two_rows()])
    finish(tmp_path)
    store = RowStore(tmp_path)

    assert len(store) == 2
    assert store.num_tokens.tolist() == [5, 4]
    assert store.num_supervised.tolist() == [3, 2]
    assert store.num_tokens.dtype == store.num_supervised.dtype == np.int64
    assert store.row(0).input_ids.tolist() == [10, 11, 12, 20, 21]
    assert store.row(0).document_lengths.tolist() == [3, 2]
    assert store.row(0).source.tolist() == [0, 2]
    assert store.row(1).supervised.tolist() == [False, False, True, True]
    assert store.row(1).input_ids.dtype == np.int32
    assert store.row(1).supervised.dtype == np.bool_


def test_a_shard_says_what_it_holds(tmp_path: Path) -> None:
    facts = write_shard(tmp_path / "rows", 3, [two_rows(), row_of(7, 8)])

    path = tmp_path / "rows" / "shard-00003.arrow"
    assert facts.name == path.name
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts.num_rows, facts.num_tokens, facts.num_supervised) == (3, 11, 6)
    assert facts.tokens_by_source == [9, 0, 2]
    assert facts.supervised_by_source == [5, 0, 1]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_shard(tmp_path / "first", 0, [two_rows(), row_of(7, 8)])
    second = write_shard(tmp_path / "second", 0, [two_rows(), row_of(7, 8)])

    assert first == second
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_a_shard_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    def broken():
        yield two_rows()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_shard(tmp_path, 0, broken())

    assert list(tmp_path.iterdir()) == []


def test_rows_are_found_across_shards_and_batches(tmp_path: Path) -> None:
    write_shard(tmp_path, 1, [row_of(6, 7, 8)])
    write_shard(tmp_path, 0, [row_of(1, 2), two_rows(), row_of(4, 5)])
    finish(tmp_path)

    store = RowStore(tmp_path)
    assert [store.row(index).input_ids[-1] for index in range(5)] == [2, 21, 33, 5, 8]
    assert store.num_tokens.tolist() == [2, 5, 4, 2, 3]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["index.npz", "shard-00000.arrow", "shard-00001.arrow"]


def test_documents_become_rows(tmp_path: Path) -> None:
    documents = make_documents([1, 2, 3], [4, 5, 6, 7], [8, 9])

    store = write_rows(tmp_path / "rows", documents, "pack", 5, source=[0, 1, 0])

    # 4 opens a row, 3 another one, 2 fits the latter
    assert store.row(0).input_ids.tolist() == [1, 2, 3, 8, 9]
    assert store.row(1).input_ids.tolist() == [4, 5, 6, 7]
    assert store.row(1).source.tolist() == [1]
    assert store.num_supervised.tolist() == [3, 3]


def test_a_pickled_store_opens_its_files_again(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [two_rows()])
    finish(tmp_path)

    store = pickle.loads(pickle.dumps(RowStore(tmp_path)))

    assert store.row(1).input_ids.tolist() == [30, 31, 32, 33]


def test_an_empty_split_has_no_rows(tmp_path: Path) -> None:
    assert single(np.zeros(0, np.int64), 5).num_rows == 0

    finish(tmp_path / "none")
    write_shard(tmp_path / "empty", 0, [])
    finish(tmp_path / "empty")

    assert len(RowStore(tmp_path / "none")) == 0
    assert len(RowStore(tmp_path / "empty")) == 0


def test_a_folder_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no rows: it has no index\.npz"):
        RowStore(tmp_path)


def test_a_missing_shard_is_an_error(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [two_rows()])
    finish(tmp_path)
    (tmp_path / "shard-00000.arrow").unlink()

    with pytest.raises(ArtifactError, match=r"holds 0 rows, but its index\.npz lists 2"):
        RowStore(tmp_path)
