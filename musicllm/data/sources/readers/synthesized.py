"""The records that a teacher wrote (task=synthesize)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from musicllm import artifacts, console
from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Part
from musicllm.data.sources.readers import READERS, SourceReader
from musicllm.data.sources.readers.generations import parts_of_lines
from musicllm.errors import ArtifactError

RECORDS = "records.jsonl"
"""File of the artifact."""


def _find_parts(spec: SourceSpec) -> Iterator[Part]:
    assert spec.location, f"source {spec.name} lacks the folder of its records"
    artifact = artifacts.read(Path(spec.location).expanduser(), "records")
    if not (artifact.path / RECORDS).stat().st_size:
        console.note(
            f"data.sources.{spec.name}: {artifact.path} has no record, since no answer of "
            f"{artifact.facts['teacher']} fit (rejected.jsonl beside it says why)"
        )
        return
    with (artifact.path / RECORDS).open("rb") as lines:
        if "original" in json.loads(next(lines)):
            raise ArtifactError(
                f"{artifact.path} is a table of translations, with marks in the place of music, "
                "and no corpus; write inputs.translations=<it> where requests are translated"
            )
    yield from parts_of_lines(spec.name, artifact.path, RECORDS)


def _counts(name: str) -> bool:
    return name == RECORDS


READER = READERS.register(
    SourceReader("synthesized", _find_parts, input_role="synthesized", counts=_counts)
)
