"""From a part of a source to its records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from musicllm.data.clips import FEATURES, resolved
from musicllm.data.records import Drop, Record, texts_of
from musicllm.data.sources.formats import FORMATS, Format
from musicllm.data.sources.parts import Choice, Part
from musicllm.files.kinds import KINDS
from musicllm.files.misfit import Misfit, field_names
from musicllm.files.opening import Opener, naming_damage

NOT_CHOSEN = "is not chosen by where"
TOO_SHORT = "has fewer characters than min_chars"
LEFT_OUT = (NOT_CHOSEN, TOO_SHORT)
"""Reasons of rows that the settings of a source leave out; nothing is wrong with these."""


def read_part(part: Part) -> Iterator[Record | Drop]:
    """Yield the records of a part in their order, and a drop for whatever is none.

    Ids are `<source>/<file>:<line or row>`, the same however a source is cut. Records of a
    prepared corpus keep their own ids, sources and further keys. A row that `part.choice` leaves
    out is a drop without fault, and does not count against `part.limit`; one that lacks a field by
    which it would be chosen is a fault.

    Memory: one record, a few hundred rows of Parquet, or a Parquet file inside a zip.

    Raises:
        InputError: a file is damaged, so that what follows in it cannot be read.
    """
    return first(part.limit, _read(part))


def is_left_out(item: Record | Drop) -> bool:
    """Return whether an item is a row that its source's settings leave out."""
    return isinstance(item, Drop) and item.reason in LEFT_OUT


def first(limit: int | None, items: Iterable[Record | Drop]) -> Iterator[Record | Drop]:
    """Yield items up to the last of a number that are not left out; None yields all."""
    num_left = limit
    for item in items if num_left != 0 else ():
        yield item
        if num_left is not None and not is_left_out(item):
            num_left -= 1
            if num_left == 0:
                return


def _read(part: Part) -> Iterator[Record | Drop]:
    record_format = FORMATS[part.format]
    chosen_by = (field for field, _ in part.choice.where)
    fields = None if part.is_corpus else record_format.fields.union(chosen_by, [FEATURES])
    with Opener(part.root) as opener:
        for piece in part.pieces:
            prefix = f"{part.source}/{piece.place}:"
            with naming_damage(part.root / piece.place), opener.open(piece) as file:
                for number, raw in KINDS[piece.kind].read(file, piece, fields):
                    place = f"{prefix}{number}"
                    try:
                        yield _record(part, record_format, place, raw, piece.place)
                    except Misfit as misfit:
                        is_fault = misfit.reason not in LEFT_OUT
                        yield Drop(part.source, place, misfit.reason, misfit.detail, is_fault)


def _record(part: Part, record_format: Format, place: str, raw: Any, file: str) -> Record:
    if isinstance(raw, Misfit):
        raise raw
    if not isinstance(raw, dict):
        raise Misfit("is not an object", f"found {type(raw).__name__}")
    if not record_format.fits(raw):
        raise Misfit(
            "has other fields", f"found {field_names(raw)}; expected {record_format.expects}"
        )
    _choose(raw, part.choice)
    content = record_format.convert(raw)
    if part.choice.min_chars is not None:
        num_chars = sum(map(len, texts_of(content)))
        if num_chars < part.choice.min_chars:
            raise Misfit(TOO_SHORT, f"{num_chars:,} characters")
    if part.is_corpus:
        return raw
    if raw.get(FEATURES) is not None:
        content[FEATURES] = resolved(raw[FEATURES], (part.root / file).parent)
    return {"id": place, "source": part.source, **content}


def _choose(raw: Mapping[str, Any], choice: Choice) -> None:
    """Raise for a row that is not chosen, or that lacks a field to choose it by."""
    for field, text in choice.where:
        if raw.get(field) is None:
            raise Misfit("lacks a field of where", f"{field}; found {field_names(raw)}")
        if text not in str(raw[field]):
            raise Misfit(NOT_CHOSEN, f"{field} is {str(raw[field])[:80]!r}, without {text!r}")
