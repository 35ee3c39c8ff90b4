"""Prepare: sources become a corpus of checked records and packed rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from musicllm import console, quoting
from musicllm.data.corpus import Corpus
from musicllm.data.engines import make_engine
from musicllm.data.pipeline import prepare
from musicllm.data.records import SPLITS
from musicllm.data.settings import Question
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.job import Job
from musicllm.report.corpora import translation_words
from musicllm.report.corpus_page import write_corpus_page
from musicllm.report.page import NextCommand
from musicllm.runs.preparation import preparation_of, tokenizer_of
from musicllm.schema import Config
from musicllm.serve.showing import visible

WORK = "work"


def run(job: Job) -> list[tuple[str, object]]:
    """Make the corpus that `job.config.data` describes.

    What is finished of it stays in `work/` of the run folder until all is.
    """
    config = job.config
    preparation = preparation_of(job, questions(config))
    work = job.folder / WORK
    engine = make_engine(**vars(config.engine))
    with job.writing() as (folder, facts):
        facts.update(prepare(preparation, tokenizer_of(job), engine, work, folder))
        facts.update(report_facts(config))
        if config.data.tokenizer == "inherit":
            facts.update(_inherited(job))
        job.refuse_changed_files()
    shutil.rmtree(work)
    write_corpus_page(job.folder / "report.html", facts, job.recipe, _commands(job))
    _show_sources(facts)
    _show_mix(facts)
    _note_known(facts)
    _note_unreadable(facts["music"])
    _note_untranslated(facts["translations"])
    _note_unused(config.data.instructions.tasks, facts["music"]["families"])
    return _summary(facts, job.folder / "report.html")


def questions(config: Config) -> tuple[Question, ...]:
    """Return the questions of the configured benchmarks, which training must not see."""
    if not config.data.decontaminate:
        return ()
    once = {
        (spec.kind, spec.location, spec.revision): spec
        for spec in reversed(config.benchmark.values())
    }
    cache = Path(config.paths.cache)
    return tuple(
        question
        for spec in once.values()
        for question in BENCHMARK_KINDS[spec.kind].decontamination_questions(spec, cache)
    )


def report_facts(config: Config) -> dict[str, Any]:
    """Return names and licences of the parts of a corpus, for reports."""
    names = {"train": "trained here", "extend": f"{config.model.name}, extended"}
    return {
        "tokenizer": names.get(config.data.tokenizer, config.model.name),
        "template": config.template.name,
        "licences": {name: source.licence for name, source in config.data.sources.items()},
    }


def _inherited(job: Job) -> dict[str, Any]:
    """Return which tokens are new in the tokenizer of `inputs.corpus`, for the plan of training."""
    new = Corpus.open(job.input("corpus").path).facts.get("new_tokens")
    return {} if new is None else {"new_tokens": {k: new[k] for k in ("number", "first", "known")}}


def _commands(job: Job) -> list[NextCommand]:
    corpus = quoting.typed("inputs.corpus", job.folder)
    look = f"python -m musicllm recipe=inspect {corpus}"
    train = f"python -m musicllm recipe=<a recipe that trains> {corpus}"
    return [NextCommand("look at its rows", look), NextCommand("train on it", train)]


def _show_sources(facts: Mapping[str, Any]) -> None:
    """Print how many records of each source were read, kept and dropped."""
    rows = []
    for source in facts["sources"]:
        documents = [f"{facts['splits'][s]['by_source'].get(source, 0):,}" for s in SPLITS]
        reasons = facts["dropped"].get(source, {})
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        read = f"{facts['read'][source]:,}"
        rows.append((source, facts["formats"][source], read, *documents, dropped or "nothing"))
    columns = ("source", "format", "read", *SPLITS, "dropped because it ...")
    console.table("sources", columns, rows)
    show_given(facts)
    for source, repairs in facts["repaired"].items():
        console.say(f"repaired in {source}: " + ", ".join(f"{n:,} {w}" for w, n in repairs.items()))
    show_left_out(facts)


def show_left_out(facts: Mapping[str, Any]) -> None:
    """Print in how many tunes of each source the normal form left out what."""
    for source, counts in facts.get("left_out", {}).items():
        losses = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
        if losses:
            console.say(f"tunes of {source} whose normal form leaves out: {losses}")


def show_given(facts: Mapping[str, Any]) -> None:
    """Print which records were put into a split by the names of their files, and what follows."""
    for source, counts in facts.get("given", {}).items():
        read = ", ".join(f"{count:,} for {split}" for split, count in counts.items())
        console.say(f"{source} was read as its files are named: {read}")
    if related := facts.get("related"):
        console.note(
            f"{related:,} training records are related to held-out ones, as their source divides "
            "them (data.duplicates.related_similarity)"
        )


def _show_mix(facts: Mapping[str, Any]) -> None:
    """Print the requested and the actual shares."""
    if len(facts["mix"]) < 2:
        return
    rows = [
        (
            part["part"],
            "-" if part["requested"] is None else f"{part['requested']:.1%}",
            f"{part['available_documents']:,}",
            f"{part['documents']:,} ({part['share_documents']:.1%})",
            f"{part['tokens']:,} ({part['share_tokens']:.1%})",
        )
        for part in facts["mix"]
    ]
    console.table(
        "mix of the training split", ("part", "requested", "available", "taken", "tokens"), rows
    )


def _note_known(facts: Mapping[str, Any]) -> None:
    """Note tokens of `data.new_tokens` that the tokenizer has already."""
    known = facts.get("new_tokens", {}).get("known", [])
    if known:
        some = ", ".join(map(repr, known[:5]))
        console.note(
            f"data.new_tokens: {len(known):,} of its texts are tokens already and stay as they "
            f"are: {some}{', ...' if len(known) > 5 else ''}"
        )


def _note_unreadable(music: Mapping[str, Any]) -> None:
    """Note how many chord symbols cannot be read, and the most frequent of them."""
    num, tunes = music["unreadable_chord_symbols"], music["tunes_with_unreadable_chords"]
    if not num:
        return
    texts = islice(music["unreadable_chords"].items(), 5)
    frequent = ", ".join(f'"{visible(text)}" ({count:,})' for text, count in texts)
    console.note(
        f"{num:,} of {num + music['chord_symbols']:,} texts in the place of a chord symbol cannot "
        f"be read, in {tunes:,} tunes: {frequent}; they stay as they are, and nothing is asked "
        "about the chords of these tunes"
    )


def _note_untranslated(translations: Mapping[str, Any]) -> None:
    """Note wordings of requests that the table of translations lacks."""
    if num := translations["num_not_in_table"]:
        some = ", ".join(
            repr(visible(text[:80])) for text in islice(translations["not_in_table"], 3)
        )
        console.note(f"{num:,} wordings of requests have no translation and stay: {some}")


def _note_unused(tasks: Sequence[str], families: Mapping[str, int]) -> None:
    for task in tasks:
        if task not in families and (task != "dialogue" or len(tasks) == 1):
            console.note(f"data.instructions.tasks: {task} was not used, since it fits no tune")


def _summary(facts: Mapping[str, Any], page: Path) -> list[tuple[str, object]]:
    splits = facts["splits"]
    train = splits["train"]
    families = facts["music"]["families"]
    rows: list[tuple[str, object]] = [
        ("records read", f"{sum(facts['read'].values()):,}"),
        ("dropped", f"{sum(sum(reasons.values()) for reasons in facts['dropped'].values()):,}"),
        *((f"kept for {split}", f"{splits[split]['documents']:,}") for split in SPLITS),
        ("training tokens", f"{train['tokens']:,}"),
        ("of them supervised", f"{train['supervised_tokens']:,}"),
        ("training rows", f"{train['rows']:,} of {facts['max_length']:,} tokens"),
        ("packing efficiency", f"{train['packing_efficiency']:.2%}"),
        ("vocabulary", f"{facts['vocab_size']:,} tokens"),
    ]
    if (new := facts.get("new_tokens")) and "before" in new:
        share = 1 - new["after"] / new["before"]
        text = f"{new['number']:,}; {new['texts']:,} training texts are {share:.1%} shorter"
        rows.append(("new tokens", text))
    if facts["masked_turns"]:
        rows.append(("masked turns", f"{facts['masked_turns']:,}, as the data marks them"))
    rows += _language_rows(facts)
    if families:
        rows.append(("conversations", ", ".join(f"{n:,} {name}" for name, n in families.items())))
    contamination = facts["contamination"]
    if num_questions := contamination["questions"]:
        text = f"{contamination['removed']:,} records hold one of {num_questions:,} questions"
        short = f"; {contamination['not_covered']:,} are too short to look for"
        rows.append(("benchmarks", text + (short if contamination["not_covered"] else "")))
    if any(facts["related_pairs"].values()):
        text = ", ".join(
            f"{count:,} {how.replace('_', ' ')}" for how, count in facts["related_pairs"].items()
        )
        rows.append(("related pairs", f"{text}; together when splits are drawn"))
    if train["without_rows"]:
        rows.append(("in no row", f"{train['without_rows']:,} documents of less than two tokens"))
    if train["cut"]:
        rows.append(("cut (data.compat)", f"{train['cut']:,} samples"))
    for name, files in facts["also_written"].items():
        written = (f"{file['records']:,} in {file['file']}" for file in files.values())
        rows.append((f"also as {name}", ", ".join(written)))
    return [*rows, ("look at it", page)]


def _language_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield rows about the languages of the training rows, of requests and system prompts."""
    languages = facts["splits"]["train"]["languages"]
    total = sum(count["documents"] for count in languages.values())
    texts = (f"{count['documents'] / total:.1%} {name}" for name, count in languages.items())
    yield "languages", ", ".join(texts)
    if words := translation_words(facts):
        yield "translations", words
    if prompts := facts["system_prompts"]:
        yield "system prompts", ", ".join(f"{count:,} {name}" for name, count in prompts.items())
