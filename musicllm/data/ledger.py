"""Every record that was read and every one that was left out, with the reason.

No record disappears without an entry here. Faults (a tune that does not parse) count against the
share of drops that a preparation accepts; leftovers (a duplicate of a tune that stays) do not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from musicllm.data.corpus import write_jsonl
from musicllm.data.records import Drop
from musicllm.errors import StageError


@dataclass
class Ledger:
    """The books of a preparation.

    Attributes:
        num_read: records read from each source.
        drops: the ones left out, in order.
    """

    num_read: Counter[str] = field(default_factory=Counter)
    drops: list[Drop] = field(default_factory=list)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many records each source lost for each reason, most frequent first."""
        counts: dict[str, Counter[str]] = {source: Counter() for source in self.num_read}
        for drop in self.drops:
            counts.setdefault(drop.source, Counter())[drop.reason] += 1
        return {source: dict(reasons.most_common()) for source, reasons in counts.items()}

    def check(self, max_reject_fraction: float) -> None:
        """Refuse a source material with more faults than the configuration accepts.

        Raises:
            StageError: nothing was read, or too large a share has faults; with the top reasons.
        """
        num_read = self.num_read.total()
        faults = [drop for drop in self.drops if drop.is_fault]
        if not num_read:
            raise StageError("no record was read; look at data.source, data.location and inputs")
        if len(faults) <= max_reject_fraction * num_read:
            return
        reasons = Counter(drop.reason for drop in faults)
        lines = [
            f"  {count:,} x {reason}: {self._example(reason)}"
            for reason, count in reasons.most_common(5)
        ]
        share = len(faults) / num_read
        head = (
            f"{len(faults):,} of {num_read:,} records ({share:.1%}) were dropped; "
            f"data.max_reject_fraction={max_reject_fraction} allows {max_reject_fraction:.1%}:"
        )
        raise StageError("\n".join([head, *lines]))

    def write(self, path: Path) -> None:
        """Write one JSON object for each drop."""
        write_jsonl(path, (asdict(drop) for drop in self.drops))

    def _example(self, reason: str) -> str:
        drop = next(drop for drop in self.drops if drop.reason == reason)
        return f"{drop.place}: {drop.detail}"
