from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from musicllm.data import rows
from musicllm.data.packing import Piece
from musicllm.data.rows import Documents, RowStore
from musicllm.errors import ArtifactError


def three_documents() -> Documents:
    # tokens 10 11 12 | 20 21 | 30 31 32 33; the second document supervises its last token alone
    return Documents(
        np.array([10, 11, 12, 20, 21, 30, 31, 32, 33], np.int32),
        np.array([0, 1, 1, 0, 1, 0, 1, 1, 1], np.bool_),
        np.array([0, 3, 5, 9], np.int64),
        np.array([0, 1, 0], np.int16),
    )


def test_a_row_keeps_its_documents_apart() -> None:
    row = three_documents().row([Piece(0, 0, 3), Piece(1, 0, 2)])

    assert row.input_ids.tolist() == [10, 11, 12, 20, 21]
    assert row.document_lengths.tolist() == [3, 2]
    assert row.supervised.tolist() == [False, True, True, False, True]
    assert row.source.tolist() == [0, 1]


def test_the_first_token_of_a_piece_is_not_supervised() -> None:
    row = three_documents().row([Piece(2, 1, 4)])

    assert row.input_ids.tolist() == [31, 32, 33]
    assert row.supervised.tolist() == [False, True, True]


def test_rows_come_back_from_disk(tmp_path: Path) -> None:
    rows.write(tmp_path / "rows", three_documents(), "pack", max_length=5)
    store = RowStore(tmp_path / "rows")

    assert len(store) == 2
    assert store.num_tokens.tolist() == [5, 4]
    assert store.num_supervised.tolist() == [3, 3]
    assert store.row(0).input_ids.tolist() == [10, 11, 12, 20, 21]
    assert store.row(0).source.tolist() == [0, 1]
    assert store.row(1).supervised.tolist() == [False, True, True, True]
    assert store.row(1).input_ids.dtype == np.int32
    assert store.row(1).supervised.dtype == np.bool_


def test_rows_are_found_across_shards_and_arrow_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_PER_SHARD", 5)
    monkeypatch.setattr(rows, "ROWS_PER_ARROW_BATCH", 2)
    count = 13
    documents = Documents(
        np.arange(2 * count, dtype=np.int32),
        np.ones(2 * count, np.bool_),
        np.arange(0, 2 * count + 1, 2, dtype=np.int64),
        np.zeros(count, np.int16),
    )
    rows.write(tmp_path / "rows", documents, "single", max_length=8)

    store = RowStore(tmp_path / "rows")
    assert len(list((tmp_path / "rows").glob("*.arrow"))) == 3
    assert [store.row(i).input_ids.tolist() for i in range(count)] == [
        [2 * i, 2 * i + 1] for i in range(count)
    ]


def test_a_pickled_store_opens_its_files_again(tmp_path: Path) -> None:
    rows.write(tmp_path / "rows", three_documents(), "pack", max_length=5)

    store = pickle.loads(pickle.dumps(RowStore(tmp_path / "rows")))

    assert store.row(1).input_ids.tolist() == [30, 31, 32, 33]


def test_an_empty_split_has_no_rows(tmp_path: Path) -> None:
    empty = Documents(
        np.array([], np.int32),
        np.array([], np.bool_),
        np.zeros(1, np.int64),
        np.array([], np.int16),
    )
    rows.write(tmp_path / "rows", empty, "pack", max_length=5)

    assert len(RowStore(tmp_path / "rows")) == 0


def test_a_folder_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no rows: it has no index\.npz"):
        RowStore(tmp_path)


def test_a_missing_shard_is_an_error(tmp_path: Path) -> None:
    rows.write(tmp_path / "rows", three_documents(), "pack", max_length=5)
    (tmp_path / "rows" / "shard-00000.arrow").unlink()

    with pytest.raises(ArtifactError, match=r"holds 0 rows, but its index\.npz lists 2"):
        RowStore(tmp_path / "rows")
