"""What a preparation is told: plain values, no configuration, picklable for worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from musicllm.music.abc.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class SourceSpec:
    """Where records come from.

    Attributes:
        name: of the source, in records, ledgers and mixes.
        reader: `files` (a file, folder or zip, each file by its suffix), `books` (the free tune
            books of music21), `hub` (a data set's files) or `corpus` (a prepared corpus, whose
            splits stay as they are).
        location: path, or hub id when reader=hub; None for `books`.
        format: `auto`, or one of `sources.formats.FORMATS`.
        max_records: only the first records of the source; None reads all.
        local_folder: where a hub data set's files lie when they were downloaded or placed by hand.
        revision: of a hub data set.
        kinds: of files that are read, values of `files.suffixes.KINDS`; empty reads all.
        named_splits: whether files and folders that are called by a split are that split; else
            all records are pooled.
    """

    name: str
    reader: Literal["files", "books", "hub", "corpus"]
    location: str | None
    format: str = "auto"
    max_records: int | None = None
    local_folder: Path | None = None
    revision: str | None = None
    kinds: tuple[str, ...] = ()
    named_splits: bool = True


@dataclass(frozen=True)
class MusicPolicy:
    """What is done about tunes in ABC that stand in records.

    Attributes:
        check: find and check them; otherwise records pass as they are.
        repair: mend what has one possible meaning (see `data.music`).
        normalize: write a record that is one bare tune in the canonical form of `music.abc`.
        on_fault: `drop` the record whose tune stays faulty, or `keep` and count it.
        min_share_fitting: of bars that are as long as the metre says; 0 to 1.
        min_bars: of a record that is one bare tune.
        min_notes: likewise.
        max_bars: of a tune, all voices together; a longer one does not parse.
        max_tune_chars: likewise.
    """

    check: bool = True
    repair: bool = True
    normalize: bool = False
    on_fault: Literal["drop", "keep"] = "drop"
    min_share_fitting: float = 0.8
    min_bars: int = 4
    min_notes: int = 12
    max_bars: int = 5_000
    max_tune_chars: int = 100_000

    @property
    def limits(self) -> Limits:
        """What tunes are read with; a line may have a fifth of a tune's characters."""
        line_chars = max(DEFAULT_LIMITS.max_line_chars, self.max_tune_chars // 5)
        return replace(
            DEFAULT_LIMITS,
            max_line_chars=line_chars,
            max_tune_chars=self.max_tune_chars,
            max_bars=self.max_bars,
        )


@dataclass(frozen=True)
class DuplicatePolicy:
    """Which records count as the same; the first one stays.

    Attributes:
        exact: the same text but for white space.
        near_similarity: estimated Jaccard similarity of word 5-grams at which texts count as the
            same; None is off.
        melodic_similarity: containment of melodic fingerprints above which tunes count as the
            same, in whatever key, unit length and ornaments; None is off.
        related_similarity: containment above which tunes share a group, hence a split.
    """

    exact: bool = True
    near_similarity: float | None = None
    melodic_similarity: float | None = None
    related_similarity: float = 0.25


@dataclass(frozen=True)
class InstructionSettings:
    """Which conversations are made from tunes.

    Attributes:
        tasks: families, keys of `data.instructions.TASKS`.
        samples_per_tune: conversations drawn from one tune.
        languages: of the wordings, such as `en` and `zh`; drawn evenly.
        phrasings: a folder with further or other wordings, `<language>.toml`; None for ours alone.
        max_turns: most questions in one conversation; 1 makes single turns.
    """

    tasks: tuple[str, ...]
    samples_per_tune: int = 1
    languages: tuple[str, ...] = ("en",)
    phrasings: Path | None = None
    max_turns: int = 1


@dataclass(frozen=True)
class MixSettings:
    """How much of which part becomes rows; parts are sources or kinds.

    Attributes:
        by: what the names below are: `source`, or `kind` (`scores` and `knowledge`).
        weights: relative shares; empty takes every part as it is.
        unit: of the shares: `documents` or `tokens`.
        epochs: passes over a part; 2 takes each record twice, 0.5 half of them; 1 where not named.
        max_documents: caps; none where not named.
    """

    by: Literal["source", "kind"] = "source"
    weights: Mapping[str, float] = field(default_factory=dict)
    unit: Literal["documents", "tokens"] = "documents"
    epochs: Mapping[str, float] = field(default_factory=dict)
    max_documents: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RowSettings:
    """How documents become rows.

    Attributes:
        former: `pack`, `chunk` or `single`.
        max_length: tokens in a row.
        long_conversations: `drop` conversations longer than a row, with a count, or `stop`.
        compat: `reference` makes the tokens of ChatMusician's published code; None ours.
    """

    former: Literal["pack", "chunk", "single"]
    max_length: int
    long_conversations: Literal["drop", "stop"] = "drop"
    compat: Literal["reference"] | None = None


@dataclass(frozen=True)
class Question:
    """A benchmark question that training data must not hold.

    Attributes:
        benchmark: its name.
        id: unique within the benchmark, such as `virology/17`.
        stem: what is asked, without options.
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
    """

    sources: tuple[SourceSpec, ...]
    rows: RowSettings
    music: MusicPolicy = field(default_factory=MusicPolicy)
    duplicates: DuplicatePolicy = field(default_factory=DuplicatePolicy)
    questions: tuple[Question, ...] = ()
    transpose_semitones: tuple[int, ...] = (0,)
    instructions: InstructionSettings | None = None
    validation_fraction: float = 0.0
    test_fraction: float = 0.0
    mix: MixSettings = field(default_factory=MixSettings)
    max_reject_fraction: float = 1.0
    seed: int = 0
