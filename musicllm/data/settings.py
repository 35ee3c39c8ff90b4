"""Settings of a preparation: plain values, no configuration, picklable for worker processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from musicllm.music.abc.limits import DEFAULT_LIMITS, Limits
from musicllm.schema import DuplicatesConfig, MixConfig, MusicConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class SourceSpec:
    """Where records come from.

    Attributes:
        name: of the source, in records, ledgers and mixes.
        reader: key of `sources.readers.READERS`.
        location: path, or hub id when reader=hub; None for `books`.
        format: `auto`, or one of `sources.formats.FORMATS`.
        max_records: only the first records of the source; None reads all.
        cache: folder below which the files of a hub data set lie or will lie.
        revision: of a hub data set.
        kinds: of files that are read, keys of `files.kinds.KINDS`; empty reads all.
        named_splits: whether files and folders that are called by a split are that split; else
            all records are pooled.
        where: fields and a text that each must contain; rows that lack one are left out.
        min_chars: fewest characters of a record's texts; None sets no limit.
    """

    name: str
    reader: str
    location: str | None
    format: str
    max_records: int | None
    cache: Path | None
    revision: str | None
    kinds: tuple[str, ...]
    named_splits: bool
    where: tuple[tuple[str, str], ...]
    min_chars: int | None


def limits_of(music: MusicConfig) -> Limits:
    """Return what tunes are read with; a line may have a fifth of a tune's characters."""
    line_chars = max(DEFAULT_LIMITS.max_line_chars, music.max_tune_chars // 5)
    return replace(
        DEFAULT_LIMITS,
        max_line_chars=line_chars,
        max_tune_chars=music.max_tune_chars,
        max_bars=music.max_bars,
    )


@dataclass(frozen=True)
class InstructionSettings:
    """Which conversations are made from tunes.

    Attributes:
        tasks: families, keys of `data.instructions.TASKS`.
        samples_per_tune: conversations drawn from one tune.
        languages: of the wordings, such as `en` and `zh`.
        language_shares: of each language, relative; empty draws them evenly.
        phrasings: a folder with further or other wordings, `<language>.toml`; None for ours alone.
        max_turns: most questions in one conversation; 1 makes single turns.
    """

    tasks: tuple[str, ...]
    samples_per_tune: int
    languages: tuple[str, ...]
    phrasings: Path | None
    max_turns: int
    language_shares: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class TranslationSettings:
    """Which requests are replaced by their translations.

    Attributes:
        table: JSON Lines; see `data.translations`.
        shares: of the requests, by language; what is left stays as it is.
    """

    table: Path
    shares: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class RowSettings:
    """How documents become rows.

    Attributes:
        former: `pack`, `chunk` or `single`.
        max_length: tokens in a row.
        long_conversations: `drop` conversations longer than a row, with a count, or `stop`.
        compat: `reference` makes the tokens of ChatMusician's published code; None ours.
        audio_tokens: places for audio at the beginning of a document with a clip.
    """

    former: Literal["pack", "chunk", "single"]
    max_length: int
    long_conversations: Literal["drop", "stop"]
    compat: Literal["reference"] | None
    audio_tokens: int


@dataclass(frozen=True)
class Question:
    """A benchmark question that training data must not hold.

    Attributes:
        benchmark: its name.
        id: unique within the benchmark, such as `virology/17`.
        stem: the question without options.
        options: the answers to choose from.
        abc: a tune that belongs to it, or None.
    """

    benchmark: str
    id: str
    stem: str
    options: tuple[str, ...]
    abc: str | None = None


@dataclass(frozen=True)
class NewTokenizer:
    """A tokenizer that is trained on the training split; see `data.vocabulary`.

    Attributes:
        vocab_size: tokens.
        chat_template: Jinja source that is stored with it.
    """

    vocab_size: int
    chat_template: str


@dataclass(frozen=True)
class ExtendedTokenizer:
    """A tokenizer that gets further tokens; see `data.extension`.

    Attributes:
        base: the tokenizer of a model, with its chat template.
        tokens: to add; None if they are chosen by gain on the training split.
        num_tokens: of those that are chosen.
    """

    base: PreTrainedTokenizerBase
    tokens: tuple[str, ...] | None
    num_tokens: int | None


@dataclass(frozen=True)
class Preparation:
    """Everything that decides what a corpus holds, but for its tokenizer.

    Attributes:
        sources: in the order of their records.
        music: what is done about tunes.
        duplicates: which records count as the same.
        questions: of benchmarks, which the corpus must not hold.
        transpose_semitones: copies of every training tune; 0 is the tune itself.
        instructions: conversations to make from tunes; None keeps the tunes.
        validation_fraction: share of the records, by group.
        test_fraction: likewise.
        mix: how much of which part becomes training rows.
        rows: how documents become rows.
        max_reject_fraction: more faults than this stop the preparation.
        seed: of splits, draws and conversations.
        translation: of requests; None leaves them as they are.
        system_prompts: of conversations that have none, by their language.
        also_write: formats of other programs, keys of `data.writers.WRITERS`.
    """

    sources: tuple[SourceSpec, ...]
    rows: RowSettings
    music: MusicConfig
    duplicates: DuplicatesConfig
    questions: tuple[Question, ...]
    transpose_semitones: tuple[int, ...]
    instructions: InstructionSettings | None
    validation_fraction: float
    test_fraction: float
    mix: MixConfig
    max_reject_fraction: float
    seed: int
    translation: TranslationSettings | None
    system_prompts: tuple[tuple[str, str], ...]
    also_write: tuple[str, ...]
