"""Readers of sources: where the files of one come from, and the parts that they are cut into.

A reader is a module here, or one of the user's own (`extensions`), that registers a `SourceReader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Part
from musicllm.files.kinds import is_data
from musicllm.registry import Registry


@dataclass(frozen=True)
class SourceReader:
    """A way to find the records of a source.

    Attributes:
        name: value of `data.sources.<name>.reader`.
        find_parts: returns the parts of a source, in order; what it raises is in
            `sources.find_parts`.
        needs_location: whether `location` must be set.
        input_role: of the artifact that is read where `location` is null.
        counts: whether a file, by its relative name, belongs to the contents of `location`.
        packaged: file of musicllm that is read where `location` is null; its contents count.
    """

    name: str
    find_parts: Callable[[SourceSpec], Iterable[Part]]
    needs_location: bool = False
    input_role: str | None = None
    counts: Callable[[str], bool] = is_data
    packaged: Path | None = None


READERS: Registry[SourceReader] = Registry("source reader", __name__)
