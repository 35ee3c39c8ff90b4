"""What a corpus is made of, and where its preparation runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceConfig:
    """Where records come from."""

    reader: str  # files, books (the free ones of music21), hub, or corpus (inputs.corpus)
    location: str | None  # file, folder, zip or hub id; null: what the reader itself knows
    revision: str | None  # of a hub data set
    format: str  # of its records; auto: found out from the first one
    kinds: list[str]  # of files to read, by suffix, such as [abc] or [jsonl, parquet]; []: all
    named_splits: bool  # files named after a split are that split; false: all are pooled
    max_records: int | None  # only the first ones, of each split; null: all
    licence: str  # of the documents
    citation: str  # where they are described
    num_documents: int | None  # published or measured size, for planning before preparation
    num_tokens: int | None  # likewise, in tokens


@dataclass(frozen=True)
class MusicConfig:
    """What is done about tunes in ABC that stand in records."""

    check: bool  # find every tune and check it; false: records pass as they are
    repair: bool  # mend what has one possible meaning
    normalize: bool  # write a record that is one bare tune in the normal form
    on_fault: str  # drop the record whose tune stays faulty, or keep and count it
    min_share_fitting: float  # of bars that are as long as the metre says
    min_bars: int  # of a record that is one bare tune
    min_notes: int  # likewise
    max_bars: int  # of a tune, all voices together; a longer one does not parse
    max_tune_chars: int  # likewise


@dataclass(frozen=True)
class DuplicatesConfig:
    """Which records count as the same; the first one stays."""

    exact: bool  # the same text but for white space
    near_similarity: float | None  # Jaccard of word 5-grams, estimated by MinHash; null: off
    melodic_similarity: float | None  # of tunes, in any key and unit length; null: off
    related_similarity: float  # more similar tunes never meet in two splits


@dataclass(frozen=True)
class InstructionsConfig:
    """Which conversations are made from tunes."""

    tasks: list[str]  # families of requests; []: tunes stay tunes
    samples_per_tune: int  # conversations drawn from one tune
    languages: list[str]  # of the wordings; drawn evenly
    phrasings: str | None  # folder with further wordings, <language>.toml
    max_turns: int  # most questions in one conversation


@dataclass(frozen=True)
class MixConfig:
    """How much of which part becomes training rows."""

    by: str  # what the names are: source, or kind (scores and knowledge)
    weights: dict[str, float]  # relative shares; {}: everything as it is
    unit: str  # of the shares: documents or tokens
    epochs: dict[str, float]  # passes over a part; 1 where not named
    max_documents: dict[str, int]  # caps


@dataclass(frozen=True)
class DataConfig:
    """A corpus: what is read, what stays, and how it becomes rows."""

    name: str  # shown in plans and reports
    sources: dict[str, SourceConfig]  # by name, in the order of their records
    music: MusicConfig
    duplicates: DuplicatesConfig
    decontaminate: bool  # leave out what the configured benchmarks ask
    instructions: InstructionsConfig
    transpose_semitones: list[int]  # copies of every training tune; [0] is the tune itself
    validation_fraction: float  # share of the records, by group of related ones
    test_fraction: float  # the same for the test split
    max_reject_fraction: float  # more faults than this stop the preparation
    mix: MixConfig
    tokenizer: str  # train (on the training split), inherit (from inputs.corpus) or model
    vocab_size: int | None  # tokens, when tokenizer=train
    max_length: int  # tokens in a row
    row_former: str  # pack, chunk or single
    long_conversations: str  # longer than a row: drop (counted) or stop
    compat: str | None  # reference: the tokens of ChatMusician's published code (docs/DATA.md)


@dataclass(frozen=True)
class EngineConfig:
    """Where the work of a preparation is done; the result is the same bytes everywhere."""

    name: str  # local (processes of this machine) or ray (Ray Data, extra `ray`)
    num_workers: int | None  # processes; null: all cores of the machine or of the cluster
    address: str | None  # of a Ray cluster, such as auto; null starts one on this machine


@dataclass(frozen=True)
class InspectConfig:
    """How much a look at data shows."""

    num_samples: int  # rows shown
    num_records: int  # read from each source, at most; a prepared corpus is not read again
    num_drops: int  # examples of records left out, per source and reason
    num_bars: int  # bars drawn of each tune
    split: str  # train, validation or test


@dataclass(frozen=True)
class TemplateConfig:
    """How a conversation becomes text."""

    name: str  # shown in plans and reports
    jinja: str | None  # Jinja source with {% generation %} blocks; null: the tokenizer's own
