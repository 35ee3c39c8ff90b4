"""The format of the records in the files of a source, detected from the first object in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from musicllm.data.settings import SourceSpec
from musicllm.data.sources.formats import FORMATS, detect
from musicllm.errors import InputError
from musicllm.files.kinds import KINDS
from musicllm.files.kinds.json import list_names
from musicllm.files.listing import Listing
from musicllm.files.misfit import Misfit, field_names
from musicllm.files.opening import Opener, naming_damage
from musicllm.files.pieces import Piece
from musicllm.files.splits import SPLIT_OF_WORD

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
        rows = [piece for piece in pieces if KINDS[piece.kind].record_format is None]
        shared = _format_of_rows(spec, opener, listing.root, rows) if rows else ""
    formatted = []
    for piece in pieces:
        own = KINDS[piece.kind].record_format
        if own is not None and spec.format not in ("auto", own):
            listing.ignored[f".{piece.kind} (not format {spec.format})"] += 1
        else:
            formatted.append((own or shared, piece))
    if not formatted:
        raise InputError(f"{key} fits no file of {listing.root}; it holds .abc or .txt alone")
    return formatted


def _actual(opener: Opener, root: Path, piece: Piece) -> list[Piece]:
    with naming_damage(root / piece.place):
        piece = opener.with_actual_kind(piece)
        if piece.kind != "json":
            return [piece]
        with opener.open(piece) as file:
            names = list_names(file)
    if not any(name.lower() in SPLIT_OF_WORD for name in names):
        return [piece]
    return [replace(piece, list_name=name) for name in names]


def _format_of_rows(spec: SourceSpec, opener: Opener, root: Path, rows: Iterable[Piece]) -> str:
    fault = "it is empty, or an object without a list"
    for piece in rows:
        with naming_damage(root / piece.place), opener.open(piece) as file:
            entries = KINDS[piece.kind].read(file, piece, None)
            for _, entry in islice(entries, _ENTRIES_TRIED):
                if isinstance(entry, dict):
                    return _checked(spec, entry, root / piece.place)
                fault = _fault(entry)
    raise InputError(
        f"data.sources.{spec.name}.location={spec.location} holds no record: {fault}; "
        "records are objects with named fields"
    )


def _checked(spec: SourceSpec, first: dict[str, Any], place: Path) -> str:
    if spec.format == "auto":
        match = detect(first)
        expected = "".join(f"\n  {name}: {fmt.expects}" for name, fmt in FORMATS.items())
    else:
        match = FORMATS[spec.format] if FORMATS[spec.format].fits(first) else None
        expected = f" {FORMATS[spec.format].expects} (format={spec.format})"
    if match is None:
        raise InputError(
            f"data.sources.{spec.name}: {place} is of no format that is expected; "
            f"fields found: {field_names(first)}; fields expected:{expected}\nIf it is no data, "
            "take it out, or choose the kinds of files that are, such as "
            f"data.sources.{spec.name}.kinds=[abc]"
        )
    return match.name


def _fault(entry: object) -> str:
    if isinstance(entry, Misfit):
        return f"its first entry {entry.reason} ({entry.detail})"
    return f"its first entry is {type(entry).__name__}"
