"""What stands in a file but cannot become a record."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any


class Misfit(Exception):  # noqa: N818  # no error of the program: each becomes a Drop
    """Why a line, row or object is left out; raised by converters, yielded by readers.

    Attributes:
        reason: one of a few, to be counted; it continues the sentence "the record ...".
        detail: what exactly is wrong with this one.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


Entry = tuple[int, Any]
"""Number of a line or row in its file, from 1, and the object there or a `Misfit`."""


def not_utf8(line: int, error: UnicodeDecodeError) -> Misfit:
    """Return the misfit of bytes that cannot be decoded, which begin at `line` of their file."""
    column = error.start - error.object.rfind(b"\n", 0, error.start)
    return Misfit("is not UTF-8", f"line {line}, byte {column}: {error.reason}")


def field_names(fields: Iterable[object]) -> str:
    """Return the names of an object's fields for a message, the first twelve of more."""
    names = [str(name) for name in islice(fields, 13)]
    return ", ".join([*names[:12], "..."] if len(names) > 12 else names) or "none"
