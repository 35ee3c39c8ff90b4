"""Every record that was read and every one that was left out, with the reason.

No record disappears without an entry here. Faults (a tune that does not parse) count against the
share of drops that a preparation accepts; leftovers (a duplicate of a record that stays) do not.
A ledger holds counts and one example for each reason; the entries themselves go to a file as they
come, so that it stays small whatever it counts.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from musicllm.data.records import Drop
from musicllm.errors import StageError


@dataclass
class Ledger:
    """The books of a preparation, or of a part of it.

    Attributes:
        num_read: records read from each source.
        dropped: records that each source lost, by reason.
        faults: of all of them, those with something wrong, by reason.
        examples: the first fault of each reason, as `place: detail`.
    """

    num_read: Counter[str] = field(default_factory=Counter)
    dropped: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def enter(self, drop: Drop) -> None:
        """Count a record that was left out."""
        self.dropped[drop.source][drop.reason] += 1
        if drop.is_fault:
            self.faults[drop.reason] += 1
            self.examples.setdefault(drop.reason, f"{drop.place}: {drop.detail}")

    def add(self, other: Ledger) -> None:
        """Add the counts of a later part."""
        self.num_read.update(other.num_read)
        self.faults.update(other.faults)
        for source, reasons in other.dropped.items():
            self.dropped[source].update(reasons)
        for reason, example in other.examples.items():
            self.examples.setdefault(reason, example)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many records each source lost for each reason, most frequent first."""
        names = dict.fromkeys([*self.num_read, *self.dropped])
        return {name: dict(self.dropped[name].most_common()) for name in names}

    def check(self, max_reject_fraction: float) -> None:
        """Refuse a source material with more faults than the configuration accepts.

        Raises:
            StageError: nothing was read, or too large a share has faults; with the top reasons.
        """
        num_read, num_faults = self.num_read.total(), self.faults.total()
        if not num_read:
            raise StageError("no record was read; look at data.sources and inputs")
        if num_faults <= max_reject_fraction * num_read:
            return
        raise StageError(
            f"{num_faults:,} of {num_read:,} records ({num_faults / num_read:.1%}) were dropped; "
            f"data.max_reject_fraction={max_reject_fraction} allows {max_reject_fraction:.1%}:\n"
            + self.reasons()
        )

    def reasons(self) -> str:
        """Return the most frequent faults with an example each, a line for each."""
        return "\n".join(
            f"  {count:,} x {reason}: {self.examples[reason]}"
            for reason, count in self.faults.most_common(5)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Ledger:
        """Return the ledger that `to_json` took apart."""
        dropped = {source: Counter(reasons) for source, reasons in values["dropped"].items()}
        return cls(
            Counter(values["num_read"]),
            defaultdict(Counter, dropped),
            Counter(values["faults"]),
            dict(values["examples"]),
        )


class DropFile:
    """Writes one JSON object for each drop, and enters it in a ledger."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self.ledger = ledger
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def enter(self, drops: Iterable[Drop]) -> None:
        """Take drops."""
        for drop in drops:
            self.ledger.enter(drop)
            self._file.write(json.dumps(asdict(drop), ensure_ascii=False) + "\n")
