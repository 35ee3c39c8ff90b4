"""Tables of a corpus: documents read, dropped by reason, repaired and kept, per source.

Reads the facts that `prepare` records; counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.report.tables import Cell, Table, TableRow, as_text, words

Counts = Mapping[str, Mapping[str, int]]
"""Counts by source and reason."""


def num_documents(facts: Mapping[str, Any]) -> int:
    """Return the number of documents over all splits."""
    return sum(split["documents"] for split in facts["splits"].values())


def content(facts: Mapping[str, Any]) -> str:
    """Return the plural noun for the documents of a corpus: tunes, conversations or documents."""
    if facts.get("music", {}).get("families"):
        return "conversations"
    kinds = facts.get("kinds", {})
    return "tunes" if kinds.get("scores") and not kinds.get("knowledge") else "documents"


def corpus_table(facts: Mapping[str, Any], caption: str) -> Table:
    """Return the counts of a corpus, a column per source, and a total if there are several."""
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
    """Return counts of repairs, faults kept, and omissions of the canonical form; None if empty."""
    sources = facts["sources"]
    rows = [
        *_reasons("mended: ", facts.get("repaired", {}), sources),
        *_reasons("kept as it is: ", facts.get("kept_faulty", {}), sources),
        *_reasons("left out of the normal form: ", facts.get("left_out", {}), sources),
    ]
    return Table("", _columns(sources), rows) if rows else None


LANGUAGE_NAMES = {
    "en": "English", "zh": "Chinese", "other": "another language", "music": "music alone",
}  # fmt: skip
"""Languages of records (`data.languages`) in words."""


def language_table(facts: Mapping[str, Any]) -> Table | None:
    """Return the documents and tokens of the rows in each language, a pair of columns per split."""
    splits = {name: split["languages"] for name, split in facts["splits"].items()
              if split.get("languages")}  # fmt: skip
    names = dict.fromkeys(name for languages in splits.values() for name in languages)
    rows = []
    for name in sorted(names, key=list(LANGUAGE_NAMES).index):
        cells = []
        for languages in splits.values():
            count = languages.get(name, {"documents": 0, "tokens": 0})
            total = sum(other["documents"] for other in languages.values())
            share = f"{count['documents'] / total:.1%}"
            cells += [
                Cell(as_text(count["documents"])),
                Cell(share),
                Cell(as_text(count["tokens"])),
            ]
        rows.append(TableRow(LANGUAGE_NAMES[name], cells))
    columns = [f"{split}: {what}" for split in splits for what in ("documents", "share", "tokens")]
    return Table("Languages of the rows", ["", *columns], rows) if rows else None


def translation_words(facts: Mapping[str, Any]) -> str:
    """Return what became of the requests that were drawn for a language; empty without any."""
    texts = []
    for language, outcomes in facts.get("translations", {}).get("counts", {}).items():
        counts = ", ".join(f"{as_text(count)} {outcome}" for outcome, count in outcomes.items())
        texts.append(f"of {as_text(sum(outcomes.values()))} drawn for {language}, {counts}")
    return "; ".join(texts)


def together(counts: Counts) -> dict[str, int]:
    """Return the sums over all sources, largest first."""
    sums: dict[str, int] = {}
    for by_reason in counts.values():
        for reason, count in by_reason.items():
            sums[reason] = sums.get(reason, 0) + count
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _reasons(prefix: str, counts: Counts, sources: Sequence[str]) -> list[TableRow]:
    by_source = [counts.get(source, {}) for source in sources]
    reasons = dict.fromkeys(reason for counts_of in by_source for reason in counts_of)
    return [
        _row(prefix + words(reason), [counts_of.get(reason, 0) for counts_of in by_source])
        for reason in reasons
    ]


def _columns(sources: Sequence[str]) -> list[str]:
    return ["", *sources, *(["together"] if len(sources) > 1 else [])]


def _row(head: str, counts: Sequence[int]) -> TableRow:
    total = [sum(counts)] if len(counts) > 1 else []
    return TableRow(head, [Cell(as_text(count)) for count in (*counts, *total)])


def _size(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """Describe the size of the training split and its packing efficiency."""
    train = splits["train"]
    return (
        f"{as_text(train['tokens'])} training tokens, {as_text(train['supervised_tokens'])} of "
        f"them supervised, in {as_text(train['rows'])} rows that are "
        f"{train['packing_efficiency']:.1%} full."
    )
