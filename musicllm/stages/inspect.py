"""Inspect: a look at a sample of any data, as it would be prepared, or into a prepared corpus.

Reads little and keeps nothing but what it printed; see `serve/showing.py` for what a row looks
like.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from musicllm import artifacts, console, quoting
from musicllm.data.corpus import Corpus
from musicllm.data.engines import make_engine
from musicllm.data.pipeline import prepare
from musicllm.data.pipeline.columns import DROPS
from musicllm.data.rows import RowStore
from musicllm.data.sources.readers import READERS
from musicllm.errors import InputError, StageError
from musicllm.job import Job
from musicllm.model.base import load_tokenizer
from musicllm.report.corpus_page import write_corpus_page
from musicllm.report.page import NextCommand
from musicllm.runs.preparation import preparation_of, tokenizer_of
from musicllm.serve.showing import show_row, visible
from musicllm.stages.prepare import questions, report_facts, show_given, show_left_out


def run(job: Job) -> list[tuple[str, object]]:
    """Show what was read and dropped, and some rows, and keep them as `samples.txt`.

    The data is that of `inputs.corpus`, unless the configured data is itself made from it; else a
    sample of `config.data`, prepared for the moment.

    Raises:
        InputError: the split that is to be shown has no rows.
    """
    readers = {source.reader for source in job.config.data.sources.values()}
    reads_corpus = any(READERS[reader].input_role == "corpus" for reader in readers)
    if "corpus" in job.inputs and not reads_corpus:
        name = job.config.inputs["corpus"]
        use = quoting.typed("inputs.corpus", name)
        line = f"python -m musicllm recipe=<a recipe that trains> {use}"
        corpus = Corpus.open(job.input("corpus").path)
        return _look(job, corpus, name, NextCommand("Train on it", line))
    name = job.config.data.name
    line = f"python -m musicllm recipe=<a recipe that prepares> {quoting.typed('data', name)}"
    with tempfile.TemporaryDirectory(dir=job.folder, prefix=".sample-") as folder:
        corpus = _sample(job, Path(folder))
        return _look(job, corpus, f"{name}: a sample", NextCommand("Prepare all of it", line))


def _sample(job: Job, folder: Path) -> Corpus:
    """Prepare the first records of every source; a look never stops because of faults."""
    config = job.config
    sample = preparation_of(job, questions(config), config.inspect.num_records)
    sample = replace(sample, max_reject_fraction=1.0)
    corpus, work = folder / "corpus", folder / "work"
    corpus.mkdir()
    try:
        facts = prepare(sample, tokenizer_of(job), make_engine("local"), work, corpus)
    except StageError:  # nothing is left: the more a person wants to know why
        _show_drops(sorted(work.rglob(DROPS)), config.inspect.num_drops)
        raise
    return Corpus(corpus, facts | report_facts(config))


def _look(job: Job, corpus: Corpus, title: str, command: NextCommand) -> list[tuple[str, object]]:
    settings, facts = job.config.inspect, corpus.facts
    store = corpus.rows(settings.split)
    if not len(store):
        filled = [name for name, split in facts["splits"].items() if split["rows"]]
        raise InputError(
            f"inspect.split={settings.split} has no rows here; {', '.join(filled)} has some, or "
            "read more with inspect.num_records"
        )
    _show_sources(facts)
    _show_drops([corpus.path / "rejected.jsonl"], settings.num_drops)
    with job.writing() as (folder, recorded):
        texts = list(_rows(job, corpus, store))
        artifacts.write_text(folder / "samples.txt", "\n".join(texts))
        for page in (folder / "report.html", job.folder / "report.html"):
            write_corpus_page(page, facts, title, [command])
        recorded["num_samples"] = len(texts)
    return [
        ("rows shown", f"{len(texts)} of {len(store):,} ({settings.split})"),
        ("the same as text", job.artifact_path / "samples.txt"),
        ("charts", job.folder / "report.html"),
    ]


def _rows(job: Job, corpus: Corpus, store: RowStore) -> Iterator[str]:
    """Print some rows, drawn by the seed, and yield them as text."""
    settings, facts = job.config.inspect, corpus.facts
    tokenizer = load_tokenizer(corpus.tokenizer_path)
    in_colour = console.out.is_terminal
    where = "are green" if in_colour else "stand between [[ and ]]"
    console.say(f"\nSupervised tokens {where}.")
    count = min(settings.num_samples, len(store))
    for index in sorted(random.Random(job.config.seed).sample(range(len(store)), count)):
        row = store.row(index)
        full = len(row.input_ids) / facts["max_length"]
        head = f"{settings.split} row {index:,} of {len(store):,}, {full:.0%} full"
        console.heading(f"\n{head}")
        view = partial(show_row, row, tokenizer, facts["sources"], num_bars=settings.num_bars)
        marked = view(marks=True)
        console.out.print(view(marks=False) if in_colour else marked)
        yield f"{head}\n{marked.plain}"


def _show_sources(facts: Mapping[str, Any]) -> None:
    """Print what each source holds, and what became of its records."""
    formats, splits = facts.get("formats", {}), facts["splits"]
    rows = [
        (
            visible(source),
            formats.get(source, ""),
            f"{facts['read'].get(source, 0):,}",
            f"{sum(facts['dropped'].get(source, {}).values()):,}",
            *(f"{split['by_source'].get(source, 0):,}" for split in splits.values()),
            ", ".join(
                f"{count:,} {what}"
                for what, count in facts.get("repaired", {}).get(source, {}).items()
            ),
        )
        for source in facts["sources"]
    ]
    console.table("Sources", ("source", "format", "read", "dropped", *splits, "repaired"), rows)
    show_given(facts)
    show_left_out(facts)


def _show_drops(files: Sequence[Path], num_examples: int) -> None:
    """Print how many records were left out for which reason, with the first of each."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in files:
        with path.open(encoding="utf-8") as file:
            for drop in map(json.loads, file):
                which = drop["source"], drop["reason"]
                counts[which] += 1
                if counts[which] <= num_examples:
                    examples[which].append(f"{drop['place']}: {drop['detail']}")
    rows = [
        (visible(source), f"{count:,}", reason, visible("\n".join(examples[source, reason])))
        for (source, reason), count in counts.most_common()
    ]
    if rows:
        console.table("\nDropped", ("source", "records", "reason", "for example"), rows)
