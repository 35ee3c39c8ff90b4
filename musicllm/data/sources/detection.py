"""Which format the files of a source are in, told from the first object in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from musicllm.data.settings import SourceSpec
from musicllm.data.sources.formats import FORMATS, detect
from musicllm.errors import InputError
from musicllm.files.listing import Listing
from musicllm.files.misfit import Misfit, field_names
from musicllm.files.opening import Opener, naming
from musicllm.files.pieces import Piece
from musicllm.files.readers import entries, is_json_lines, list_names
from musicllm.files.splits import split_of_list
from musicllm.files.suffixes import OWN_FORMAT

_ENTRIES_TRIED = 100
"""In each file, so that a bad first line does not hide the format."""


def with_formats(spec: SourceSpec, listing: Listing) -> list[tuple[str, Piece]]:
    """Give each file its format: a tune book's and a text's own, one for all files of rows.

    Files that `spec.format` excludes are counted in `listing.ignored`. Files that are called
    `.json` and hold JSON Lines are told apart, and so are the lists of a JSON object where one is
    called by a split.

    Raises:
        InputError: `spec.format` is unknown, or nothing fits; says which fields were found.
    """
    key = f"data.sources.{spec.name}.format={spec.format}"
    if spec.format not in ("auto", *FORMATS):
        raise InputError(f"{key} is not known; use auto or one of {', '.join(FORMATS)}")
    with Opener(listing.root) as opener:
        pieces = [
            actual for piece in listing.pieces for actual in _actual(opener, listing.root, piece)
        ]
        rows = [piece for piece in pieces if piece.kind not in OWN_FORMAT]
        shared = _format_of_rows(spec, opener, listing.root, rows) if rows else ""
    chosen = []
    for piece in pieces:
        own = OWN_FORMAT.get(piece.kind, shared)
        if piece.kind in OWN_FORMAT and spec.format not in ("auto", own):
            listing.ignored[f".{piece.kind} (not format {spec.format})"] += 1
        else:
            chosen.append((own, piece))
    if not chosen:
        raise InputError(f"{key} fits no file of {listing.root}; it holds .abc or .txt alone")
    return chosen


def _actual(opener: Opener, root: Path, piece: Piece) -> list[Piece]:
    if piece.kind != "json":
        return [piece]
    with naming(root / piece.place), opener.open(piece) as file:
        if is_json_lines(file):
            return [replace(piece, kind="jsonl")]
    with naming(root / piece.place), opener.open(piece) as file:
        names = list_names(file)
    if not any(map(split_of_list, names)):
        return [piece]
    return [replace(piece, list_name=name) for name in names]


def _format_of_rows(spec: SourceSpec, opener: Opener, root: Path, rows: Iterable[Piece]) -> str:
    fault = "it is empty, or an object without a list"
    for piece in rows:
        with naming(root / piece.place), opener.open(piece) as file:
            for _, entry in islice(entries(file, piece), _ENTRIES_TRIED):
                if isinstance(entry, dict):
                    return _checked(spec, entry, root / piece.place)
                fault = _fault(entry)
    raise InputError(
        f"data.sources.{spec.name}.location={spec.location} holds no record: {fault}; "
        "records are objects with named fields"
    )


def _checked(spec: SourceSpec, first: dict[str, Any], place: Path) -> str:
    if spec.format == "auto":
        known = detect(first)
        expected = "".join(f"\n  {each.name}: {each.expects}" for each in FORMATS.values())
    else:
        known = FORMATS[spec.format] if FORMATS[spec.format].fits(first) else None
        expected = f" {FORMATS[spec.format].expects} (format={spec.format})"
    if known is None:
        raise InputError(
            f"data.sources.{spec.name}: {place} is of no format that is expected; "
            f"fields found: {field_names(first)}; fields expected:{expected}\nIf it is no data, "
            "take it out, or choose the kinds of files that are, such as "
            f"data.sources.{spec.name}.kinds=[abc]"
        )
    return known.name


def _fault(entry: object) -> str:
    if isinstance(entry, Misfit):
        return f"its first entry {entry.reason} ({entry.detail})"
    return f"its first entry is {type(entry).__name__}"
