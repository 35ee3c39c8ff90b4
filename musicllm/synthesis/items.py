"""The items of a run, in a file: only one of them is in memory at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from musicllm.data.records import Drop, Record
from musicllm.data.settings import SourceSpec
from musicllm.data.sources import find_parts, read_part
from musicllm.errors import InputError
from musicllm.synthesis.kind import Item


def records_of(specs: Iterable[SourceSpec], drops: Counter[str]) -> Iterator[Record]:
    """Yield the records of sources, each read when it is needed; errors as `find_parts`.

    Args:
        specs: of the sources.
        drops: counts what is no record, by its reason.
    """
    for spec in specs:
        for part in find_parts(spec):
            for record in read_part(part):
                if isinstance(record, Drop):
                    drops[record.reason] += 1
                else:
                    yield record


class Items:
    """Items in their order.

    Args:
        path: of the file, which is written anew.
        items: to be written.
        max_items: only so many of them; None for all.

    Raises:
        InputError: two items have one id.
    """

    def __init__(self, path: Path, items: Iterable[Item], max_items: int | None) -> None:
        seen: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for item in islice(items, max_items):
                if item.id in seen:
                    raise InputError(f"two items have the id {item.id}; every id must be another")
                seen.add(item.id)
                text = json.dumps([item.id, item.variables, item.variant], allow_nan=False)
                file.write(text.encode() + b"\n")
        self._path, self._count = path, len(seen)

    def __len__(self) -> int:
        """Return the number of items."""
        return self._count

    def __iter__(self) -> Iterator[Item]:
        """Yield every item; several iterations may go on at a time."""
        with self._path.open("rb") as file:
            for line in file:
                yield Item(*json.loads(line))
