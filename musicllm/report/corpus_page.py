"""The page about a corpus, from the facts that `prepare` records.

Parts without data (no music, no mix, no benchmark) are left out or described as
missing. Nothing is read or counted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from musicllm import artifacts
from musicllm.report.bars import BarChart, ranked
from musicllm.report.corpora import (
    corpus_table,
    language_table,
    num_documents,
    repair_table,
    together,
    translation_words,
)
from musicllm.report.figures import length_histogram
from musicllm.report.page import NextCommand, Tile, fill
from musicllm.report.shares import share_bars, share_table
from musicllm.report.tables import Cell, Table, TableRow, as_text

Facts = Mapping[str, Any]

MUSIC = {
    "keys": "Keys",
    "metres": "Metres",
    "types": "Tune types",
    "families": "Instruction families",
    "unreadable_chords": "Chord symbols that cannot be read",
}
"""Part of `facts["music"]` -> caption of its chart."""

MAX_EXAMPLES = 20
"""Maximum number of contaminated records on the page; contamination.jsonl has all."""


@dataclass(frozen=True)
class Lengths:
    """The document lengths of a split; `picture` is drawn by `figures`."""

    split: str
    picture: Markup
    words: str


@dataclass(frozen=True)
class CorpusPage:
    """The content of the page; empty parts are left out or described as missing."""

    title: str
    summary: str
    tiles: Sequence[Tile]
    sources: Table
    counts: Table
    drops: BarChart | None
    repairs: Table | None
    shares: BarChart | None
    share_table: Table | None
    languages: Table | None
    translations: str
    not_translated: BarChart | None
    lengths: Sequence[Lengths]
    music: Sequence[BarChart]
    contamination: Table | None
    contamination_words: str
    made_with: Table
    commands: Sequence[NextCommand]
    colophon: str = ""


def write_corpus_page(
    path: Path, facts: Facts, title: str, commands: Sequence[NextCommand] = ()
) -> None:
    """Write the page of a corpus as self-contained HTML without scripts.

    Args:
        path: of the page.
        facts: of the corpus, from its manifest; `licences` (source -> text) may be added.
        title: of the page.
        commands: suggestions for what to run next.
    """
    artifacts.write_text(path, fill("corpus.html.jinja", corpus_page(facts, title, commands)))


def corpus_page(facts: Facts, title: str, commands: Sequence[NextCommand] = ()) -> CorpusPage:
    """Return the content of the page; arguments as in `write_corpus_page`."""
    splits, music = facts["splits"], facts.get("music", {})
    charts = [ranked(caption, music.get(part, {})) for part, caption in MUSIC.items()]
    return CorpusPage(
        title=title,
        summary=_summary(facts),
        tiles=_tiles(facts),
        sources=_sources(facts),
        counts=corpus_table(facts, ""),
        drops=ranked("Why records were dropped", together(facts["dropped"])),
        repairs=repair_table(facts),
        shares=share_bars(facts),
        share_table=share_table(facts),
        languages=language_table(facts),
        translations=translation_words(facts),
        not_translated=ranked(
            "Requests without a translation", facts.get("translations", {}).get("not_in_table", {})
        ),
        lengths=[_lengths(name, split, facts["max_length"]) for name, split in splits.items()
                 if any(split.get("lengths", {}).get("counts", ()))],
        music=[chart for chart in charts if chart is not None],
        contamination=_contamination(facts),
        contamination_words=_contamination_words(facts),
        made_with=_made_with(facts),
        commands=commands,
    )  # fmt: skip


def _summary(facts: Facts) -> str:
    num_sources, num_dropped = len(facts["sources"]), sum(together(facts["dropped"]).values())
    sources = "one source" if num_sources == 1 else f"{num_sources} sources"
    text = (
        f"{as_text(sum(facts['read'].values()))} records read from {sources}, "
        f"{as_text(num_dropped)} left out, {as_text(num_documents(facts))} documents kept."
    )
    related = facts.get("related_pairs", {})
    if not any(related.values()):
        return text
    return (
        f"{text} {as_text(related['by_melody'])} pairs of tunes are related by melody and "
        f"{as_text(related['by_title'])} more by title; splits were drawn without dividing them."
    )


def _tiles(facts: Facts) -> list[Tile]:
    train = facts["splits"]["train"]
    supervised = train["supervised_tokens"] / train["tokens"] if train["tokens"] else 0.0
    row = f"of the {as_text(train['rows'])} rows of {as_text(facts['max_length'])} is filled"
    return [
        Tile(short(train["documents"]), "documents to train on"),
        Tile(short(train["tokens"]), "tokens to train on"),
        Tile(f"{supervised:.1%}", "of these tokens are supervised"),
        Tile(f"{train['packing_efficiency']:.2%}", row),
    ]


def short(count: int) -> str:
    """Format a count for a tile: 741,000 in full, then 4.16 M and 4.16 B."""
    for size, letter in ((10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return as_text(count)


def _sources(facts: Facts) -> Table:
    formats, licences = facts.get("formats", {}), facts.get("licences", {})
    names = dict.fromkeys([*facts["sources"], *licences])  # a source may consist of several books
    rows = [
        TableRow(name, [Cell(formats.get(name, "")), Cell(licences.get(name, ""))])
        for name in names
    ]
    return Table("Sources", ["source", "format", "licence"], rows, is_text=True)


def _lengths(name: str, split: Facts, max_length: int) -> Lengths:
    edges, counts = _without_empty_ends(split["lengths"]["edges"], split["lengths"]["counts"])
    picture = Markup(length_histogram(edges, counts, max_length, name))
    mean = split["tokens"] / split["documents"] if split["documents"] else 0
    words = f"{as_text(split['documents'])} documents, {mean:,.0f} tokens each on average."
    cut = f" {as_text(split['cut'])} of them lost tokens." if split.get("cut") else ""
    return Lengths(name, picture, words + cut)


def _without_empty_ends(
    edges: Sequence[int], counts: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the bins from the first to the last that is not empty."""
    filled = [place for place, count in enumerate(counts) if count]
    return edges[filled[0] : filled[-1] + 2], counts[filled[0] : filled[-1] + 1]


def _contamination(facts: Facts) -> Table | None:
    """Return the records removed as contaminated, with their question; None if there are none."""
    examples = facts.get("contamination", {}).get("examples", [])
    rows = [
        TableRow(f"{example['benchmark']} {example['question']}",
            [Cell(example["how"]), Cell(f"{example['source']}: {example['id']}")])
        for example in examples[:MAX_EXAMPLES]
    ]  # fmt: skip
    columns = ["question", "found by", "record removed"]
    return Table("", columns, rows, is_text=True) if rows else None


def _contamination_words(facts: Facts) -> str:
    facts_of = facts.get("contamination", {})
    if not facts_of.get("questions"):
        return "The records were compared with no benchmark."
    removed = facts_of["removed"]
    listed = "" if removed <= MAX_EXAMPLES else f" {MAX_EXAMPLES} of them are listed here;"
    words = f"Compared with {as_text(facts_of['questions'])} benchmark questions: "
    if not removed:
        return f"{words}no record holds one of them."
    return f"{words}{as_text(removed)} removed.{listed} All are in contamination.jsonl."


def _made_with(facts: Facts) -> Table:
    """Return tokenizer, template and packing of the corpus; a dash for facts that it lacks."""
    rows = [
        ("tokenizer", f"{as_text(facts.get('tokenizer'))}, {as_text(facts['vocab_size'])} tokens"),
        ("its fingerprint", facts["tokenizer_fingerprint"]),
        ("chat template", as_text(facts.get("template"))),
        ("its fingerprint", facts["template_fingerprint"]),
        ("row former", as_text(facts.get("row_former"))),
        ("its version", as_text(facts.get("row_former_version"))),
        ("tokens in a row", as_text(facts["max_length"])),
        *(
            (f"also as {name}", ", ".join(_written(file) for file in files.values()))
            for name, files in facts.get("also_written", {}).items()
        ),
    ]
    return Table("", ["", ""], [TableRow(head, [Cell(text)]) for head, text in rows], is_text=True)


def _written(file: Facts) -> str:
    return f"{file['file']} ({as_text(file['records'])} records, sha256 {file['sha256'][:12]})"
