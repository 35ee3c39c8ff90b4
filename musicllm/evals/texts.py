r"""Reads texts from files, and joins the lines of articles.

Read are `.txt` (a file is a text; one above 1 MiB is cut at a blank line), and `.jsonl`, `.json`,
`.csv`, `.tsv`, `.parquet` and `.arrow` with a column of texts, also compressed or zipped. Rows that
are lines of articles in the way of WikiText (arXiv 1609.07843), whose titles read ` = Title = \n`,
are joined to articles. Texts are not changed otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path

from musicllm import console
from musicllm.errors import InputError
from musicllm.files import hub, selections
from musicllm.files.kinds import KINDS
from musicllm.files.listing import Listing, list_files
from musicllm.files.misfit import Misfit, field_names
from musicllm.files.opening import Opener, naming_damage

COLUMNS = ("text", "content", "document", "page")
"""The first of these that a row has is its text."""

_TITLE = re.compile(r" = (?!= ).+(?<! =) = \n")
_ROWS_TRIED = 100


def read_texts(
    benchmark: str,
    location: str,
    cache: Path,
    split: str | None,
    *,
    num_texts: int | None,
    revision: str | None = None,
) -> list[str]:
    """Return texts in the order of their files; blank ones are left out and counted.

    Args:
        benchmark: its name, for messages.
        location: a file, which is taken whatever its name; a folder; or a data set of the hub,
            `owner/name`, with a folder of it behind where it holds several:
            `Salesforce/wikitext/wikitext-2-raw-v1`.
        cache: folder below which the hub's files lie or will lie.
        split: where files are named after splits, only those of this one; None: all.
        num_texts: only the first ones; None: all.
        revision: of the data set of the hub.

    Raises:
        InputError: no file, no such split, no column of texts, a row that cannot be read, or a
            revision of what is a path.
        NotAvailableError: it is neither here nor to be had; says which files to place where.
    """
    key = f"benchmark.{benchmark}"
    path = hub.locate(key, location, revision, cache, selections.texts(key, location, split))
    choose = list if path.is_file() else partial(selections.choose_texts, key, path, split)
    texts: list[str] = []
    num_blank = 0
    for text in _documents(list_files(path, f"{key}.location", choose)):
        if len(texts) == num_texts:
            break
        if text.strip():
            texts.append(text)
        else:
            num_blank += 1
    if not texts:
        raise InputError(f"{key}.location={path} holds no text: {num_blank:,} rows, all blank")
    if num_blank:
        console.note(f"{benchmark}: {num_blank:,} blank texts are left out")
    if num_texts is not None and len(texts) < num_texts:
        console.note(f"{benchmark}: {len(texts):,} texts instead of {num_texts:,} exist")
    return texts


def _documents(listing: Listing) -> Iterator[str]:
    with Opener(listing.root) as opener:
        for piece in listing.pieces:
            place = listing.root / piece.place
            with naming_damage(place):
                actual = opener.with_actual_kind(piece)
                with opener.open(actual) as file:
                    entries = KINDS[actual.kind].read(file, actual, COLUMNS)
                    yield from _articles(_text(f"{place}:{number}", row) for number, row in entries)


def _text(place: str, row: object) -> str:
    if isinstance(row, Misfit):
        raise InputError(f"{place} {row.reason} ({row.detail}); mend it or take it out")
    fields = row if isinstance(row, dict) else {}
    column = next((name for name in COLUMNS if name in fields), None)
    if column is None:
        raise InputError(
            f"{place} has no text: its fields are {field_names(fields)}, and a text is expected in "
            f"{' or '.join(COLUMNS)}"
        )
    text = fields[column]
    if not isinstance(text, str):
        raise InputError(f"{place}: {column} is {type(text).__name__}, not a string")
    return text


def _articles(rows: Iterator[str]) -> Iterator[str]:
    """Join rows to articles where they are lines; otherwise pass them on."""
    first = list(islice(rows, _ROWS_TRIED))
    rows = chain(first, rows)
    filled = [row for row in first if row.strip()]
    if not (all(row.endswith("\n") for row in filled) and any(map(_TITLE.fullmatch, filled))):
        yield from rows
        return
    lines: list[str] = []
    is_behind_gap = True
    for row in rows:
        if is_behind_gap and lines and _TITLE.fullmatch(row):
            yield "".join(lines)
            lines = []
        is_behind_gap = not row.strip()
        if lines or not is_behind_gap:
            lines.append(row)
    yield "".join(lines)
