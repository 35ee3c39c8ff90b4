"""Requested and actual shares of the parts of a corpus.

From `facts["mix"]` or, without a mix, from the training split's counts by source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.report.bars import BarChart, ChartBar
from musicllm.report.tables import NOTHING, Cell, Table, TableRow, as_text


@dataclass(frozen=True)
class Share:
    """A part of the training split; shares are 0 to 1, or None if unknown."""

    part: str
    requested: float | None
    available: int | None
    documents: int
    tokens: int | None
    share_documents: float
    share_tokens: float | None


def share_bars(facts: Mapping[str, Any]) -> BarChart | None:
    """Return a chart of the actual shares, with marks at the requested ones."""
    shares = _shares(facts)
    if not shares:
        return None
    bars = tuple(
        ChartBar(share.part, f"{share.share_documents:.1%}", share.share_documents, share.requested)
        for share in shares
    )
    is_requested = any(share.requested is not None for share in shares)
    note = "The thin line marks the requested share." if is_requested else ""
    return BarChart("Share of the training documents", bars, note)


def share_table(facts: Mapping[str, Any]) -> Table | None:
    """Return requested and actual shares in documents and tokens."""
    rows = [
        TableRow(
            share.part,
            [
                Cell(_percent(share.requested)),
                Cell(_percent(share.share_documents)),
                Cell(_percent(share.share_tokens)),
                Cell(as_text(share.available)),
                Cell(as_text(share.documents)),
                Cell(as_text(share.tokens)),
            ],
        )
        for share in _shares(facts)
    ]
    columns = [
        "", "requested", "of documents", "of tokens", "available", "documents", "tokens",
    ]  # fmt: skip
    return Table("", columns, rows) if rows else None


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.1%}"


def _shares(facts: Mapping[str, Any]) -> Sequence[Share]:
    if facts.get("mix"):
        return [
            Share(
                part["part"],
                part["requested"],
                part["available_documents"],
                part["documents"],
                part["tokens"],
                part["share_documents"],
                part["share_tokens"],
            )
            for part in facts["mix"]
        ]
    return _by_source(facts["splits"]["train"])


def _by_source(train: Mapping[str, Any]) -> list[Share]:
    tokens = train.get("tokens_by_source", {})
    num_documents, num_tokens = sum(train["by_source"].values()), sum(tokens.values())
    return [
        Share(
            part=source,
            requested=None,
            available=documents,
            documents=documents,
            tokens=tokens.get(source),
            share_documents=documents / num_documents,
            share_tokens=tokens[source] / num_tokens if source in tokens else None,
        )
        for source, documents in train["by_source"].items()
        if documents
    ]
