"""Formats of other programs that the documents of a corpus are also written in (`data.also_write`).

A format is a module here, or one of the user's own (`extensions`), that registers a `Writer`. It
only says how records become the bytes of a file; which records, in which order and where is
`data.pipeline.also`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from musicllm.data.records import Record
from musicllm.registry import Registry


@dataclass(frozen=True)
class Writer:
    """A format to write documents in.

    Attributes:
        name: value of `data.also_write`, and of the folder in the corpus.
        suffix: of the files, such as `.json`.
        write: writes records as one file, and returns how many these were. The same records are
            the same bytes, whatever the machine; memory is that of one record.
    """

    name: str
    suffix: str
    write: Callable[[Iterable[Record], BinaryIO], int]


WRITERS: Registry[Writer] = Registry("format to write", __name__)
