"""Reads any corpus on disk or hub as a stream of records, in parts that can be read in parallel.

The files of a source are listed and cut (`readers`), and the format of their records is detected
(`detection`, `formats`). Parts are then read one by one (`read`), on whatever process or machine.
Nothing is kept in memory but the record at hand, and nothing is left out without a `Drop`.
"""

from __future__ import annotations

from musicllm.data.sources.find import find_parts
from musicllm.data.sources.formats import FORMATS
from musicllm.data.sources.parts import Part
from musicllm.data.sources.read import read_part
from musicllm.data.sources.readers.books import FREE_BOOKS

__all__ = ["FORMATS", "FREE_BOOKS", "Part", "find_parts", "read_part"]
