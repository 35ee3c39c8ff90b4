"""Which files are understood, by the end of their names."""

from __future__ import annotations

from pathlib import PurePosixPath

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "txt",
    ".abc": "abc",
}
COMPRESSIONS = {".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".zst": "zst"}
COLUMNAR = ("parquet", "arrow")
"""Kinds that compress inside; `.parquet.gz` is not understood."""

OWN_FORMAT = {"abc": "abc", "txt": "text"}
"""Kinds whose files are documents, not rows with fields: nothing is left to detect."""

UNDERSTOOD = (
    f"{', '.join(KINDS)} (all but .parquet and .arrow also with {', '.join(COMPRESSIONS)} behind), "
    "and .zip of these"
)


def kind_of(name: str) -> tuple[str, str] | None:
    """Return kind and compression (or an empty string) of a file, None when not understood."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    if compression:
        suffixes.pop()
    kind = KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None or (compression and kind in COLUMNAR):
        return None
    return kind, compression
