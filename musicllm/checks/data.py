"""Rules on a corpus: its sources, instructions, mix and rows."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.checks.tasks import needs
from musicllm.data.sources.readers import READERS
from musicllm.errors import Problem
from musicllm.schema import Config

PREPARING = ("prepare", "inspect")


def sources(config: Config) -> Iterator[Problem]:
    """Yield sources that cannot be read."""
    if config.task not in PREPARING:
        return
    for name, source in config.data.sources.items():
        key = f"data.sources.{name}"
        reader = READERS.get(source.reader)  # `values` reports one that does not exist
        if reader is None or source.location is not None:
            continue
        if reader.needs_location:
            fix = f"write {key}.location=<file, folder or zip>"
            yield Problem(f"{key}.location", "null", "names nothing to read", fix)
        elif (role := reader.input_role) and role not in config.inputs:
            yield needs(role, f"{key} reads the records of a prepared corpus")


def rows(config: Config) -> Iterator[Problem]:
    """Yield settings of the rows that contradict each other or the model."""
    spec = config.data
    if config.task in (*PREPARING, "train"):
        most = config.model.num_positions
        with_model = spec.tokenizer in ("model", "extend")
        if with_model and most is not None and spec.max_length > most:
            rule = f"is more than the {most} positions of {config.model.name}"
            yield Problem("data.max_length", spec.max_length, rule, f"use {most} or less")
    if config.task not in PREPARING:
        return
    if spec.compat == "reference" and spec.max_length < 2048:
        rule = "is shorter than the 2048 tokens of data.compat=reference"
        yield Problem("data.max_length", spec.max_length, rule, "use 2048")
    if spec.instructions.tasks and spec.row_former == "chunk":
        rule = "would cut conversations in pieces"
        yield Problem("data.row_former", "chunk", rule, "use pack or single")
    if spec.tokenizer == "train" and spec.vocab_size is None:
        yield Problem("data.vocab_size", "null", "must be set when data.tokenizer=train")
    if spec.tokenizer == "inherit" and "corpus" not in config.inputs:
        yield needs("corpus", "data.tokenizer=inherit takes its tokenizer")


def new_tokens(config: Config) -> Iterator[Problem]:
    """Yield tokens of an extension that are named nowhere, twice, or without an extension."""
    spec = config.data
    if config.task not in PREPARING:
        return
    given = {"new_tokens": spec.new_tokens, "num_new_tokens": spec.num_new_tokens}
    if spec.tokenizer != "extend":
        for name, value in given.items():
            if value is not None:
                rule = f"has no effect with data.tokenizer={spec.tokenizer}"
                yield Problem(f"data.{name}", value, rule, "write null, or data.tokenizer=extend")
        return
    if spec.new_tokens is None and spec.num_new_tokens is None:
        rule = "must be set when data.tokenizer=extend, or data.new_tokens=<file>"
        yield Problem("data.num_new_tokens", "null", rule, "write how many, such as 1000")
    if spec.new_tokens is not None and spec.num_new_tokens is not None:
        rule = "chooses tokens by gain, and data.new_tokens names others"
        yield Problem("data.num_new_tokens", spec.num_new_tokens, rule, "write one of both")
    if spec.compat == "reference":
        rule = "has the tokens of ChatMusician's published code, and no further ones"
        yield Problem("data.compat", "reference", rule, "write null, or data.tokenizer=model")


def tunes(config: Config) -> Iterator[Problem]:
    """Yield settings that make no sense for tunes."""
    spec = config.data
    if config.task not in PREPARING:
        return
    if 0 not in spec.transpose_semitones:
        rule = "must hold 0, the tune itself"
        yield Problem("data.transpose_semitones", spec.transpose_semitones, rule)
    if spec.instructions.tasks and not spec.instructions.languages:
        yield Problem("data.instructions.languages", "[]", "names no language", "use [en]")
    similar = spec.duplicates.melodic_similarity
    if similar is not None and not spec.music.check:
        rule = "compares tunes, which data.music.check=false does not look for"
        yield Problem("data.duplicates.melodic_similarity", similar, rule, "use null")


def mix(config: Config) -> Iterator[Problem]:
    """Yield shares of parts that do not exist."""
    spec = config.data.mix
    if config.task not in PREPARING or spec.by != "kind":
        return
    if not config.data.music.check:
        rule = "tells tunes from words, which needs data.music.check=true"
        yield Problem("data.mix.by", "kind", rule)
    for group in ("weights", "epochs", "max_documents"):
        for name in getattr(spec, group):
            if name not in ("scores", "knowledge"):
                rule = "is no kind of record; there are scores and knowledge"
                yield Problem(f"data.mix.{group}.{name}", getattr(spec, group)[name], rule)
