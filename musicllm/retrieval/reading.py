"""Reads the tunes in one part of a source, and computes what they are looked up by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import Drop
from musicllm.data.sources import Part, read_part
from musicllm.retrieval.entries import Entry, entries
from musicllm.retrieval.figures import figures
from musicllm.retrieval.words import counted

LINES, ARRAYS = "tunes.jsonl", "arrays.npz"
"""Of a part that was read: a line for each tune, and arrays:

keys: `Entry.key`, uint64 [tunes].
figures: of one tune after another, uint64; `num_figures` of each tune, int64 [tunes].
words: hashes of the different words of one tune after another, uint64, and how often each comes
    in it, int64 `counts`; `num_words` of each tune, int64 [tunes].
"""


@dataclass(frozen=True)
class IndexSettings:
    """What decides on an index.

    Attributes:
        splits: records that their source puts into another split are left out.
        min_notes: tunes with fewer notes are left out.
    """

    splits: tuple[str, ...]
    min_notes: int


@dataclass(frozen=True)
class PartReader:
    """Reads the tunes of a part into a folder of its own.

    Attributes:
        folder: of all parts.
        settings: what counts.
    """

    folder: Path
    settings: IndexSettings

    def __call__(self, item: tuple[int, Part]) -> Facts:
        """Read a part, unless it was read.

        Cost: linear in its text. Memory: what its tunes are looked up by, about ten times its text.

        Args:
            item: number of the part, and the part.

        Returns:
            `folder`: its name; `left_out`: counts by reason.
        """
        number, part = item
        folder = self.folder / f"{number:05d}"
        return once(folder, lambda empty: self._read(part, empty)) | {"folder": folder.name}

    def _read(self, part: Part, folder: Path) -> Facts:
        drops: Counter[str] = Counter()
        keys: list[int] = []
        melodies, texts = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        counts = [np.zeros(0, np.int64)]
        with (folder / LINES).open("wb") as lines:
            for tune in self._entries(part, drops):
                lines.write(_line(tune))
                keys.append(tune.key)
                melodies.append(figures(tune.score))
                hashes, how_often = counted(tune.words)
                texts.append(hashes)
                counts.append(how_often)
        np.savez(
            folder / ARRAYS,
            keys=np.array(keys, np.uint64),
            figures=np.concatenate(melodies),
            num_figures=np.array([len(each) for each in melodies[1:]], np.int64),
            words=np.concatenate(texts),
            counts=np.concatenate(counts),
            num_words=np.array([len(each) for each in texts[1:]], np.int64),
            allow_pickle=False,
        )
        return {"left_out": dict(drops)}

    def _entries(self, part: Part, drops: Counter[str]) -> Iterator[Entry]:
        for record in read_part(part):
            if isinstance(record, Drop):
                drops["records that cannot be read"] += 1
            else:
                yield from entries(record, self.settings.min_notes, drops)


def _line(tune: Entry) -> bytes:
    values = {"id": tune.record, "source": tune.source, "title": tune.title, "abc": tune.abc}
    return orjson.dumps(values) + b"\n"
