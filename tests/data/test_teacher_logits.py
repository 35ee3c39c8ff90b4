from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from musicllm.artifacts import Artifact
from musicllm.data import teacher_logits
from musicllm.data.rows import RowStore, TopTokens
from musicllm.data.teacher_logits import (
    INDEX,
    SPLIT,
    ShardWriter,
    TeacherStore,
    num_bytes,
    open_for,
    rows_identity,
)
from musicllm.errors import ArtifactError
from tests.rows import make_documents, write_rows

TOP_K, VOCABULARY = 3, 50
FACTS = {"top_k": TOP_K, "vocab_size": VOCABULARY, "temperature": 1.0, "rows": "r", "teacher": "t"}


@pytest.fixture
def rows(tmp_path: Path) -> RowStore:
    """Six rows; the third has nothing supervised."""
    lists = [[1, 2, 3], [4, 5], [6, 6, 6], [7, 8, 9, 10], [11, 12], [13, 14]]
    return write_rows(tmp_path / "rows", make_documents(*lists, unsupervised=[6]), "single", 8)


def top_of(store: RowStore, index: int) -> TopTokens:
    """Records that tell which row they are of."""
    count = int(store.num_supervised[index])
    draw = np.random.default_rng(index)
    values = np.sort(draw.normal(-3, 1, (count, TOP_K)).astype(np.float16))[:, ::-1]
    ids = draw.integers(0, VOCABULARY, (count, TOP_K)).astype(np.int32)
    return TopTokens(values, ids, np.full(count, -index, np.float16))


def writer_of(folder: Path, store: RowStore, identity: str = "a") -> ShardWriter:
    return ShardWriter(folder, store, top_k=TOP_K, vocab_size=VOCABULARY, identity=identity)


def write(folder: Path, store: RowStore, numbers: list[int] | None = None) -> ShardWriter:
    writer = writer_of(folder, store)
    for number in writer.missing() if numbers is None else numbers:
        writer.write(number, (top_of(store, index) for index in writer.shards[number]))
    return writer


@pytest.fixture(params=[1 << 26, 30])
def written(
    rows: RowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """A folder of records: in one shard, or in several."""
    monkeypatch.setattr(teacher_logits, "SHARD_BYTES", request.param)
    write(tmp_path / "partial", rows).finish(tmp_path / "made" / SPLIT)
    return tmp_path / "made"


def test_every_row_is_read_as_it_was_written(written: Path, rows: RowStore) -> None:
    store = pickle.loads(pickle.dumps(TeacherStore(written, FACTS)))
    assert len(store) == len(rows) == 6
    for index in [5, *range(6)]:
        read, wrote = store.row(index), top_of(rows, index)
        assert read.ids.dtype == np.int32
        assert read.values.dtype == read.rest.dtype == np.float16
        for name in ("values", "ids", "rest"):
            np.testing.assert_array_equal(getattr(read, name), getattr(wrote, name))
    assert [len(store.row(index)) for index in range(6)] == [2, 1, 0, 3, 1, 1]


def test_size_is_told_before(written: Path, rows: RowStore) -> None:
    expected = num_bytes(int(rows.num_supervised.sum()), TOP_K, VOCABULARY)
    arrays = [np.load(path) for path in (written / SPLIT).glob("*.npy")]
    assert sum(array.nbytes for array in arrays) == expected == 8 * (2 + 3 * 2 + 3 * 2)
    assert num_bytes(8, TOP_K, 1 << 17) == 8 * (2 + 3 * 2 + 3 * 4)  # larger ids


def test_shards_end_with_rows(rows: RowStore, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(teacher_logits, "SHARD_BYTES", 42)  # three records
    shards = writer_of(tmp_path, rows).shards
    assert shards == [range(3), range(3, 4), range(4, 6)]


def test_an_interrupted_run_writes_the_missing_shards_alone(
    rows: RowStore, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(teacher_logits, "SHARD_BYTES", 42)
    folder = tmp_path / "partial"
    write(folder, rows, [0, 2])
    assert writer_of(folder, rows).missing() == [1]
    assert writer_of(folder, rows, "b").missing() == [0, 1, 2]  # of another teacher
    path = folder / "shard-00002.npy"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert writer_of(folder, rows).missing() == [1, 2]
    path.write_bytes(b"")
    (folder / "shard-00000.npz").write_bytes(b"PK")
    assert writer_of(folder, rows).missing() == [0, 1, 2]


def test_damage_is_an_error(written: Path) -> None:
    path = sorted((written / SPLIT).glob("*.npy"))[-1]
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    store = TeacherStore(written, FACTS)
    store.row(0)
    with pytest.raises(ArtifactError, match=r"\.npy is damaged at row 5; delete its folder and"):
        store.row(5)


def test_missing_and_short_files(written: Path) -> None:
    path = sorted((written / SPLIT).glob("*.npy"))[-1]
    array = np.load(path)
    np.save(path, array[:-1])
    with pytest.raises(ArtifactError, match="has shards of other lengths than its index"):
        TeacherStore(written, FACTS)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"cannot be read: .*No such file.*run its stage again"):
        TeacherStore(written, FACTS)
    (written / SPLIT / INDEX).unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        TeacherStore(written, FACTS)


def test_records_belong_to_the_bytes_of_rows(written: Path, tmp_path: Path) -> None:
    files = {"rows/train/shard-00000.arrow": "1", "rows/validation/shard-00000.arrow": "2"}
    corpus = Artifact(tmp_path / "corpus", "corpus", "c", files=files)
    logits = Artifact(written, "teacher_logits", "l", facts=FACTS | {"rows": rows_identity(corpus)})
    assert len(open_for(corpus, logits)) == 6
    same = Artifact(tmp_path, "corpus", "d", files=files | {"records/train/0.jsonl": "3"})
    assert len(open_for(same, logits)) == 6
    other = Artifact(tmp_path, "corpus", "c", files=files | {"rows/train/shard-00000.arrow": "9"})
    with pytest.raises(ArtifactError, match="were written for other rows than those of inputs"):
        open_for(other, logits)


def test_rows_without_supervised_tokens(tmp_path: Path) -> None:
    store = write_rows(tmp_path / "rows", make_documents([6, 6], [6], unsupervised=[6]), "pack", 8)
    write(tmp_path / "partial", store).finish(tmp_path / "made" / SPLIT)
    assert len(TeacherStore(tmp_path / "made", FACTS).row(0)) == 0
