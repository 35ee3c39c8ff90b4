"""What an index of tunes holds, and what is searched in it."""

from __future__ import annotations

from typing import Literal

from musicllm.schema.keys import group, key


@group
class IndexConfig:
    """Which tunes of the configured data (`data.sources`) an index holds."""

    splits: list[Literal["train", "validation", "test"]] = key(
        "of records that have a split already; others are all taken: train, validation, test"
    )
    min_notes: int = key("tunes with fewer notes are left out", 1, 1_000_000)


@group
class SearchConfig:
    """A search in an index."""

    query: str | None = key(
        "a tune in ABC, or words in any language", null="search.file is the query"
    )
    file: str | None = key("file with the query, in the place of search.query", null="none")
    by: Literal["melody", "text"] | None = key(
        "melody (in any key) or text (titles, types, keys, instructions)",
        null="melody where the query holds a tune",
    )
    num_neighbours: int = key("most tunes shown, the most similar first", 1, 1000)
