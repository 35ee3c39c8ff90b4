"""Phase one: a part of a source becomes records that are whole, checked and signed.

Each record is examined on its own here: its tunes are found, checked and repaired, benchmark
questions are looked for, and the signatures are made by which duplicates will be found. What
needs to see other records comes later (`deciding.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from musicllm.data.clips import clip_of
from musicllm.data.contamination import ContaminationIndex
from musicllm.data.duplicates import (
    Outline,
    exact_hash,
    fullness,
    outline,
    signature_rows,
    title_hash,
)
from musicllm.data.ledger import DropFile, Ledger
from musicllm.data.music import Examined, describe, examine
from musicllm.data.pipeline.columns import DROPS, RecordWriter
from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import KINDS, SPLITS, Drop, Record, is_masked, texts_of
from musicllm.data.settings import Preparation, Question
from musicllm.data.sources import Part, read_part
from musicllm.data.split import id_hash
from musicllm.music.analysis.melody import melodic_fingerprint

RECORDS_PER_BATCH = 1024


@dataclass(frozen=True)
class SignedRecord:
    """A record that stays for now, and the hashes of its melodies."""

    examined: Examined
    hashes: frozenset[int]


@dataclass
class Counts:
    """What was seen in a part beside the drops; every table counts names."""

    tables: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_source: defaultdict[str, defaultdict[str, Counter[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    matches: list[dict[str, Any]] = field(default_factory=list)

    def add(self, examined: Examined) -> None:
        """Count a record's kind and tunes, and what was done to them."""
        source = examined.record["source"]
        self.tables["kinds"][KINDS[bool(examined.scores)]] += 1
        self.tables["contents"]["text" if "text" in examined.record else "messages"] += 1
        self.tables["contents"]["clips"] += clip_of(examined.record) is not None
        masked = sum(map(is_masked, examined.record.get("messages", ())))
        self.tables["contents"]["masked_turns"] += masked
        for score in examined.scores:
            description = describe(score)
            self.tables["keys"][description.key] += 1
            self.tables["metres"][description.metre] += 1
            self.tables["types"][description.rhythm] += 1
            self.tables["chords"]["read"] += description.num_chords
            self.tables["chords"]["not read"] += len(description.unreadable_chords)
            self.tables["chords"]["tunes"] += bool(description.unreadable_chords)
            self.tables["unreadable_chords"].update(description.unreadable_chords)
        self.by_source["repaired"][source].update(examined.repairs)
        self.by_source["kept_faulty"][source].update(examined.faults)
        self.by_source["left_out"][source].update(examined.left_out)


@dataclass(frozen=True)
class PartReader:
    """Reads one part into a folder of its own.

    Attributes:
        folder: of all parts.
        preparation: what counts as a good record.
    """

    folder: Path
    preparation: Preparation

    def __call__(self, item: tuple[int, Part]) -> Facts:
        """Read a part, or find that it was read.

        Cost: linear in the part's text; memory is that of `RECORDS_PER_BATCH` records.

        Args:
            item: number of the part, and the part.

        Returns:
            Facts of the part: `folder`, `num_records`, `sources`, `ledger`, what its source says
            of splits, and counts.
        """
        number, part = item
        folder = self.folder / f"{number:05d}"
        return once(folder, lambda empty: self._read(part, empty)) | {"folder": folder.name}

    def _read(self, part: Part, folder: Path) -> Facts:
        ledger, counts = Ledger(), Counts()
        sources: dict[str, int] = {}
        sizes: list[int] = []
        records = read_part(part)
        with RecordWriter(folder) as writer, DropFile(folder / DROPS, ledger) as drops:
            while batch := list(islice(records, RECORDS_PER_BATCH)):
                results = [self._examine(record, ledger, counts) for record in batch]
                drops.enter(result for result in results if isinstance(result, Drop))
                signed = [result for result in results if isinstance(result, SignedRecord)]
                if signed:
                    self._write(signed, part.split, sources, writer)
                    sizes.append(len(signed))
        return {
            "num_records": sum(sizes),
            "batch_sizes": sizes,
            "sources": list(sources),
            "format": part.format,
            "split": part.split,
            "closed": list(part.closed),
            "ledger": ledger.to_json(),
            "tables": counts.tables,
            "by_source": counts.by_source,
            "matches": counts.matches,
            "num_clips": counts.tables["contents"]["clips"],
            "not_covered": len(self._index.not_covered) if self._index else 0,
        }

    def _examine(
        self, record: Record | Drop, ledger: Ledger, counts: Counts
    ) -> SignedRecord | Drop:
        if isinstance(record, Drop):
            ledger.num_read[record.source] += 1
            return record
        source, name = record["source"], record["id"]
        ledger.num_read[source] += 1
        examined = examine(record, self.preparation.music)
        if isinstance(examined, Drop):
            return examined
        hashes = self._melodic_hashes(examined)
        match = self._index.find(examined.record, hashes) if self._index else None
        if match is not None:
            counts.matches.append({"source": source, "id": name} | vars(match))
            detail = f"{match.benchmark} {match.question}: {match.how}"
            return Drop(source, name, "holds a benchmark question", detail, is_fault=False)
        counts.add(examined)
        return SignedRecord(examined, hashes)

    def _write(
        self,
        signed: Sequence[SignedRecord],
        split: str | None,
        sources: dict[str, int],
        writer: RecordWriter,
    ) -> None:
        records = [item.examined.record for item in signed]
        texts = [texts_of(record) for record in records]
        melodies = [sorted(item.hashes) for item in signed]
        clips = [clip_of(record) for record in records]
        signed_texts = [
            text if clip is None else [*text, clip.key]  # the same words about other sounds differ
            for text, clip in zip(texts, clips, strict=True)
        ]
        hashes = [exact_hash(text) for text in signed_texts]
        exact = self.preparation.duplicates.exact
        outlines = [
            self._outline(record) if clip is None else Outline(frame, (text[0],), 0)
            for record, clip, frame, text in zip(records, clips, hashes, texts, strict=True)
        ]
        columns: dict[str, Sequence[int]] = {
            "exact": hashes if exact else [0] * len(texts),
            "key": id_hash([record["id"] for record in records]).tolist(),
            "source": [sources.setdefault(record["source"], len(sources)) for record in records],
            "kind": [int(bool(item.examined.scores)) for item in signed],
            "split": [-1 if split is None else SPLITS.index(split)] * len(signed),
            "num_melodic": [len(hashes) for hashes in melodies],
            "frame": [item.frame for item in outlines],
            "num_parts": [len(item.parts) for item in outlines],
            "around": [item.around for item in outlines],
            "fullness": [fullness(item.examined) for item in signed],
            "title": [self._title(item.examined) for item in signed],
            "clip": [0 if clip is None else int(clip.sha256[:16], 16) for clip in clips],
        }
        near = self.preparation.duplicates.near_similarity is not None
        signatures = signature_rows([item.parts for item in outlines]) if near else None
        writer.write(records, columns, signatures, np.fromiter(chain(*melodies), np.uint64))

    def _outline(self, record: Record) -> Outline:
        policy = self.preparation.duplicates
        if policy.near_similarity is None and policy.melodic_similarity is None:
            return Outline(0, (), 0)
        return outline(record)

    def _title(self, examined: Examined) -> int:
        if not self._compares_tunes or len(examined.titles) != 1:
            return 0
        return title_hash(examined.titles[0])

    def _melodic_hashes(self, examined: Examined) -> frozenset[int]:
        if not self._compares_tunes:
            return frozenset()
        return frozenset().union(*map(melodic_fingerprint, examined.scores))

    @cached_property
    def _compares_tunes(self) -> bool:
        melodic_similarity = self.preparation.duplicates.melodic_similarity
        has_tunes = any(question.abc for question in self.preparation.questions)
        return melodic_similarity is not None or has_tunes

    @cached_property
    def _index(self) -> ContaminationIndex | None:
        questions = self.preparation.questions
        return _index_of(questions) if questions else None


@lru_cache(maxsize=1)
def _index_of(questions: tuple[Question, ...]) -> ContaminationIndex:
    """Return the index of questions; a process that reads several parts makes it once."""
    return ContaminationIndex(questions)
