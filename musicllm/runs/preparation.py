"""The preparation of a job: sources, settings and tokenizer, in the form of `musicllm.data`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from musicllm.data.corpus import Corpus
from musicllm.data.extension import read_tokens
from musicllm.data.instructions import find_problems
from musicllm.data.settings import (
    ExtendedTokenizer,
    InstructionSettings,
    NewTokenizer,
    Preparation,
    Question,
    RowSettings,
    SourceSpec,
    TranslationSettings,
)
from musicllm.data.sources.readers import READERS
from musicllm.data.sources.readers.synthesized import RECORDS
from musicllm.data.templates import without_bos
from musicllm.data.translations import read_table
from musicllm.errors import ConfigError, InputError
from musicllm.job import Job
from musicllm.model import legacy, packaged
from musicllm.model.base import load_tokenizer, num_rows_of
from musicllm.runs.hearing import audio_tokens
from musicllm.runs.vocabulary import refuse_lacking_rows
from musicllm.schema import Config, SourceConfig

TRANSLATIONS = "translations"
"""Role of the artifact of translations."""


def preparation_of(
    job: Job, questions: tuple[Question, ...] = (), max_records: int | None = None
) -> Preparation:
    """Return the settings of a corpus.

    Args:
        job: with `inputs.corpus` where a source reads a prepared corpus.
        questions: of benchmarks, which the corpus must not hold.
        max_records: limit of records per source.

    Raises:
        ConfigError: there is no such family of instructions, or it does not fit its settings.
    """
    data = job.config.data
    settings = data.instructions
    instructions = InstructionSettings(
        tasks=tuple(settings.tasks),
        samples_per_tune=settings.samples_per_tune,
        languages=tuple(settings.languages),
        phrasings=None if settings.phrasings is None else Path(settings.phrasings).expanduser(),
        max_turns=settings.max_turns,
        language_shares=tuple(settings.language_shares.items()),
    )
    if settings.tasks and (problems := find_problems(instructions)):
        raise ConfigError(problems)
    return Preparation(
        sources=source_specs(job, max_records),
        music=data.music,
        duplicates=data.duplicates,
        questions=questions,
        transpose_semitones=tuple(data.transpose_semitones),
        instructions=instructions if settings.tasks else None,
        validation_fraction=data.validation_fraction,
        test_fraction=data.test_fraction,
        mix=data.mix,
        rows=RowSettings(
            former=data.row_former,
            max_length=data.max_length,
            long_conversations=data.long_conversations,
            compat=data.compat,
            audio_tokens=audio_tokens(job.config.audio),
        ),
        max_reject_fraction=data.max_reject_fraction,
        seed=job.config.seed,
        translation=_translation(job),
        system_prompts=tuple(data.system_prompts.items()),
        also_write=tuple(data.also_write),
    )


def source_specs(job: Job, max_records: int | None = None) -> tuple[SourceSpec, ...]:
    """Return the sources of a job; errors and arguments as `preparation_of`."""
    return specs_of(job.config, lambda role: job.input(role).path, max_records)


def specs_of(
    config: Config, path_of: Callable[[str], Path], max_records: int | None = None
) -> tuple[SourceSpec, ...]:
    """Return the sources of a configuration.

    Args:
        config: the configuration.
        path_of: returns the folder of an input, by its role.
        max_records: limit of records per source.
    """
    cache, sources = Path(config.paths.cache), config.data.sources
    return tuple(
        _source(name, source, path_of, cache, max_records) for name, source in sources.items()
    )


def _translation(job: Job) -> TranslationSettings | None:
    """Return which requests are translated; None for none.

    Raises:
        InputError: the table cannot be read, or has nothing in a language of the shares.
    """
    settings = job.config.data.translation
    if not settings.shares:
        return None
    table = (
        job.input(TRANSLATIONS).path / RECORDS
        if settings.table is None
        else Path(settings.table).expanduser()
    )
    languages = {language for _, language in read_table(table)}
    for language in settings.shares:
        if language not in languages:
            raise InputError(
                f"data.translation.shares.{language}: {table} translates into "
                f"{', '.join(sorted(languages))} alone"
            )
    return TranslationSettings(table, tuple(settings.shares.items()))


def _source(
    name: str,
    source: SourceConfig,
    path_of: Callable[[str], Path],
    cache: Path,
    max_records: int | None,
) -> SourceSpec:
    location = source.location
    role = source.role or READERS[source.reader].input_role
    if role is not None and location is None:
        location = str(path_of(role))
    limits = [limit for limit in (source.max_records, max_records) if limit is not None]
    return SourceSpec(
        name=name,
        reader=source.reader,
        location=location,
        format=source.format,
        max_records=min(limits, default=None),
        cache=cache,
        revision=source.revision,
        kinds=tuple(source.kinds),
        named_splits=source.named_splits,
        where=tuple(source.where.items()),
        min_chars=source.min_chars,
    )


def tokenizer_of(job: Job) -> PreTrainedTokenizerBase | NewTokenizer | ExtendedTokenizer:
    """Load or inherit the tokenizer, with the configured chat template, or say how to make one.

    Raises:
        InputError: the model has no tokenizer, or the file of new tokens cannot be used.
        ConfigError: the model has fewer rows than its tokenizer has tokens.
    """
    data, model, template = job.config.data, job.config.model, job.config.template
    is_reference = data.compat == "reference"  # as published, without a beginning of text
    if data.tokenizer == "train":
        assert data.vocab_size is not None, "checks refuse tokenizer=train without vocab_size"
        if template.jinja is None:
            raise InputError(
                f"template={template.name} keeps the tokenizer's own template, but a new tokenizer "
                "(data.tokenizer=train) has none; use template=chatmusician"
            )
        jinja = without_bos(template.jinja) if is_reference else template.jinja
        return NewTokenizer(data.vocab_size, jinja)
    if data.tokenizer == "inherit":
        loaded = load_tokenizer(Corpus.open(job.input("corpus").path).tokenizer_path)
    elif model.location is None:
        raise InputError(
            f"data.tokenizer={data.tokenizer}, but model {model.name} has no tokenizer "
            "(model.location=null); choose data.tokenizer=train or inherit"
        )
    else:
        location = packaged.find(model.location, Path(job.config.paths.cache))
        loaded = load_tokenizer(location, revision=model.revision)
        refuse_lacking_rows(job.config, num_rows_of(loaded), f"its tokenizer in {location}")
    if is_reference:
        legacy.as_published(loaded)
    if template.jinja is not None:
        loaded.chat_template = template.jinja
    if is_reference and loaded.chat_template:
        loaded.chat_template = without_bos(loaded.chat_template)
    if data.tokenizer == "extend":
        tokens = None if data.new_tokens is None else read_tokens(Path(data.new_tokens))
        return ExtendedTokenizer(loaded, tokens, data.num_new_tokens)
    return loaded
