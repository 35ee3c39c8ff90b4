"""One self-contained page about a prepared corpus, from the facts that `prepare` records.

What a corpus has nothing to say about (no music, no mix, no benchmark) is left out or said in
words. Nothing is read or counted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from musicllm import artifacts
from musicllm.report.bars import Bars, ranked
from musicllm.report.corpora import corpus_table, num_documents, repair_table, together
from musicllm.report.figures import length_histogram
from musicllm.report.page import Command, Tile, fill
from musicllm.report.shares import share_bars, share_table
from musicllm.report.tables import Cell, Row, Table, shown

Facts = Mapping[str, Any]

MUSIC = {
    "keys": "Keys",
    "metres": "Metres",
    "types": "Tune types",
    "families": "Instruction families",
    "unreadable_chords": "Chord symbols that cannot be read",
}
"""Part of `facts["music"]` -> caption of its bars."""

MAX_EXAMPLES = 20
"""Records removed for a benchmark question that the page lists; all stand in a file."""


@dataclass(frozen=True)
class Lengths:
    """How long the documents of a split are; `picture` is drawn by `figures`."""

    split: str
    picture: Markup
    words: str


@dataclass(frozen=True)
class CorpusPage:
    """Everything on the page; what is empty or None is said to be missing or left out."""

    title: str
    summary: str
    tiles: Sequence[Tile]
    sources: Table
    counts: Table
    drops: Bars | None
    repairs: Table | None
    shares: Bars | None
    share_table: Table | None
    lengths: Sequence[Lengths]
    music: Sequence[Bars]
    contamination: Table | None
    contamination_words: str
    made_with: Table
    commands: Sequence[Command]
    colophon: str = ""


def write_corpus_page(
    path: Path, facts: Facts, title: str, commands: Sequence[Command] = ()
) -> None:
    """Write the page of a corpus: a file that needs no network, no script and no other file.

    Args:
        path: of the page.
        facts: of the corpus, as its manifest holds them; `licences` (source -> text) may be added.
        title: of the page.
        commands: what can be run from here.
    """
    artifacts.write_text(path, fill("corpus.html.jinja", corpus_page(facts, title, commands)))


def corpus_page(facts: Facts, title: str, commands: Sequence[Command] = ()) -> CorpusPage:
    """Return what the page shows; arguments as `write_corpus_page`."""
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
        lengths=[_lengths(name, split, facts["max_length"]) for name, split in splits.items()
                 if any(split.get("lengths", {}).get("counts", ()))],
        music=[chart for chart in charts if chart is not None],
        contamination=_contamination(facts),
        contamination_words=_contamination_words(facts),
        made_with=_made_with(facts),
        commands=commands,
    )  # fmt: skip


def _num_dropped(facts: Facts) -> int:
    return sum(together(facts["dropped"]).values())


def _summary(facts: Facts) -> str:
    num_sources = len(facts["sources"])
    sources = "one source" if num_sources == 1 else f"{num_sources} sources"
    said = (
        f"{shown(sum(facts['read'].values()))} records read from {sources}, "
        f"{shown(_num_dropped(facts))} left out, {shown(num_documents(facts))} documents kept."
    )
    related = facts.get("related_pairs", {})
    if not any(related.values()):
        return said
    return (
        f"{said} {shown(related['by_melody'])} pairs of tunes are related by melody and "
        f"{shown(related['by_title'])} more by title; splits were drawn without dividing them."
    )


def _tiles(facts: Facts) -> list[Tile]:
    train = facts["splits"]["train"]
    supervised = train["supervised_tokens"] / train["tokens"] if train["tokens"] else 0.0
    row = f"of the {shown(train['rows'])} rows of {shown(facts['max_length'])} is filled"
    return [
        Tile(short(train["documents"]), "documents to train on"),
        Tile(short(train["tokens"]), "tokens to train on"),
        Tile(f"{supervised:.1%}", "of these tokens are supervised"),
        Tile(f"{train['packing_efficiency']:.2%}", row),
    ]


def short(count: int) -> str:
    """Return a count in the width of a tile: 741,000 as it is, then 4.16 M and 4.16 B."""
    for size, letter in ((10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return shown(count)


def _sources(facts: Facts) -> Table:
    formats, licences = facts.get("formats", {}), facts.get("licences", {})
    names = dict.fromkeys([*facts["sources"], *licences])  # a source may consist of several books
    rows = [
        Row(name, [Cell(formats.get(name, "")), Cell(licences.get(name, ""))]) for name in names
    ]
    return Table("Sources", ["source", "format", "licence"], rows, is_text=True)


def _lengths(name: str, split: Facts, max_length: int) -> Lengths:
    edges, counts = _without_empty_ends(split["lengths"]["edges"], split["lengths"]["counts"])
    picture = Markup(length_histogram(edges, counts, max_length, name))
    mean = split["tokens"] / split["documents"] if split["documents"] else 0
    words = f"{shown(split['documents'])} documents, {mean:,.0f} tokens each on average."
    cut = f" {shown(split['cut'])} of them lost tokens." if split.get("cut") else ""
    return Lengths(name, picture, words + cut)


def _without_empty_ends(
    edges: Sequence[int], counts: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the bins from the first to the last that holds something."""
    filled = [place for place, count in enumerate(counts) if count]
    return edges[filled[0] : filled[-1] + 2], counts[filled[0] : filled[-1] + 1]


def _contamination(facts: Facts) -> Table | None:
    """Return which record was removed for which question; None when none was."""
    examples = facts.get("contamination", {}).get("examples", [])
    rows = [
        Row(f"{found['benchmark']} {found['question']}",
            [Cell(found["how"]), Cell(f"{found['source']}: {found['id']}")])
        for found in examples[:MAX_EXAMPLES]
    ]  # fmt: skip
    columns = ["question", "found by", "record removed"]
    return Table("", columns, rows, is_text=True) if rows else None


def _contamination_words(facts: Facts) -> str:
    found = facts.get("contamination", {})
    if not found.get("questions"):
        return "The records were compared with no benchmark."
    removed = found["removed"]
    listed = "" if removed <= MAX_EXAMPLES else f" {MAX_EXAMPLES} of them are listed here;"
    words = f"Compared with {shown(found['questions'])} benchmark questions: "
    if not removed:
        return f"{words}no record holds one of them."
    return f"{words}{shown(removed)} removed.{listed} All are in contamination.jsonl."


def _made_with(facts: Facts) -> Table:
    """Return what the tokens and rows were made with; what an old corpus lacks is a dash."""
    rows = [
        ("tokenizer", f"{shown(facts.get('tokenizer'))}, {shown(facts['vocab_size'])} tokens"),
        ("its fingerprint", facts["tokenizer_fingerprint"]),
        ("chat template", shown(facts.get("template"))),
        ("its fingerprint", facts["template_fingerprint"]),
        ("row former", shown(facts.get("row_former"))),
        ("its version", shown(facts.get("row_former_version"))),
        ("tokens in a row", shown(facts["max_length"])),
    ]
    return Table("", ["", ""], [Row(head, [Cell(text)]) for head, text in rows], is_text=True)
