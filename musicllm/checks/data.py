"""Rules on a corpus: its sources, instructions, mix and rows."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.checks.synthesis import reads_records
from musicllm.checks.tasks import needs
from musicllm.data.languages import LANGUAGES
from musicllm.data.records import KINDS
from musicllm.data.sources.readers import READERS
from musicllm.errors import Problem
from musicllm.schema import Config, InstructionsConfig, SourceConfig

PREPARING = ("prepare", "inspect")
READING = (*PREPARING, "index")


def sources(config: Config) -> Iterator[Problem]:
    """Yield sources that cannot be read."""
    if config.task not in READING and not reads_records(config):
        return
    for name, source in config.data.sources.items():
        key = f"data.sources.{name}"
        reader = READERS.get(source.reader)  # `values` reports one that does not exist
        if reader is not None and source.role is not None:
            yield from _role(key, source, reader.input_role)
        if reader is None or source.location is not None:
            continue
        role = reader.input_role and (source.role or reader.input_role)
        if reader.needs_location:
            fix = f"write {key}.location=<file, folder or zip>"
            yield Problem(f"{key}.location", "null", "names nothing to read", fix)
        elif role and role not in config.inputs:
            yield needs(role, f"{key} reads its records")


def _role(key: str, source: SourceConfig, input_role: str | None) -> Iterator[Problem]:
    """Yield the role of a source that reads no artifact."""
    if input_role is None:
        rule = f"names an artifact, and reader={source.reader} reads none"
        yield Problem(f"{key}.role", source.role, rule, "write null")
    elif source.location is not None:
        rule = f"has no effect beside {key}.location"
        yield Problem(f"{key}.role", source.role, rule, "write one of both")


def indexed(config: Config) -> Iterator[Problem]:
    """Yield a corpus that is to be indexed, but that no source reads."""
    if config.task != "index" or "corpus" not in config.inputs:
        return
    readers = [READERS.get(source.reader) for source in config.data.sources.values()]
    if not any(reader is not None and reader.input_role == "corpus" for reader in readers):
        rule = f"is read by no source of data={config.data.name}"
        fix = "write data=prepared, or recipe=index/sources for the data without a corpus"
        yield Problem("inputs.corpus", config.inputs["corpus"], rule, fix)


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


def languages(config: Config) -> Iterator[Problem]:
    """Yield shares and prompts of languages that contradict each other."""
    spec = config.data
    if config.task not in PREPARING:
        return
    yield from _instructions(spec.instructions)
    yield from _translation(config)
    for name, text in spec.system_prompts.items():
        key = f"data.system_prompts.{name}"
        if name not in LANGUAGES:
            yield Problem(key, text, f"is of no language; there are {', '.join(LANGUAGES)}")
        elif not text.strip():
            yield Problem(key, "", "is empty", f"leave {name} out for no prompt")
    if spec.compat == "reference" and (spec.system_prompts or spec.translation.shares):
        rule = "has the texts of ChatMusician's published code, neither translated nor prompted"
        yield Problem("data.compat", "reference", rule, "write null")


def _instructions(spec: InstructionsConfig) -> Iterator[Problem]:
    shares = spec.language_shares
    key = "data.instructions.language_shares"
    for name, share in shares.items():
        if name not in spec.languages:
            rule = f"is of no language of data.instructions.languages={spec.languages}"
            yield Problem(f"{key}.{name}", share, rule)
        elif share <= 0:
            fix = f"take {name} out of data.instructions.languages for none"
            yield Problem(f"{key}.{name}", share, "must be above 0", fix)
    missing = [name for name in spec.languages if name not in shares]
    if shares and missing:
        yield Problem(f"{key}.{missing[0]}", "null", "must be set, as other languages have a share")


def _translation(config: Config) -> Iterator[Problem]:
    spec, key = config.data.translation, "data.translation"
    is_input = "translations" in config.inputs
    if not spec.shares:
        rule = "has no effect without data.translation.shares"
        fix = "write data.translation.shares.zh=0.5, or leave it out"
        if spec.table is not None:
            yield Problem(f"{key}.table", spec.table, rule, fix)
        if is_input:
            yield Problem("inputs.translations", config.inputs["translations"], rule, fix)
        return
    for name, share in spec.shares.items():
        if not 0 < share <= 1:
            yield Problem(f"{key}.shares.{name}", share, "must be above 0, and at most 1")
    if (total := sum(spec.shares.values())) > 1 + 1e-9:
        yield Problem(f"{key}.shares", spec.shares, f"add up to {total:g}, which is more than 1")
    if spec.table is None and not is_input:
        yield needs("translations", f"{key}.shares takes translations from a run of synthesize")
    elif spec.table is not None and is_input:
        yield Problem(f"{key}.table", spec.table, "stands beside inputs.translations", "write one")


def mix(config: Config) -> Iterator[Problem]:
    """Yield shares of parts that do not exist."""
    spec = config.data.mix
    if config.task not in PREPARING or spec.by == "source":
        return
    if spec.by == "kind" and not config.data.music.check:
        rule = "tells tunes from words, which needs data.music.check=true"
        yield Problem("data.mix.by", "kind", rule)
    what, names = ("kind of record", KINDS) if spec.by == "kind" else ("language", LANGUAGES)
    for group in ("weights", "epochs", "max_documents"):
        for name in getattr(spec, group):
            if name not in names:
                rule = f"is no {what}; there are {', '.join(names[:-1])} and {names[-1]}"
                yield Problem(f"data.mix.{group}.{name}", getattr(spec, group)[name], rule)
