"""Phase two: what only all records together can tell: duplicates, and which split a record is in.

The one phase in one process. It holds some columns of 8 bytes a record; signatures stay on disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates import REASONS, Decision, Melodies, Signatures, Texts, decide
from musicllm.data.ledger import DropFile, Ledger
from musicllm.data.pipeline.columns import DROPS, MELODY, MINHASH, load_column, load_ids
from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import SPLITS, Drop
from musicllm.data.settings import Preparation
from musicllm.data.split import Groups, place

SPLIT = "split.npy"
DROPPED = -1


@dataclass(frozen=True)
class ReadParts:
    """The parts as they were read.

    Attributes:
        folders: of the parts.
        facts: of the parts.
        sources: names of all sources, in the order of their first part.
    """

    folders: tuple[Path, ...]
    facts: tuple[Facts, ...]
    sources: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path, facts: Sequence[Facts]) -> ReadParts:
        """Return what the parts' facts describe."""
        names = dict.fromkeys(name for part in facts for name in part["ledger"]["num_read"])
        return cls(tuple(folder / part["folder"] for part in facts), tuple(facts), tuple(names))

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column over all parts; `source` is a position in `sources`."""
        if name != "source":
            return load_column(self.folders, name)
        pieces = [np.zeros(0, np.int16)]
        for folder, facts in zip(self.folders, self.facts, strict=True):
            positions = [self.sources.index(source) for source in facts["sources"]]
            codes = load_column([folder], name)
            pieces.append(np.array(positions, np.int16)[codes] if len(codes) else codes)
        return np.concatenate(pieces)

    def closed(self) -> npt.NDArray[np.int8]:
        """Return the splits that each record's source gives itself; bit i is `SPLITS[i]`."""
        masks = [sum(1 << SPLITS.index(split) for split in part["closed"]) for part in self.facts]
        return np.repeat(np.array(masks, np.int8), [part["num_records"] for part in self.facts])

    def offsets(self) -> npt.NDArray[np.int64]:
        """Return the first record of each part, and the number of all records."""
        return np.cumsum([0, *(part["num_records"] for part in self.facts)], dtype=np.int64)


def settle(parts: ReadParts, preparation: Preparation, folder: Path) -> Facts:
    """Decide on every record; writes its split, or that it is dropped, to `<folder>/split.npy`.

    Cost: sorts over the records' hashes, n log n; about 84 bytes a record, and the ids of the
    duplicates. See `data.duplicates` for near and melodic ones.

    Returns:
        `ledger`, the duplicates that were left out, which are listed in `<folder>/drops.jsonl`;
        `related`, how many training records have a relative that their source holds out; and
        `related_pairs`, how many that stay share a group, by melody and by title.
    """
    return once(folder, lambda empty: _settle(parts, preparation, empty))


def _settle(parts: ReadParts, preparation: Preparation, folder: Path) -> Facts:
    decision = decide(_signatures(parts, folder), preparation.duplicates)
    split, num_related = _splits(parts, preparation, decision)
    np.save(folder / SPLIT, split)
    for raw in (MINHASH, MELODY):
        (folder / raw).unlink(missing_ok=True)
    ledger = Ledger()
    with DropFile(folder / DROPS, ledger) as drops:
        drops.enter(_drops(parts, decision))
    pairs = {"by_melody": decision.num_related, "by_title": decision.num_titled}
    return {"ledger": ledger.to_json(), "related": num_related, "related_pairs": pairs}


def _splits(
    parts: ReadParts, preparation: Preparation, decision: Decision
) -> tuple[npt.NDArray[np.int8], int]:
    """Return the split of each record that stays, and how many train beside a relative held out."""
    stays = decision.duplicate_of < 0
    split = np.full(len(stays), DROPPED, np.int8)
    split[stays], is_related = place(
        Groups(
            split=parts.column("split")[stays],
            closed=parts.closed()[stays],
            group=(np.cumsum(stays) - 1)[decision.group[stays]],
            keys=parts.column("key")[stays],
        ),
        preparation.seed,
        preparation.validation_fraction,
        preparation.test_fraction,
    )
    return split, int(is_related.sum())


def _signatures(parts: ReadParts, folder: Path) -> Signatures:
    """Join the parts' signatures into one file each."""
    for raw in (MINHASH, MELODY):
        with (folder / raw).open("wb") as joined:
            for part in parts.folders:
                with (part / raw).open("rb") as piece:
                    shutil.copyfileobj(piece, joined)
    nonempty = {raw for raw in (MINHASH, MELODY) if (folder / raw).stat().st_size}
    texts = melodies = None
    if MINHASH in nonempty:
        texts = Texts(folder / MINHASH, parts.column("frame"), parts.column("num_parts"))
    if MELODY in nonempty:
        offsets = np.cumsum(np.append(0, parts.column("num_melodic")), dtype=np.int64)
        melodies = Melodies(folder / MELODY, offsets, parts.column("around"))
    return Signatures(
        exact=parts.column("exact"),
        fullness=parts.column("fullness"),
        texts=texts,
        melodies=melodies,
        titles=None if melodies is None else parts.column("title"),
        clips=parts.column("clip"),
        held_out=np.maximum(parts.column("split"), SPLITS.index("train")),
    )


def _drops(parts: ReadParts, decision: Decision) -> Iterator[Drop]:
    """Yield what is left out, in order, with the record that stays instead."""
    dropped = np.flatnonzero(decision.duplicate_of >= 0)
    names = _ids(parts, np.union1d(dropped, decision.duplicate_of[dropped]))
    sources = parts.column("source")
    for index in dropped.tolist():
        first = names[int(decision.duplicate_of[index])]
        similarity = float(decision.similarity[index])
        detail = f"of {first}" if similarity == 1 else f"of {first}, similarity {similarity:.2f}"
        reason = REASONS[int(decision.reason[index])]
        source = parts.sources[int(sources[index])]
        yield Drop(source, names[index], reason, detail, is_fault=False)


def _ids(parts: ReadParts, indices: npt.NDArray[np.int64]) -> dict[int, str]:
    """Return the ids of some records, whose numbers ascend, reading each part's once."""
    offsets = parts.offsets()
    names: dict[int, str] = {}
    for folder, first, stop in zip(parts.folders, offsets, offsets[1:], strict=False):
        own = indices[np.searchsorted(indices, first) : np.searchsorted(indices, stop)].tolist()
        if own:
            ids = load_ids(folder)
            names |= {index: ids[index - int(first)].as_py() for index in own}
    return names
