"""Pieces of files: what a file is cut into, so that many processes can read it.

Pieces are small and picklable. Nothing is opened here.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.contents import printable

PIECE_BYTES = 8 << 20
"""Size of the pieces that a long file is cut into, before compression."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, a member of a zip, or a stretch of either.

    Attributes:
        name: path relative to the part's root, with `/`.
        kind: how it is read, a key of `KINDS`.
        compression: `gz`, `bz2`, `xz`, `zst`, or empty.
        member: name inside the zip `name`; empty for plain files.
        start: first byte (lines) or first row group (parquet).
        stop: where it ends, exclusive; None reads to the end.
        first: number of its first line or row within the file, from 1.
        num_bytes: about how large, before compression.
        list_name: of the list in a JSON object that is read; empty for all lists.
    """

    name: str
    kind: str
    compression: str = ""
    member: str = ""
    start: int = 0
    stop: int | None = None
    first: int = 1
    num_bytes: int = 0
    list_name: str = ""

    @property
    def place(self) -> str:
        """The file as ids and messages name it, such as `tunes.zip/reels/1.abc`."""
        return printable(f"{self.name}/{self.member}" if self.member else self.name)
