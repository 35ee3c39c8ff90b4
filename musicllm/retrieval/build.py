"""Builds an index of the tunes in parts of sources: workers read, one process puts together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from musicllm.data.engines import Engine
from musicllm.data.pipeline.work import Facts
from musicllm.data.sources import Part
from musicllm.retrieval.postings import MOST, PostingsWriter
from musicllm.retrieval.reading import ARRAYS, LINES, IndexSettings, PartReader

TUNES, PLACES, SIZES, LENGTHS = "tunes.jsonl", "places.i8", "sizes.u4", "lengths.u4"
"""A line for each tune; where each line begins, and the end of the last; the number of figures and
of words of each tune. Raw little-endian numbers, as in `postings`."""

LAYOUT = 1
"""Of the files, and of what the figures and words are; another one is not read."""

MELODY, TEXT = "melody", "text"
"""Folders of the two inverted files."""


def build(
    parts: Sequence[Part], settings: IndexSettings, engine: Engine, work: Path, folder: Path
) -> Facts:
    """Build an index.

    Tunes of the same melody, in whatever key and note values, are one entry: the first. The result
    depends on the parts and the settings alone.

    Cost: linear in text but for sorting (n log n). Memory: that of one part (8 MB of text) in
    every worker; here about 100 bytes for each different melody, and what `PostingsWriter` needs.

    Args:
        parts: of the sources, in order.
        settings: what counts.
        engine: where the parts are read.
        work: folder for what lies between; the same call continues there, and the caller deletes
            it afterwards.
        folder: an empty folder, filled with `TUNES`, `PLACES`, `SIZES`, `LENGTHS`, and the inverted
            files.

    Returns:
        `layout`, `num_bytes` (of `TUNES`), `num_tunes`, `by_source` of them, `num_repeated`
        (melodies that came before), `mean_length` (words of a tune), `num_figures` and `num_words`
        (different ones of a tune, summed over all tunes), `left_out` by reason.
    """
    chosen = [part for part in parts if part.split is None or part.split in settings.splits]
    reader = PartReader(work / "read", settings)
    facts = list(engine.map(reader, list(enumerate(chosen)), "reading tunes"))
    left_out = sum((Counter(part["left_out"]) for part in facts), Counter[str]())
    with Gathering(folder, work) as gathering:
        for part in facts:
            gathering.add(reader.folder / part["folder"])
    return gathering.finish() | {"left_out": dict(left_out.most_common())}


class Gathering:
    """Puts the parts together, one after the other; see `build` for the folders."""

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder = folder
        for name in (MELODY, TEXT):
            (folder / name).mkdir()
            (work / name).mkdir(parents=True, exist_ok=True)
            for stale in (work / name).iterdir():
                stale.unlink()
        self._melody = PostingsWriter(folder / MELODY, work / MELODY)
        self._text = PostingsWriter(folder / TEXT, work / TEXT)
        self._seen: set[int] = set()
        self._by_source: Counter[str] = Counter()
        self._num_tunes = self._num_repeated = self._place = self._total_length = 0

    def __enter__(self) -> Self:
        """Open the files."""
        with ExitStack() as stack:
            self._tunes, self._places, self._sizes, self._lengths = (
                stack.enter_context((self._folder / name).open("wb"))
                for name in (TUNES, PLACES, SIZES, LENGTHS)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Write where the last line ends, and close the files."""
        np.array([self._place], "<i8").tofile(self._places)
        self._stack.close()

    def add(self, part: Path) -> None:
        """Add the tunes of a part whose melodies did not come before."""
        with np.load(part / ARRAYS) as stored:
            arrays = dict(stored)
        is_new = self._copy_new(part, arrays["keys"].tolist())
        numbers = self._num_tunes + np.cumsum(is_new) - 1
        self._num_tunes += int(is_new.sum())
        num_figures, num_words, counts = (arrays[n] for n in ("num_figures", "num_words", "counts"))
        sums = np.append(0, np.cumsum(counts))
        ends = np.cumsum(num_words)
        lengths = (sums[ends] - sums[ends - num_words])[is_new]
        self._total_length += int(lengths.sum())
        num_figures[is_new].astype("<u4").tofile(self._sizes)
        lengths.astype("<u4").tofile(self._lengths)
        holders = np.repeat(np.where(is_new, numbers, -1), num_figures)
        _add_new(self._melody, arrays["figures"], holders, np.ones_like(holders))
        holders = np.repeat(np.where(is_new, numbers, -1), num_words)
        _add_new(self._text, arrays["words"], holders, counts)

    def _copy_new(self, part: Path, keys: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Copy the lines of new melodies; return which they are, [tunes of the part]."""
        is_new = np.zeros(len(keys), np.bool_)
        with (part / LINES).open("rb") as lines:
            for number, (key, line) in enumerate(zip(keys, lines, strict=True)):
                if key in self._seen:
                    self._num_repeated += 1
                    continue
                self._seen.add(key)
                is_new[number] = True
                self._tunes.write(line)
                np.array([self._place], "<i8").tofile(self._places)
                self._place += len(line)
                self._by_source[json.loads(line)["source"]] += 1
        return is_new

    def finish(self) -> Facts:
        """Write the inverted files, and return the counts."""
        return {
            "layout": LAYOUT,
            "num_tunes": self._num_tunes,
            "by_source": dict(self._by_source),
            "num_repeated": self._num_repeated,
            "mean_length": self._total_length / max(self._num_tunes, 1),
            "num_figures": self._melody.finish(),
            "num_words": self._text.finish(),
            "num_bytes": self._place,
        }


def _add_new(
    writer: PostingsWriter,
    values: npt.NDArray[np.uint64],
    holders: npt.NDArray[np.int64],
    counts: npt.NDArray[Any],
) -> None:
    """Add values whose holder is a new tune, not -1."""
    is_new = holders >= 0
    counts = np.minimum(counts[is_new], MOST).astype(np.uint8)
    writer.add(values[is_new], holders[is_new].astype(np.uint32), counts)
