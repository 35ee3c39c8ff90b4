"""What a corpus is made of, and where its preparation runs."""

from __future__ import annotations

from typing import Literal

from musicllm.schema.keys import NAME, group, key


@group
class SourceConfig:
    """Where records come from."""

    reader: str = key(
        "files, books (those of music21), hub, corpus, generations, rendered or synthesized",
        kinds="musicllm.data.sources.readers:READERS",
    )
    location: str | None = key("file, folder, zip or hub id", null="known to the reader itself")
    revision: str | None = key("revision of a hub data set", null="newest")
    format: str = key("format of the records; auto: detected from the first one")
    kinds: list[str] = key(
        "file types to read, such as abc or parquet ([]: all)", kinds="musicllm.files.kinds:KINDS"
    )
    named_splits: bool = key("files named after a split belong to it; false: all are pooled")
    max_records: int | None = key("read only the first records of each split", 1, null="all")
    where: dict[str, str] = key("field -> text that it must contain; other rows are left out")
    min_chars: int | None = key("fewest characters of a record's texts", 1, null="any")
    role: str | None = key(
        "of the artifact in inputs that is read without a location", null="that of the reader"
    )
    licence: str = key("licence of the documents")
    citation: str = key("where the documents are described")
    num_documents: int | None = key("published or measured size, for planning", 0, null="unknown")
    num_tokens: int | None = key("published or measured tokens, for planning", 0, null="unknown")


@group
class MusicConfig:
    """How tunes in ABC inside records are checked and repaired."""

    check: bool = key("find every tune and check it; false: records pass unchanged")
    repair: bool = key("repair faults that have only one possible meaning")
    normalize: bool = key("rewrite a record that is a single bare tune in the canonical form")
    on_fault: Literal["drop", "keep"] = key(
        "record whose tune stays faulty: drop, or keep (counted)"
    )
    min_share_fitting: float = key("smallest share of bars whose length matches the metre", 0, 1)
    min_bars: int = key("fewest bars of a record that is a single tune", 0, 1_000_000)
    min_notes: int = key("fewest notes of a record that is a single tune", 0, 1_000_000)
    max_bars: int = key("most bars of a tune over all voices; more are a fault", 1, 1_000_000)
    max_tune_chars: int = key("most characters of a tune; a longer one is a fault", 1, 4 << 20)


@group
class DuplicatesConfig:
    """Which records count as duplicates; the first one is kept."""

    exact: bool = key("remove records whose text differs only in white space")
    near_similarity: float | None = key(
        "Jaccard similarity of word 5-grams (by MinHash) of duplicates", 0.5, 1, null="off"
    )
    melodic_similarity: float | None = key(
        "melodic similarity of duplicates, in any key and unit length", 0.01, 1, null="off"
    )
    related_similarity: float = key("melodic similarity from which tunes share a split", 0.01, 1)


@group
class InstructionsConfig:
    """Which conversations are generated from tunes."""

    tasks: list[str] = key("families of requests; []: tunes stay tunes")
    samples_per_tune: int = key("conversations sampled from each tune", 1, 1000)
    languages: list[str] = key("languages of the wordings")
    language_shares: dict[str, float] = key("relative shares of the languages; {}: even")
    phrasings: str | None = key("folder of further wordings, <language>.toml", null="none")
    max_turns: int = key("most questions in one conversation", 1, 100)


@group
class TranslationConfig:
    """Which requests are replaced by their translations (`inputs.translations`, or a table)."""

    table: str | None = key("JSON Lines of translations", null="inputs.translations")
    shares: dict[str, float] = key("language -> share of the requests; the rest stay as they are")


@group
class MixConfig:
    """How much of each part becomes training rows; parts are sources, kinds or languages."""

    by: Literal["source", "kind", "language"] = key(
        "what the keys below name: source, kind or language (of the record)"
    )
    weights: dict[str, float] = key("relative shares of parts; {}: everything once")
    unit: Literal["documents", "tokens"] = key("unit of the shares: documents or tokens")
    epochs: dict[str, float] = key("passes over a part; 1 where a part is not named")
    max_documents: dict[str, int] = key("most documents of a part")


@group
class DataConfig:
    """A corpus: what is read, what is kept, and how it becomes rows."""

    name: str = key(NAME)
    sources: dict[str, SourceConfig]
    music: MusicConfig
    duplicates: DuplicatesConfig
    decontaminate: bool = key("leave out records that contain questions of the benchmarks")
    instructions: InstructionsConfig
    translation: TranslationConfig
    system_prompts: dict[str, str] = key(
        "language -> system prompt of the conversations in it that have none"
    )
    transpose_semitones: list[int] = key("copies of every training tune; 0 is the tune itself")
    validation_fraction: float = key("share of the records; related ones stay together", 0, 0.5)
    test_fraction: float = key("share of the records; related ones stay together", 0, 0.5)
    max_reject_fraction: float = key("a larger share of faulty records stops the preparation", 0, 1)
    mix: MixConfig
    tokenizer: Literal["train", "inherit", "model", "extend"] = key(
        "train (on the training split), inherit (inputs.corpus), model (its own) or extend (it)"
    )
    vocab_size: int | None = key("size of a trained tokenizer", 260, 1 << 20, "tokens", null="none")
    new_tokens: str | None = key("file of tokens for extend, one a line or JSON", null="none")
    num_new_tokens: int | None = key(
        "for extend: how many are chosen by gain", 1, 1 << 18, "tokens", null="none"
    )
    max_length: int = key("length of a row", 2, 1 << 20, "tokens")
    row_former: Literal["pack", "chunk", "single"] = key(
        "pack (several documents a row), chunk (one stream, cut) or single (one document)"
    )
    long_conversations: Literal["drop", "stop"] = key(
        "conversations longer than a row: drop (and count) them, or stop"
    )
    compat: Literal["reference"] | None = key(
        "reference: the tokens of ChatMusician's published code (docs/DATA.md)", null="ours"
    )
    also_write: list[str] = key(
        "formats of other programs that the documents are also written in",
        kinds="musicllm.data.writers:WRITERS",
    )


@group
class EngineConfig:
    """Where a preparation is computed; the result is the same bytes everywhere."""

    name: Literal["local", "ray"] = key("local (processes) or ray (Ray Data, extra `ray`)")
    num_workers: int | None = key(
        "processes", 1, 100_000, null="all cores of the machine or cluster"
    )
    address: str | None = key("address of a Ray cluster, such as auto", null="started here")


@group
class InspectConfig:
    """How much an inspection of data shows."""

    num_samples: int = key("rows shown", 1, 10_000)
    num_records: int = key("most records read from each source", 1, 10_000_000)
    num_drops: int = key("examples of dropped records per source and reason", 0, 1000)
    num_bars: int = key("bars of each tune that are drawn", 0, 1000)
    split: Literal["train", "validation", "test"] = key("which split is shown")


@group
class TemplateConfig:
    """How a conversation becomes text."""

    name: str = key(NAME)
    jinja: str | None = key(
        "Jinja source; assistant tokens are in {% generation %} blocks",
        null="the tokenizer's own template",
    )
