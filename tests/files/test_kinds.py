"""Kinds of files and readers of sources that a user adds from a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicllm import registry
from musicllm.data.engines import LocalEngine
from musicllm.data.sources import find_parts, read_part
from musicllm.data.sources.parts import Part
from musicllm.data.sources.readers import READERS
from musicllm.errors import InputError
from musicllm.files.kinds import KINDS, kind_of, readable_suffixes
from tests.helpers import source_spec

OWN = """
from pathlib import Path

from musicllm.data.sources.parts import Part, group
from musicllm.data.sources.readers import READERS, SourceReader
from musicllm.files.kinds import KINDS, FileKind
from musicllm.files.pieces import Piece


class OwnPart(Part):
    pass


def _read(file, piece, fields):
    for number, line in enumerate(file, 1):
        yield number, {"text": line.decode().strip().upper()}


def _find_parts(spec):
    root = Path(spec.location)
    files = [("text", Piece(path.name, "own_lines")) for path in sorted(root.glob("*.own"))]
    for record_format, pieces in group(files):
        yield OwnPart(spec.name, root, record_format, pieces)


KINDS.register(FileKind("own_lines", (".own",), _read, record_format="text"))
READERS.register(SourceReader("own_reader", _find_parts, needs_location=True))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for kinds in (KINDS, READERS):
        monkeypatch.setattr(kinds, "_kinds", {name: kinds[name] for name in kinds})
    (tmp_path / "own.py").write_text(OWN)
    registry.load_extensions([str(tmp_path / "own.py")])
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.own").write_text("one\ntwo\n")
    return data


@pytest.mark.parametrize("reader", ["files", "own_reader"])
def test_a_kind_and_a_reader_of_the_users_own(own: Path, reader: str) -> None:
    parts = find_parts(source_spec("s", reader, str(own)))
    records = [record for part in parts for record in read_part(part)]

    assert [(r["id"], r["text"]) for r in records if isinstance(r, dict)] == [
        ("s/a.own:1", "ONE"),
        ("s/a.own:2", "TWO"),
    ]
    assert ".own" in readable_suffixes()


def read_all(part: Part) -> list[object]:
    return [record["text"] for record in read_part(part) if isinstance(record, dict)]


@pytest.mark.parametrize("reader", ["files", "own_reader"])
def test_worker_processes_import_them(own: Path, reader: str) -> None:
    parts = [part for name in "st" for part in find_parts(source_spec(name, reader, str(own)))]
    assert list(LocalEngine(2).map(read_all, parts, "reading")) == [["ONE", "TWO"]] * 2


def test_a_worker_that_cannot_import_them_says_why(own: Path) -> None:
    parts = [part for name in "st" for part in find_parts(source_spec(name, "files", str(own)))]
    module = own.parent / "own.py"
    module.unlink()
    with pytest.raises(InputError) as caught:
        list(LocalEngine(2).map(read_all, parts, "reading"))
    assert str(caught.value) == f"extensions names {module}, which does not exist"


def test_a_compressed_file_is_of_the_kind_inside() -> None:
    match = kind_of("Tunes.ABC.GZ")
    assert match is not None
    assert (match[0].name, match[1]) == ("abc", "gz")
    assert kind_of("a.parquet.gz") is None
    assert kind_of("a.gz") is None
    assert kind_of("README") is None
