"""The file of preference pairs: whole lines are appended, by several users and processes.

A line is written with one call under a lock, and reaches the disk before the user is told so. A
line that a crash cut short is ended, so that the next one is whole; readers report and skip it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from musicllm.errors import InputError
from musicllm.serve.preferences.pair import FIELDS, Pair

KEY = "serve.preferences"
SUFFIX = ".jsonl"


class PreferenceFile:
    """See the module."""

    def __init__(self, path: Path) -> None:
        """Make the file if there is none.

        Args:
            path: of the file; missing folders are made.

        Raises:
            InputError: it cannot be written, or holds something else.
        """
        self.path = path
        if path.suffix != SUFFIX:
            raise InputError(f"{KEY}={path} does not end in {SUFFIX}, by which data are recognised")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked() as file:
                self._refuse_others(file)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{KEY}={path} cannot be written: {reason}; name another") from None

    def append(self, pair: Pair) -> None:
        """Write a pair.

        Raises:
            InputError: the disk refuses; nothing is written then.
        """
        try:
            with self._locked() as file:
                size = os.fstat(file).st_size
                is_whole = size == 0 or os.pread(file, 1, size - 1) == b"\n"
                content = pair.line() if is_whole else b"\n" + pair.line()
                try:
                    _write_all(file, content)
                    os.fsync(file)
                except OSError:
                    os.ftruncate(file, size)
                    raise
        except OSError as error:
            raise InputError(f"{KEY}={self.path} cannot be written: {error.strerror}") from None

    def remove(self, ids: Collection[str]) -> int:
        """Take pairs out again, and return how many lines these were.

        The file is replaced as a whole, so that no reader sees half of it.

        Raises:
            InputError: the disk refuses; the file is as it was.
        """
        try:
            with self._locked():
                lines = self.path.read_bytes().splitlines(keepends=True)
                rest = [line for line in lines if _id(line) not in ids]
                if len(rest) < len(lines):
                    temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
                    with temporary.open("wb") as file:
                        file.writelines(rest)
                        file.flush()
                        os.fsync(file.fileno())
                    temporary.replace(self.path)
                return len(lines) - len(rest)
        except OSError as error:
            raise InputError(f"{KEY}={self.path} cannot be written: {error.strerror}") from None

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the file while no other process or thread has it, although it may be replaced."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        while True:
            file = os.open(self.path, flags, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(file, self.path):
                    yield file
                    return
            finally:
                os.close(file)

    def _refuse_others(self, file: int) -> None:
        """Refuse a file whose first line is no pair."""
        first = next(iter(os.pread(file, 1 << 24, 0).splitlines()), b"")
        if first and not _is_pair(first):
            raise InputError(
                f"{KEY}={self.path} holds something else than preference pairs; name another file"
            )


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


def _is_at(file: int, path: Path) -> bool:
    """Return whether an open file is still the one at its path."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(file)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _is_pair(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and all(name in value for name in FIELDS)


def _id(line: bytes) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value.get("id") if isinstance(value, dict) else None
