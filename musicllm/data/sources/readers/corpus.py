"""The records of a prepared corpus, whose splits stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from musicllm import artifacts
from musicllm.data.records import SPLITS
from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Part, group
from musicllm.data.sources.readers import READERS, SourceReader
from musicllm.errors import ArtifactError
from musicllm.files.kinds.jsonl import cut_lines
from musicllm.files.pieces import Piece


def _find_parts(spec: SourceSpec) -> Iterator[Part]:
    assert spec.location, f"source {spec.name} lacks the folder of its corpus"
    folder = artifacts.read(Path(spec.location).expanduser(), "corpus").path
    if not any(folder.glob("records/*/*.jsonl")):
        raise ArtifactError(f"{folder} is a corpus without records; prepare it again")
    for split in SPLITS:
        root = folder / "records" / split
        files = [
            Piece(path.name, "jsonl", num_bytes=path.stat().st_size)
            for path in sorted(root.glob("*.jsonl"))
        ]
        pieces = (("record", cut) for file in files for cut in cut_lines(root / file.name, file))
        for _, records in group(pieces):
            yield Part(spec.name, root, "record", records, split=split, is_corpus=True)


def _counts(name: str) -> bool:
    return name.startswith("records/") and name.endswith(".jsonl")


READER = READERS.register(SourceReader("corpus", _find_parts, input_role="corpus", counts=_counts))
