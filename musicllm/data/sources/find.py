"""The parts of a source, up to its maximum number of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Choice, Part
from musicllm.data.sources.read import first, is_left_out, read_part
from musicllm.data.sources.readers import READERS


def find_parts(spec: SourceSpec) -> list[Part]:
    """Find the files of a source, name their format, and cut them into parts.

    Parts are in the order of the splits that their files are named after (see `files.splits`), and
    within one in that of the files' names. Files of lines and Parquet files are cut, others are
    read as a whole; small ones are put together.

    Cost: plain JSON Lines are read once, to count their lines. With `spec.max_records`, those
    records are read once more than otherwise.

    Raises:
        InputError: nothing to read, an unknown format, or a file is damaged.
        NotAvailableError: a hub data set or music21 is not there.
        ArtifactError: reader=corpus, and there is no valid corpus or no record in it.
    """
    choice = Choice(spec.where, spec.min_chars)
    parts = (replace(part, choice=choice) for part in READERS[spec.reader].find_parts(spec))
    return list(parts if spec.max_records is None else _limited(parts, spec.max_records))


def _limited(parts: Iterable[Part], num_records: int) -> Iterator[Part]:
    """Cut what is read of every split."""
    for _, parts_of_split in groupby(parts, key=lambda part: part.split):
        num_left = num_records
        for part in parts_of_split:
            if num_left == 0:
                break
            count = sum(not is_left_out(item) for item in first(num_left, read_part(part)))
            yield replace(part, limit=count)
            num_left -= count
