"""Phase two: what only all records together can tell: duplicates, and which split a record is in.

The one phase in one process. It holds some columns of 8 bytes a record; signatures stay on disk.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates import REASONS, Decision, Signatures, decide
from musicllm.data.ledger import DropFile, Ledger
from musicllm.data.pipeline.columns import DROPS, MELODY, MINHASH, RECORDS, load_column
from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import Drop
from musicllm.data.settings import Preparation
from musicllm.data.split import split_groups

SPLIT = "split.npy"
DROPPED = -1


@dataclass(frozen=True)
class Reading:
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
    def of(cls, folder: Path, facts: Sequence[Facts]) -> Reading:
        """Return what the parts' facts describe."""
        names = dict.fromkeys(name for part in facts for name in part["ledger"]["num_read"])
        return cls(tuple(folder / part["folder"] for part in facts), tuple(facts), tuple(names))

    def column(self, name: str) -> npt.NDArray[np.generic]:
        """Return a column over all parts; `source` is a position in `sources`."""
        if name != "source":
            return load_column(self.folders, name)
        pieces = [np.zeros(0, np.int16)]
        for folder, facts in zip(self.folders, self.facts, strict=True):
            positions = [self.sources.index(source) for source in facts["sources"]]
            codes = load_column([folder], name)
            pieces.append(np.array(positions, np.int16)[codes] if len(codes) else codes)
        return np.concatenate(pieces)

    def offsets(self) -> npt.NDArray[np.int64]:
        """Return the first record of each part, and the number of all records."""
        return np.cumsum([0, *(part["num_records"] for part in self.facts)], dtype=np.int64)


def settle(reading: Reading, preparation: Preparation, folder: Path) -> Ledger:
    """Decide on every record; writes its split, or that it is dropped, to `<folder>/split.npy`.

    Cost: sorts over the records' hashes, n log n; about 60 bytes a record, and the ids of the
    duplicates. See `data.duplicates` for near and melodic ones.

    Returns:
        The duplicates that were left out; they are listed in `<folder>/drops.jsonl`.
    """
    facts = once(folder, lambda empty: _settle(reading, preparation, empty))
    return Ledger.from_json(facts["ledger"])


def _settle(reading: Reading, preparation: Preparation, folder: Path) -> Facts:
    decision = decide(_signatures(reading, folder), preparation.duplicates)
    stays = decision.duplicate_of < 0
    split = reading.column("split")
    free = stays & (split < 0)
    keys = reading.column("key")
    split[free] = split_groups(
        decision.group[free],
        keys[decision.group[free]],
        preparation.seed,
        preparation.validation_fraction,
        preparation.test_fraction,
    )
    split[~stays] = DROPPED
    np.save(folder / SPLIT, split)
    for raw in (MINHASH, MELODY):
        (folder / raw).unlink(missing_ok=True)
    ledger = Ledger()
    with DropFile(folder / DROPS, ledger) as drops:
        drops.enter(_drops(reading, decision))
    return {"ledger": ledger.to_json()}


def _signatures(reading: Reading, folder: Path) -> Signatures:
    """Join the parts' signatures into one file each."""
    for raw in (MINHASH, MELODY):
        with (folder / raw).open("wb") as joined:
            for part in reading.folders:
                with (part / raw).open("rb") as piece:
                    shutil.copyfileobj(piece, joined)
    lengths = reading.column("num_melodic").astype(np.int64)
    has_minhash = (folder / MINHASH).stat().st_size > 0
    return Signatures(
        exact=reading.column("exact"),
        minhash=folder / MINHASH if has_minhash else None,
        melody=folder / MELODY,
        melody_offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
    )


def _drops(reading: Reading, decision: Decision) -> Iterator[Drop]:
    """Yield what is left out, in order, with the record that stays instead."""
    dropped = np.flatnonzero(decision.duplicate_of >= 0)
    names = _ids(reading, np.union1d(dropped, decision.duplicate_of[dropped]))
    sources = reading.column("source")
    for index in dropped.tolist():
        first = names[int(decision.duplicate_of[index])]
        similarity = float(decision.similarity[index])
        detail = f"of {first}" if similarity == 1 else f"of {first}, similarity {similarity:.2f}"
        reason = REASONS[int(decision.reason[index])]
        source = reading.sources[int(sources[index])]
        yield Drop(source, names[index], reason, detail, is_fault=False)


def _ids(reading: Reading, wanted: npt.NDArray[np.int64]) -> dict[int, str]:
    """Return the ids of some records, reading each part's once."""
    import pyarrow as pa

    offsets = reading.offsets()
    by_part: defaultdict[int, list[int]] = defaultdict(list)
    for index in wanted.tolist():
        by_part[int(np.searchsorted(offsets, index, side="right")) - 1].append(index)
    names: dict[int, str] = {}
    for part, indices in by_part.items():
        options = pa.ipc.IpcReadOptions(included_fields=[0])
        with pa.OSFile(str(reading.folders[part] / RECORDS), "rb") as file:
            ids = pa.ipc.open_file(file, options=options).read_all().column("id")
        names |= {index: ids[index - int(offsets[part])].as_py() for index in indices}
    return names
