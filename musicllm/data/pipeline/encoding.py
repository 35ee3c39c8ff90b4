"""Phase three: records that stay become documents: copies, conversations, tokens.

A stretch of a part is one item of work. Its records are written as they will be in the corpus, and
its tokens go into a block of the token store, split by split.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import orjson

from musicllm.data.encoder import Encoder
from musicllm.data.instructions import make_instructions
from musicllm.data.ledger import DropFile, Ledger
from musicllm.data.pipeline.columns import DROPS, batches, from_batch, load_column
from musicllm.data.pipeline.deciding import DROPPED, SPLIT, Reading
from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import SPLITS, Drop, Record, texts_of
from musicllm.data.settings import Preparation, limits_of
from musicllm.data.split import id_hash
from musicllm.data.store import BlockWriter
from musicllm.data.transposed import copies

BATCHES_PER_STRETCH = 8
RECORDS = "records.jsonl"
BLOCK = "tokens"
KEYS = "keys.npy"


@dataclass(frozen=True)
class Stretch:
    """Some batches of a part.

    Attributes:
        name: of the folder that it becomes.
        part: folder of what was read.
        sources: names of the part's sources, in the order of its codes.
        first: batch with which it begins.
        sizes: records of its batches.
        begins: number of its first record within the part.
        offset: number of the part's first record among all.
    """

    name: str
    part: Path
    sources: tuple[str, ...]
    first: int
    sizes: tuple[int, ...]
    begins: int
    offset: int


class Placed(NamedTuple):
    """A record, its kind as a position in `KINDS`, and the split that it belongs to."""

    record: Record
    kind: int
    split: str


def stretches(reading: Reading) -> Iterator[Stretch]:
    """Cut what was read into items of work."""
    offsets = reading.offsets().tolist()
    for folder, facts, offset in zip(reading.folders, reading.facts, offsets, strict=False):
        sizes, begins = facts["batch_sizes"], 0
        for first in range(0, len(sizes), BATCHES_PER_STRETCH):
            some = tuple(sizes[first : first + BATCHES_PER_STRETCH])
            name = f"{folder.name}-{first // BATCHES_PER_STRETCH:05d}"
            yield Stretch(name, folder, tuple(facts["sources"]), first, some, begins, offset)
            begins += sum(some)


@dataclass(frozen=True)
class StretchEncoder:
    """Encodes one stretch into `<folder>/<stretch>/<split>/`.

    Attributes:
        folder: of all stretches.
        decided: folder of `split.npy`.
        tokenizer: folder of the tokenizer with its chat template.
        sources: names of all sources.
        preparation: copies, conversations and row length.
    """

    folder: Path
    decided: Path
    tokenizer: Path
    sources: tuple[str, ...]
    preparation: Preparation

    def __call__(self, stretch: Stretch) -> Facts:
        """Encode a stretch, or find that it was encoded.

        Cost: linear in its text. Returns `folder`, the `ledger`, and for each split that has
        documents their `documents`, `characters`, `by_source` and `families`.
        """
        folder = self.folder / stretch.name
        return once(folder, lambda empty: self._encode(stretch, empty)) | {"folder": folder.name}

    def _encode(self, stretch: Stretch, folder: Path) -> Facts:
        encoder = Encoder.load(self.tokenizer, self.preparation.rows)
        ledger = Ledger()
        writers: dict[str, SplitWriter] = {}
        with ExitStack() as stack:
            drops = stack.enter_context(DropFile(folder / DROPS, ledger))
            for found in self._batches(stretch):
                for split in dict.fromkeys(each.split for each in found):
                    if split not in writers:
                        writer = SplitWriter(folder / split, self.sources, encoder)
                        writers[split] = stack.enter_context(writer)
                    made, lost = derive([e for e in found if e.split == split], self.preparation)
                    drops.enter([*lost, *writers[split].add(made)])
        facts = {split: writer.facts() for split, writer in writers.items()}
        return {"ledger": ledger.to_json(), "splits": facts}

    def _batches(self, stretch: Stretch) -> Iterator[list[Placed]]:
        """Yield the records of each batch that stay."""
        columns = {name: load_column([stretch.part], name) for name in ("source", "kind")}
        splits = np.load(self.decided / SPLIT, mmap_mode="r")
        begins, stop = stretch.begins, stretch.first + len(stretch.sizes)
        for batch in batches(stretch.part, stretch.first, stop):
            span = slice(begins, begins + batch.num_rows)
            sources = [stretch.sources[code] for code in columns["source"][span]]
            placed = splits[stretch.offset + span.start : stretch.offset + span.stop]
            records = from_batch(batch, sources)
            yield [
                Placed(record, int(kind), SPLITS[split])
                for record, kind, split in zip(records, columns["kind"][span], placed, strict=True)
                if split != DROPPED
            ]
            begins += batch.num_rows


def derive(found: Sequence[Placed], preparation: Preparation) -> tuple[list[Placed], list[Drop]]:
    """Return what becomes of records: copies in other keys, or conversations about their tunes."""
    made: list[Placed] = []
    drops: list[Drop] = []
    for each in found:
        records = [each.record]
        if each.split == "train" and preparation.transpose_semitones != (0,):
            records, lost = copies(
                each.record, preparation.transpose_semitones, limits_of(preparation.music)
            )
            drops += lost
        for record in records:
            if preparation.instructions is None:
                made.append(each._replace(record=record))
                continue
            asked, lost = make_instructions(record, preparation.instructions, preparation.seed)
            drops += lost
            made += [each._replace(record=conversation) for conversation in asked]
    return made, drops


class SplitWriter:
    """Writes the records of a split and their tokens."""

    def __init__(self, folder: Path, sources: tuple[str, ...], encoder: Encoder) -> None:
        self._folder = folder
        self._position = {name: number for number, name in enumerate(sources)}
        self._encoder = encoder
        self._keys: list[npt.NDArray[np.uint64]] = []
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

    def add(self, made: Sequence[Placed]) -> list[Drop]:
        """Encode and write records; returns those that the encoder refuses."""
        encoded = self._encoder.encode([each.record for each in made])
        kept = [made[index] for index in encoded.kept]
        records = [each.record for each in kept]
        sources = [self._position[record["source"]] for record in records]
        kinds = [each.kind for each in kept]
        self._block.add(encoded.documents, np.array(sources, np.int16), np.array(kinds, np.int8))
        self._records.writelines(orjson.dumps(record) + b"\n" for record in records)
        self._keys.append(id_hash([record["id"] for record in records]))
        self._tables["by_source"].update(record["source"] for record in records)
        self._tables["families"].update(r["task"] for r in records if "task" in r)
        self._tables["sizes"]["documents"] += len(records)
        self._tables["sizes"]["characters"] += sum(len(t) for r in records for t in texts_of(r))
        self._tables["sizes"]["cut"] += encoded.num_cut
        return encoded.drops

    def facts(self) -> Facts:
        """Return what was written, as tables of counts."""
        return dict(self._tables)
