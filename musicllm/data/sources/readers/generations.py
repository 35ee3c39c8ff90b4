"""The good answers of a generation (`generation.keep=true`), as records to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from musicllm import artifacts
from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Part, group
from musicllm.data.sources.readers import READERS, SourceReader
from musicllm.errors import ArtifactError
from musicllm.files.kinds.jsonl import cut_lines
from musicllm.files.pieces import Piece

KEPT = "kept.jsonl"


def _find_parts(spec: SourceSpec) -> Iterator[Part]:
    assert spec.location, f"source {spec.name} lacks the folder of its generation"
    folder = artifacts.read(Path(spec.location).expanduser(), "tunes").path
    file = folder / KEPT
    if not file.is_file():
        raise ArtifactError(
            f"{folder} has no {KEPT}: its answers were not kept to train on; run that generation "
            "again with generation.keep=true"
        )
    if not file.stat().st_size:
        raise ArtifactError(
            f"{file} is empty: no answer reached generation.min_score; write more of them, or a "
            "lower one"
        )
    yield from parts_of_lines(spec.name, folder, KEPT)


def parts_of_lines(source: str, folder: Path, name: str) -> Iterator[Part]:
    """Yield the parts of a file of our own records, a line each."""
    file = folder / name
    piece = Piece(name, "jsonl", num_bytes=file.stat().st_size)
    for record_format, pieces in group([("record", cut) for cut in cut_lines(file, piece)]):
        yield Part(source, folder, record_format, pieces)


def _counts(name: str) -> bool:
    return name == KEPT


READER = READERS.register(
    SourceReader("generations", _find_parts, input_role="generations", counts=_counts)
)
