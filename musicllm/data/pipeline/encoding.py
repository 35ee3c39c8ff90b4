"""Phase three: records that stay become documents: copies, conversations, tokens.

A range of a part's batches is one item of work. Its records are written as they will be in the
corpus, and its tokens go into a block of the token store, split by split.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson

from musicllm.data.clips import clip_of
from musicllm.data.encoder import Encoder
from musicllm.data.languages import LANGUAGES, language_of
from musicllm.data.ledger import DropFile, Ledger
from musicllm.data.pipeline.columns import DROPS, batches, from_batch, load_column
from musicllm.data.pipeline.deciding import DROPPED, SPLIT, ReadParts
from musicllm.data.pipeline.deriving import PlacedRecord, derive
from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import SPLITS, Drop, texts_of
from musicllm.data.settings import Preparation
from musicllm.data.split import id_hash
from musicllm.data.store import BlockWriter

BATCHES_PER_RANGE = 8
RECORDS = "records.jsonl"
BLOCK = "tokens"
KEYS = "keys.npy"
LANGUAGE = "languages.npy"
CLIPS = "clips.jsonl"
"""A line for every document, null for one without audio; there is no file where none has any."""


@dataclass(frozen=True)
class BatchRange:
    """Some batches of a part.

    Attributes:
        name: of the folder that it becomes.
        part: folder of what was read.
        sources: names of the part's sources, in the order of its codes.
        first_batch: number of its first batch.
        sizes: records of its batches.
        first_record: number of its first record within the part.
        offset: number of the part's first record among all.
    """

    name: str
    part: Path
    sources: tuple[str, ...]
    first_batch: int
    sizes: tuple[int, ...]
    first_record: int
    offset: int


def batch_ranges(parts: ReadParts) -> Iterator[BatchRange]:
    """Cut the parts into items of work."""
    offsets = parts.offsets().tolist()
    for folder, facts, offset in zip(parts.folders, parts.facts, offsets, strict=False):
        sources, sizes, start = tuple(facts["sources"]), facts["batch_sizes"], 0
        for first in range(0, len(sizes), BATCHES_PER_RANGE):
            own_sizes = tuple(sizes[first : first + BATCHES_PER_RANGE])
            name = f"{folder.name}-{first // BATCHES_PER_RANGE:05d}"
            yield BatchRange(name, folder, sources, first, own_sizes, start, offset)
            start += sum(own_sizes)


@dataclass(frozen=True)
class RangeEncoder:
    """Encodes a range into `<folder>/<range>/<split>/`.

    Attributes:
        folder: of all ranges.
        decisions: folder of `split.npy`.
        tokenizer: folder of the tokenizer with its chat template.
        sources: names of all sources.
        preparation: copies, conversations and row length.
    """

    folder: Path
    decisions: Path
    tokenizer: Path
    sources: tuple[str, ...]
    preparation: Preparation

    def __call__(self, batch_range: BatchRange) -> Facts:
        """Encode a range, or find that it was encoded.

        Cost: linear in its text. Returns `folder`, the `ledger`, and for each split that has
        documents their `documents`, `characters`, `by_source`, `families` and what became of
        requests that were to be translated.
        """
        folder = self.folder / batch_range.name
        facts = once(folder, lambda empty: self._encode(batch_range, empty))
        return facts | {"folder": folder.name}

    def _encode(self, batch_range: BatchRange, folder: Path) -> Facts:
        encoder = Encoder.load(self.tokenizer, self.preparation.rows)
        ledger = Ledger()
        writers: dict[str, SplitWriter] = {}
        with ExitStack() as stack:
            drops = stack.enter_context(DropFile(folder / DROPS, ledger))
            for records in self._batches(batch_range):
                for split in dict.fromkeys(record.split for record in records):
                    if split not in writers:
                        writer = SplitWriter(folder / split, self.sources, encoder)
                        writers[split] = stack.enter_context(writer)
                    of_split = [record for record in records if record.split == split]
                    derived = derive(of_split, self.preparation)
                    drops.enter([*derived.drops, *writers[split].add(derived.records)])
                    writers[split].count(derived.tables)
        facts = {split: writer.facts() for split, writer in writers.items()}
        return {"ledger": ledger.to_json(), "splits": facts}

    def _batches(self, batch_range: BatchRange) -> Iterator[list[PlacedRecord]]:
        """Yield the records of each batch that stay."""
        columns = {name: load_column([batch_range.part], name) for name in ("source", "kind")}
        splits = np.load(self.decisions / SPLIT, mmap_mode="r")
        first, stop = batch_range.first_record, batch_range.first_batch + len(batch_range.sizes)
        for batch in batches(batch_range.part, batch_range.first_batch, stop):
            span = slice(first, first + batch.num_rows)
            sources = [batch_range.sources[code] for code in columns["source"][span]]
            codes = splits[batch_range.offset + span.start : batch_range.offset + span.stop]
            records = from_batch(batch, sources)
            yield [
                PlacedRecord(record, int(kind), SPLITS[split])
                for record, kind, split in zip(records, columns["kind"][span], codes, strict=True)
                if split != DROPPED
            ]
            first += batch.num_rows


class SplitWriter:
    """Writes the records of a split and their tokens."""

    def __init__(self, folder: Path, sources: tuple[str, ...], encoder: Encoder) -> None:
        self._folder = folder
        self._position = {name: number for number, name in enumerate(sources)}
        self._encoder = encoder
        self._keys: list[npt.NDArray[np.uint64]] = []
        self._languages: list[int] = []
        self._clips: list[dict[str, Any] | None] = []
        self._tables: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def __enter__(self) -> Self:
        """Open the files."""
        self._folder.mkdir()
        self._records = (self._folder / RECORDS).open("wb")
        self._block = BlockWriter(self._folder, BLOCK)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._records.close()
        self._block.close()
        np.save(self._folder / KEYS, np.concatenate([np.zeros(0, np.uint64), *self._keys]))
        np.save(self._folder / LANGUAGE, np.array(self._languages, np.int8))
        if any(clip is not None for clip in self._clips):
            lines = (orjson.dumps(clip) + b"\n" for clip in self._clips)
            (self._folder / CLIPS).write_bytes(b"".join(lines))

    def add(self, placed: Sequence[PlacedRecord]) -> list[Drop]:
        """Encode and write records; returns those that the encoder refuses."""
        encoded = self._encoder.encode([item.record for item in placed])
        stored = [placed[index] for index in encoded.record_indices]
        records = [item.record for item in stored]
        sources = [self._position[record["source"]] for record in records]
        kinds = [item.kind for item in stored]
        self._block.add(encoded.documents, np.array(sources, np.int16), np.array(kinds, np.int8))
        self._records.writelines(orjson.dumps(record) + b"\n" for record in records)
        self._keys.append(id_hash([record["id"] for record in records]))
        self._languages += [LANGUAGES.index(language_of(record)) for record in records]
        clips = [clip_of(record) for record in records]
        self._clips += [None if clip is None else clip.as_json() for clip in clips]
        self._tables["by_source"].update(record["source"] for record in records)
        self._tables["families"].update(r["task"] for r in records if "task" in r)
        self._tables["sizes"]["documents"] += len(records)
        self._tables["sizes"]["characters"] += sum(len(t) for r in records for t in texts_of(r))
        self._tables["sizes"]["cut"] += encoded.num_cut
        return encoded.drops

    def count(self, tables: Mapping[str, Counter[str]]) -> None:
        """Add tables of counts."""
        for name, counts in tables.items():
            self._tables[name].update(counts)

    def facts(self) -> Facts:
        """Return what was written, as tables of counts."""
        return dict(self._tables)
