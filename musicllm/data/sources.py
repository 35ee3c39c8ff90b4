"""Where tunes come from: books of ABC notation on this machine.

A book is a folder of `.abc` files. Three printed collections come with the package music21 and
are free to use as far as their files say. Its largest one, the Essen folk songs, is for
non-commercial use only and is never read.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from musicllm.errors import InputError, NotAvailableError
from musicllm.music.abc.book import read_book
from musicllm.music.abc.model import Rejection, Tune

FREE_BOOKS = ("oneills1850", "airdsAirs", "ryansMammoth")
"""O'Neill's Music of Ireland (1,850 tunes), Aird's Airs, Ryan's Mammoth Collection."""


def tune_books(location: str | None) -> dict[str, list[Path]]:
    """Return the files of each book, books and files in a fixed order.

    Args:
        location: a folder with `.abc` files in it or in folders below, each of which is a book;
            None for the free books of music21.

    Raises:
        InputError: no such folder, or no `.abc` file in it.
        NotAvailableError: music21 is not installed.
    """
    if location is None:
        root = _music21_corpus()
        return {book: _abc_files(root / book) for book in FREE_BOOKS}
    folder = Path(location).expanduser()
    books: dict[str, list[Path]] = {}
    for file in _abc_files(folder):
        books.setdefault(file.parent.resolve().name, []).append(file)
    return books


def read_tunes(books: dict[str, list[Path]]) -> Iterator[tuple[str, Tune | Rejection]]:
    """Yield every tune of every book with the book's name, and what cannot be a tune."""
    for book, files in books.items():
        for file in files:
            for tune in read_book(file):
                yield book, tune


def _music21_corpus() -> Path:
    spec = find_spec("music21")  # not imported: that takes seconds
    if spec is None or not spec.submodule_search_locations:
        raise NotAvailableError(
            "data.location=null reads the tune books of music21, which is not installed; "
            "pip install music21, or set data.location to a folder of .abc files"
        )
    return Path(spec.submodule_search_locations[0]) / "corpus"


def _abc_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.abc"))
    if not files:
        state = "holds no .abc file" if folder.is_dir() else "is not a folder"
        raise InputError(f"data.location={folder} {state}; give a folder of .abc files")
    return files
