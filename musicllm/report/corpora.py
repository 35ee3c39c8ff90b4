"""Tables of a corpus: what was read, dropped for which reason, mended and kept, per source.

Knows the facts that `prepare` records with a corpus; counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.report.tables import Cell, Row, Table, shown, words

Counts = Mapping[str, Mapping[str, int]]
"""How many, by source and what it was."""


def num_documents(facts: Mapping[str, Any]) -> int:
    """Return how many documents a corpus holds over all splits."""
    return sum(split["documents"] for split in facts["splits"].values())


def content(facts: Mapping[str, Any]) -> str:
    """Return what the documents of a corpus are: tunes, conversations made from them, or texts."""
    if facts.get("music", {}).get("families"):
        return "conversations"
    kinds = facts.get("kinds", {})
    return "tunes" if kinds.get("scores") and not kinds.get("knowledge") else "documents"


def corpus_table(facts: Mapping[str, Any], caption: str) -> Table:
    """Return the counts of a corpus, a column per source and, of several, one for all together."""
    sources = facts["sources"]
    rows = [
        _row("read", [facts["read"].get(source, 0) for source in sources]),
        *_reasons("dropped: ", facts["dropped"], sources),
        *(
            _row(f"kept: {name}", [split["by_source"].get(source, 0) for source in sources])
            for name, split in facts["splits"].items()
        ),
    ]
    return Table(caption, _columns(sources), rows, _size(facts["splits"]))


def repair_table(facts: Mapping[str, Any]) -> Table | None:
    """Return what was mended, kept with faults, and left out of normal forms; None for nothing."""
    sources = facts["sources"]
    rows = [
        *_reasons("mended: ", facts.get("repaired", {}), sources),
        *_reasons("kept as it is: ", facts.get("kept_faulty", {}), sources),
        *_reasons("left out of the normal form: ", facts.get("left_out", {}), sources),
    ]
    return Table("", _columns(sources), rows) if rows else None


def together(counts: Counts) -> dict[str, int]:
    """Return the sums over all sources, largest first."""
    sums: dict[str, int] = {}
    for by_reason in counts.values():
        for reason, count in by_reason.items():
            sums[reason] = sums.get(reason, 0) + count
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _reasons(prefix: str, counts: Counts, sources: Sequence[str]) -> list[Row]:
    by_source = [counts.get(source, {}) for source in sources]
    reasons = dict.fromkeys(reason for found in by_source for reason in found)
    return [
        _row(prefix + words(reason), [found.get(reason, 0) for found in by_source])
        for reason in reasons
    ]


def _columns(sources: Sequence[str]) -> list[str]:
    return ["", *sources, *(["together"] if len(sources) > 1 else [])]


def _row(head: str, counts: Sequence[int]) -> Row:
    total = [sum(counts)] if len(counts) > 1 else []
    return Row(head, [Cell(shown(count)) for count in (*counts, *total)])


def _size(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the training split's size in tokens, and how full its rows are."""
    train = splits["train"]
    return (
        f"{shown(train['tokens'])} training tokens, {shown(train['supervised_tokens'])} of them "
        f"supervised, in {shown(train['rows'])} rows that are {train['packing_efficiency']:.1%} "
        "full."
    )
