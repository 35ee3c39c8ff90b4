"""Reads any corpus on disk or hub as a stream of records, in parts that can be read in parallel.

A source is listed (`listing`, `hub`), its format is told (`detection`, `formats`), and its files
are cut (`find`). Parts are then read one by one (`read`), on whatever process or machine. Nothing
is kept in memory but the record at hand, and nothing is left out without a `Drop`.
"""

from __future__ import annotations

from musicllm.data.sources.find import FREE_BOOKS, find_parts
from musicllm.data.sources.formats import FORMATS
from musicllm.data.sources.parts import Part
from musicllm.data.sources.read import read_part

__all__ = ["FORMATS", "FREE_BOOKS", "Part", "find_parts", "read_part"]
