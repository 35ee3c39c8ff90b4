"""From a part of a source to its records."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from musicllm.data.records import Drop, Record
from musicllm.data.sources.formats import FORMATS, Format
from musicllm.data.sources.parts import Part
from musicllm.files.kinds import KINDS
from musicllm.files.misfit import Misfit, field_names
from musicllm.files.opening import Opener, naming_damage


def read_part(part: Part) -> Iterator[Record | Drop]:
    """Yield the records of a part in their order, and a drop for whatever is none.

    Ids are `<source>/<file>:<line or row>`, the same however a source is cut. Records of a
    prepared corpus keep their own ids, sources and further keys.

    Memory: one record, a few hundred rows of Parquet, or a Parquet file inside a zip.

    Raises:
        InputError: a file is damaged, so that what follows in it cannot be read.
    """
    return islice(_read(part), part.limit)


def _read(part: Part) -> Iterator[Record | Drop]:
    record_format = FORMATS[part.format]
    fields = None if part.is_corpus else record_format.fields
    with Opener(part.root) as opener:
        for piece in part.pieces:
            prefix = f"{part.source}/{piece.place}:"
            with naming_damage(part.root / piece.place), opener.open(piece) as file:
                for number, raw in KINDS[piece.kind].read(file, piece, fields):
                    place = f"{prefix}{number}"
                    try:
                        yield _record(part, record_format, place, raw)
                    except Misfit as misfit:
                        yield Drop(part.source, place, misfit.reason, misfit.detail)


def _record(part: Part, record_format: Format, place: str, raw: Any) -> Record:
    if isinstance(raw, Misfit):
        raise raw
    if not isinstance(raw, dict):
        raise Misfit("is not an object", f"found {type(raw).__name__}")
    if not record_format.fits(raw):
        raise Misfit(
            "has other fields", f"found {field_names(raw)}; expected {record_format.expects}"
        )
    content = record_format.convert(raw)
    if part.is_corpus:
        return raw
    return {"id": place, "source": part.source, **content}
