"""From sources to a corpus: read, clean, de-duplicate, split, tokenise, pack, write.

Sources: `tune_books` (ABC files) and `instructions` (conversations about the tunes of another
corpus, in its splits).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from musicllm import console
from musicllm.data.build import build
from musicllm.data.clean import clean
from musicllm.data.corpus import Corpus
from musicllm.data.duplicates import deduplicate
from musicllm.data.instructions import TASKS, make_instructions
from musicllm.data.ledger import Ledger
from musicllm.data.records import SPLITS, Drop, Record
from musicllm.data.sources import read_tunes, tune_books
from musicllm.data.split import split_groups
from musicllm.data.transposed import transposed
from musicllm.data.vocabulary import train_tokenizer
from musicllm.errors import ConfigError, InputError, NotAvailableError, Problem, StageError
from musicllm.job import Job
from musicllm.model import packaged
from musicllm.model.base import load_tokenizer
from musicllm.schema import DataConfig

Splits = dict[str, list[Record]]


def run(job: Job) -> list[tuple[str, object]]:
    """Make the corpus that `job.config.data` describes.

    Raises:
        NotAvailableError: a source that this version cannot read.
        StageError: more records have faults than `data.max_reject_fraction` allows, or none is
            left for training.
    """
    data = job.config.data
    ledger = Ledger()
    splits = _read(job, ledger)
    ledger.check(data.max_reject_fraction)
    if not splits["train"]:
        raise StageError("no record is left for training; lower data.test_fraction or read more")
    with job.writing() as (folder, facts):
        tokenizer = _tokenizer(job, splits["train"])
        made = build(folder, splits, tokenizer, ledger, data.row_former, data.max_length)
        ledger.check(data.max_reject_fraction)
        facts.update(made)
    _show_sources(facts)
    return _summary(facts)


def _read(job: Job, ledger: Ledger) -> Splits:
    data, seed = job.config.data, job.config.seed
    if data.source == "tune_books":
        return _tunes(data, seed, ledger)
    if data.source == "instructions":
        return _instructions(Corpus.open(job.input("corpus").path), data, seed, ledger)
    raise NotAvailableError(
        f"data.source={data.source} cannot be prepared by this version of musicllm; it prepares "
        "tune_books (a folder of .abc files) and instructions (made from another corpus)"
    )


def _tunes(data: DataConfig, seed: int, ledger: Ledger) -> Splits:
    """Clean, de-duplicate and split the tunes of some books."""
    found = list(read_tunes(tune_books(data.location)))
    ledger.num_read.update(book for book, _ in found)
    tunes, rejected = clean(found)
    kept, drops = deduplicate(tunes, data.near_duplicate_similarity)
    groups = [group for _, group in kept]
    places = split_groups(groups, seed, data.validation_fraction, data.test_fraction)
    splits: Splits = {split: [] for split in SPLITS}
    for (tune, group), split in zip(kept, places, strict=True):
        record = {"id": tune.id, "source": tune.source, "text": tune.text}
        splits[split].append({**record, "fingerprint_group": group})
    splits["train"], lost = transposed(splits["train"], data.transpose_semitones)
    ledger.drops += rejected + drops + lost
    return splits


def _instructions(corpus: Corpus, data: DataConfig, seed: int, ledger: Ledger) -> Splits:
    """Make conversations from the tunes of a corpus, in its splits."""
    if unknown := [task for task in data.tasks if task not in TASKS]:
        rule = f"is no instruction family; there are {', '.join(TASKS)}"
        raise ConfigError([Problem("data.tasks", ", ".join(unknown), rule)])
    splits: Splits = {split: [] for split in SPLITS}
    tunes = [(split, tune) for split in SPLITS for tune in corpus.records(split)]
    with console.progress("writing instructions", len(tunes), "tune") as advance:
        for split, tune in tunes:
            made = make_instructions(tune, data.tasks, data.samples_per_tune, seed)
            if isinstance(made, Drop):
                ledger.num_read[made.source] += 1
                ledger.drops.append(made)
            else:
                ledger.num_read[tune["source"]] += len(made)
                splits[split] += made
            advance()
    used = Counter(record["task"] for records in splits.values() for record in records)
    for task in data.tasks:
        if not used[task]:
            console.note(f"data.tasks: {task} was not used, since it fits no tune of {corpus.path}")
    console.table("instructions", ("family", "conversations"), used.most_common())
    return splits


def _tokenizer(job: Job, training: Sequence[Record]) -> PreTrainedTokenizerBase:
    """Train, inherit or load the tokenizer, and give it the configured chat template."""
    data, model, template = job.config.data, job.config.model, job.config.template
    if data.tokenizer == "train":
        if data.vocab_size is None:
            raise InputError("data.vocab_size=null, but data.tokenizer=train needs a number")
        texts = [record["text"] for record in training]
        return train_tokenizer(texts, data.vocab_size, template.jinja)
    if data.tokenizer == "inherit":
        tokenizer = load_tokenizer(Corpus.open(job.input("corpus").path).tokenizer_path)
    elif model.location is None:
        raise InputError(
            f"data.tokenizer=model, but model {model.name} has no tokenizer (model.location=null); "
            "choose data.tokenizer=train or inherit"
        )
    else:
        location = packaged.find(model.location, Path(job.config.paths.cache))
        tokenizer = load_tokenizer(location, revision=model.revision)
    tokenizer.chat_template = template.jinja
    return tokenizer


def _show_sources(facts: Mapping[str, Any]) -> None:
    """Print what became of each source's records."""
    rows = []
    for source in facts["sources"]:
        kept = [facts["splits"][split]["by_source"].get(source, 0) for split in SPLITS]
        reasons = facts["dropped"].get(source, {})
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        rows.append((source, f"{facts['read'][source]:,}", *kept, dropped or "nothing"))
    console.table("sources", ("source", "read", *SPLITS, "dropped because it ..."), rows)


def _summary(facts: Mapping[str, Any]) -> list[tuple[str, object]]:
    splits = facts["splits"]
    train = splits["train"]
    return [
        ("records read", f"{sum(facts['read'].values()):,}"),
        ("dropped", f"{sum(sum(reasons.values()) for reasons in facts['dropped'].values()):,}"),
        *((f"kept for {split}", f"{splits[split]['documents']:,}") for split in SPLITS),
        ("training tokens", f"{train['tokens']:,}"),
        ("of them supervised", f"{train['supervised_tokens']:,}"),
        ("training rows", f"{train['rows']:,} of {facts['max_length']:,} tokens"),
        ("packing efficiency", f"{train['packing_efficiency']:.1%}"),
        ("vocabulary", f"{facts['vocab_size']:,} tokens"),
    ]
