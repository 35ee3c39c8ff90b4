"""An inverted file beside a dictionary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musicllm.data.ngrams import mix
from musicllm.retrieval import postings
from musicllm.retrieval.postings import Postings, PostingsWriter


def write(folder: Path, entries: dict[tuple[int, int], int], batch: int) -> Postings:
    """Write entries (value, tune) -> count, so many at a time."""
    (folder / "file").mkdir()
    (folder / "work").mkdir()
    writer = PostingsWriter(folder / "file", folder / "work")
    pairs = list(entries)
    for start in range(0, len(pairs), batch):
        some = pairs[start : start + batch]
        writer.add(
            np.array([value for value, _ in some], np.uint64),
            np.array([tune for _, tune in some], np.uint32),
            np.array([entries[pair] for pair in some], np.uint8),
        )
    assert writer.finish() == len(entries)
    return Postings.open(folder / "file")


@pytest.mark.parametrize("in_memory", [1, 50, 1 << 20])
def test_look_up_returns_what_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(postings, "ENTRIES_IN_MEMORY", in_memory)
    draw = np.random.default_rng(3)
    values = mix(np.arange(40, dtype=np.uint64))
    entries = {
        (int(value), tune): int(draw.integers(1, 256))
        for value in values
        for tune in draw.choice(100, int(draw.integers(1, 30)), replace=False).tolist()
    }
    opened = write(tmp_path, entries, batch=7)

    absent = mix(np.array([1000], np.uint64))
    sought = np.concatenate([values[::3], absent])
    hits = opened.look_up(sought)

    held = {
        (int(sought[which]), int(tune)): int(count)
        for which, tune, count in zip(hits.which, hits.tunes, hits.counts, strict=True)
    }
    assert held == {pair: n for pair, n in entries.items() if pair[0] in set(sought.tolist())}
    assert hits.num_tunes.tolist() == [
        sum(value == int(each) for value, _ in entries) for each in sought
    ]
    assert hits.num_tunes[-1] == 0


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    opened = write(tmp_path, {}, batch=1)
    hits = opened.look_up(np.array([1, 2], np.uint64))
    assert (len(hits.tunes), hits.num_tunes.tolist()) == (0, [0, 0])
