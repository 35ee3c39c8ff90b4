"""The free tune books of the package music21."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from musicllm.data.settings import SourceSpec
from musicllm.data.sources.parts import Part, group
from musicllm.data.sources.readers import READERS, SourceReader
from musicllm.errors import NotAvailableError
from musicllm.files.listing import list_files

FREE_BOOKS = ("oneills1850", "airdsAirs", "ryansMammoth")
"""O'Neill's Music of Ireland (1,850 tunes), Aird's Airs, Ryan's Mammoth Collection.

They come with the package music21 and are free to use as far as their files say. Its largest
book, the Essen folk songs, is for non-commercial use only and is never read.
"""


def _find_parts(_: SourceSpec) -> Iterator[Part]:
    package = find_spec("music21")  # not imported: that takes seconds
    if package is None or not package.submodule_search_locations:
        raise NotAvailableError(
            "reader=books reads the tune books of music21, which is not installed; "
            "pip install music21, or choose a folder of .abc files with reader=files"
        )
    for book in FREE_BOOKS:
        root = Path(package.submodule_search_locations[0]) / "corpus" / book
        pieces = list_files(root, "music21", kinds=["abc"]).pieces
        for record_format, tunes in group([("abc", piece) for piece in pieces]):
            yield Part(book, root, record_format, tunes)


READER = READERS.register(SourceReader("books", _find_parts))
