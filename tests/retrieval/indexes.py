"""An index of some records, for tests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from musicllm import artifacts
from musicllm.data.engines import LocalEngine
from musicllm.data.records import Record
from musicllm.data.sources import find_parts
from musicllm.retrieval import Index
from musicllm.retrieval.build import build
from musicllm.retrieval.reading import IndexSettings
from tests.helpers import write_sources


def make_index(folder: Path, records: Sequence[Record], *, min_notes: int = 8) -> Index:
    """Make an index artifact of records with `source`, and `text` or `messages`."""
    work = folder.with_name(f"{folder.name}.work")
    parts = [p for spec in write_sources(work / "sources", records) for p in find_parts(spec)]
    identity = artifacts.fingerprint([list(records), min_notes])
    with artifacts.writing(folder, "index", identity, {}) as (new, facts):
        settings = IndexSettings(("train",), min_notes)
        facts.update(build(parts, settings, LocalEngine(1), work / "build", new))
    shutil.rmtree(work)
    return Index.open(folder)
