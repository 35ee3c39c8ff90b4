"""Blocks of the token store: what one worker writes while it encodes.

A block holds the tokens of its documents one after another, and an index of them. `store` reads
blocks; nothing here tokenises.

Letters: n documents.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from musicllm.data.atomic import replacing
from musicllm.data.documents import Documents

IDS, SUPERVISED, INDEX = "ids", "supervised", "npy"
"""Suffixes of a block's files: int32 a token, a byte a token, and the index of its documents."""

COLUMNS = np.dtype(
    [
        ("length", np.int32),
        ("num_supervised", np.int32),
        ("source", np.int16),
        ("kind", np.int8),
    ]
)


class BlockWriter:
    """Writes a block from several batches of documents; its files get their names at the end.

    There is no file of supervised tokens when all but the first of every document are. The index
    is written last.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Begin a block in a folder that is there."""
        self._path = folder / name
        self._files = ExitStack()
        self._ids = self._open(IDS)
        self._supervised = self._open(SUPERVISED)
        self._indexes = [np.zeros(0, COLUMNS)]

    def _open(self, suffix: str) -> BinaryIO:
        path = self._files.enter_context(replacing(block_file(self._path, suffix)))
        return self._files.enter_context(path.open("wb"))

    def add(
        self, documents: Documents, source: npt.NDArray[np.int16], kind: npt.NDArray[np.int8]
    ) -> None:
        """Append documents.

        Args:
            documents: n of them.
            source: int16 [n]; numbers of their sources.
            kind: int8 [n]; numbers of their kinds.
        """
        lengths = documents.lengths
        supervised = documents.supervised.copy()
        supervised[documents.offsets[:-1][lengths > 0]] = False
        index = np.empty(len(lengths), COLUMNS)
        index["length"] = lengths
        index["num_supervised"] = np.diff(
            np.concatenate([[0], np.cumsum(supervised)])[documents.offsets]
        )
        index["source"] = source
        index["kind"] = kind
        documents.input_ids.astype("<i4", copy=False).tofile(self._ids)
        supervised.tofile(self._supervised)
        self._indexes.append(index)

    def close(self) -> None:
        """Finish the block."""
        self._files.close()
        index = np.concatenate(self._indexes)
        if is_plain(index):
            block_file(self._path, SUPERVISED).unlink()
        with replacing(block_file(self._path, INDEX)) as path, path.open("wb") as file:
            np.save(file, index)


def write_block(
    folder: Path,
    name: str,
    documents: Documents,
    source: npt.NDArray[np.int16],
    kind: npt.NDArray[np.int8],
) -> None:
    """Write a block whose documents are all in memory; see `BlockWriter`."""
    block = BlockWriter(folder, name)
    block.add(documents, source, kind)
    block.close()


def block_file(path: Path, suffix: str) -> Path:
    """Return a file of the block `path`."""
    return path.with_name(f"{path.name}.{suffix}")


def is_plain(index: npt.NDArray[Any]) -> bool:
    """Return whether all tokens but the first of every document are supervised."""
    return bool(np.array_equal(index["num_supervised"], np.maximum(index["length"] - 1, 0)))
