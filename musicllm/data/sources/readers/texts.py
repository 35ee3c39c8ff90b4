"""Short texts about the history and theory of music that come with musicllm, in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Part, group
from musicllm.data.sources.readers import READERS, SourceReader
from musicllm.files.pieces import Piece

FILE = Path(__file__).parents[2] / "texts" / "music.jsonl"
"""Written for this project, under its licence: 22 texts in English and 22 others in Chinese."""


def _find_parts(spec: SourceSpec) -> Iterator[Part]:
    piece = Piece(FILE.name, "jsonl", num_bytes=FILE.stat().st_size)
    for record_format, pieces in group([("text", piece)]):
        yield Part(spec.name, FILE.parent, record_format, pieces)


READER = READERS.register(SourceReader("texts", _find_parts, packaged=FILE))
