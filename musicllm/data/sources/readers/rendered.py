"""Questions about clips of rendered tunes (task=render); their splits are those of the tunes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from musicllm import artifacts
from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Part
from musicllm.data.sources.readers import READERS, SourceReader


def _find_parts(spec: SourceSpec) -> Iterator[Part]:
    assert spec.location, f"source {spec.name} lacks the folder of its clips"
    artifact = artifacts.read(Path(spec.location).expanduser(), "rendered")
    files = replace(spec, location=str(artifact.path), kinds=("jsonl",), named_splits=True)
    yield from READERS["files"].find_parts(files)


READER = READERS.register(SourceReader("rendered", _find_parts, input_role="rendered"))
