"""Opens plain, compressed and zipped files as streams of bytes; unpacks nothing to disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from musicllm.errors import InputError
from musicllm.files.kinds.json import is_json_lines
from musicllm.files.pieces import Piece


def _damage() -> tuple[type[Exception], ...]:
    """Return what libraries raise for a file that cannot be read."""
    import ijson
    import pyarrow as pa

    return (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,  # zipfile: a compression method that it does not know
        pa.ArrowException,
        ijson.JSONError,
        UnicodeDecodeError,
    )


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Say which file is meant when it turns out to be damaged.

    Raises:
        InputError: in place of what the libraries raise for a file that cannot be read on. What
            follows the damage is unknown, hence no drop.
    """
    try:
        yield
    except _damage() as error:
        raise InputError(
            f"{path} cannot be read to its end: {cause_of(error)}; replace the file or take it out"
        ) from error


def cause_of(error: Exception) -> str:
    """Return the first line of a library's message, or the class of the error."""
    message = error.args[0] if error.args else ""
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(error)
    return text.strip().partition("\n")[0].rstrip(".") or type(error).__name__


class Opener:
    """Opens the pieces of a folder, keeping the zip that was opened last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._zip: zipfile.ZipFile | None = None

    @contextmanager
    def open(self, piece: Piece) -> Iterator[io.BufferedReader]:
        """Open a piece from its start, decompressed, behind a byte order mark."""
        with self._raw(piece) as raw, _decompressed(raw, piece.compression) as file:
            if piece.start == 0 and file.peek(len(BOM_UTF8)).startswith(BOM_UTF8):
                file.read(len(BOM_UTF8))
            yield file

    def with_actual_kind(self, piece: Piece) -> Piece:
        """Return the piece of a file called `.json` as JSON Lines where it holds these."""
        if piece.kind != "json":
            return piece
        with self.open(piece) as file:
            return replace(piece, kind="jsonl") if is_json_lines(file) else piece

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._zip is not None:
            self._zip.close()
            self._zip = None

    def _raw(self, piece: Piece) -> IO[bytes]:
        path = self._root / piece.name
        if not piece.member:
            file = path.open("rb")
            file.seek(piece.start if piece.kind == "jsonl" else 0)
            return file
        if self._zip is None or self._zip.filename != str(path):
            self._close()
            self._zip = zipfile.ZipFile(path)
        return self._zip.open(piece.member)


def _decompressed(file: IO[bytes], compression: str) -> io.BufferedReader:
    """Wrap a stream; what comes back is buffered, whatever its class, hence can peek."""
    match compression:
        case "gz":
            return cast("io.BufferedReader", gzip.open(file))
        case "bz2":
            return cast("io.BufferedReader", bz2.open(file))
        case "xz":
            return cast("io.BufferedReader", lzma.open(file))
        case "zst":
            import pyarrow as pa

            stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
            return io.BufferedReader(stream, 1 << 18)
        case _:
            return cast("io.BufferedReader", file)
