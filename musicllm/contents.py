"""Content of files and folders: SHA-256 by relative name, equal for copies at any place and time.

Hidden names (with a leading dot) are skipped; links are followed, and a linked folder
is entered once. Bytes are read once: digests are cached with size,
times and inode of the file, and reused while these are unchanged.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from musicllm import artifacts, console
from musicllm.errors import InputError

Stamp = tuple[int, int, int, int]
"""Size, mtime and ctime in ns, inode: one of them changes whenever bytes change."""

PATIENCE_S = 2.0
"""Reading that takes longer shows a progress bar. A file modified more recently than this is read
again next time, since a later change may have the same timestamp."""

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Contents:
    """The content of a file or folder when it was read.

    Attributes:
        path: the file or folder, absolute.
        digests: SHA-256 by relative name; a single file is listed by its own name.
        files: paths by the same names.
        stamps: state of each file at that time.
    """

    path: Path
    digests: Mapping[str, str]
    files: Mapping[str, Path]
    stamps: Mapping[str, Stamp]

    @property
    def identity(self) -> str:
        """Fingerprint: 12 hexadecimal digits, equal for equal contents at any path."""
        return artifacts.fingerprint(dict(self.digests))

    def changed(self) -> list[str]:
        """Return the names of files that have changed since, or are gone."""
        return [name for name, file in self.files.items() if self._differs(name, file)]

    def _differs(self, name: str, file: Path) -> bool:
        if not file.is_file():
            return True
        return (
            stamp_of(file) != self.stamps[name] and artifacts.checksum(file) != self.digests[name]
        )


def read(path: Path, cache: Path, counts: Callable[[str], bool] = lambda _: True) -> Contents:
    """Return the content of a file or folder.

    Cost: one `stat` per file; new and changed files are read, several in parallel.

    Args:
        path: of the file or folder.
        cache: folder for digests, which can be deleted.
        counts: whether a file belongs to the content, by its relative name.

    Raises:
        InputError: a file or folder cannot be read, or changed while it was read.
    """
    path = path.expanduser().absolute()
    record = cache.expanduser() / "contents" / f"{artifacts.fingerprint(printable(str(path)))}.json"
    try:
        files = {printable(name): file for name, file in visible(path) if counts(name)}
        stamps = {name: stamp_of(file) for name, file in files.items()}
        cached = _cached(record)
        digests = {
            name: cached[name, stamp] for name, stamp in stamps.items() if (name, stamp) in cached
        }
        new = {name: file for name, file in files.items() if name not in digests}
        digests |= _read_files(f"reading {path}", new)
        changed = [file for name, file in new.items() if stamp_of(file) != stamps[name]]
    except OSError as error:
        raise InputError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    if changed:
        raise InputError(f"{changed[0]} changed while it was read; run the same command again")
    contents = Contents(path, dict(sorted(digests.items())), files, stamps)
    if new:
        _store(record, contents)
    return contents


def visible(
    path: Path, pass_over: Callable[[str, str], None] = lambda *_: None
) -> Iterator[tuple[str, Path]]:
    """Yield relative name and path of a file, or of all files below a folder except hidden ones.

    Args:
        path: of the file or folder.
        pass_over: called with the name of each skipped entry, and the reason.

    Raises:
        OSError: a folder cannot be read.
    """
    if path.is_file():
        yield path.name, path
        return
    entered = set()
    for parent, folders, files in os.walk(path, followlinks=True, onerror=_raise):
        if (real := os.path.realpath(parent)) in entered:
            pass_over(Path(parent).name, "link to a folder that is read already")
            folders.clear()
            continue
        entered.add(real)
        for name in (*folders, *files):
            if name.startswith("."):
                pass_over(name, "hidden")
        links = {name for name in folders if Path(parent, name).is_symlink()}
        entries = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(entries, key=lambda name: (name in links, name))
        for name in sorted(name for name in files if not name.startswith(".")):
            file = Path(parent, name)
            if file.is_file():
                yield file.relative_to(path).as_posix(), file
            else:
                pass_over(name, "link that leads nowhere" if file.is_symlink() else "no plain file")


def stamp_of(file: Path) -> Stamp:
    """Return the stamp of a file."""
    state = file.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _raise(error: OSError) -> None:
    raise error


def printable(name: str) -> str:
    """Return a file name that JSON can encode, whatever bytes it has on disk."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _cached(record: Path) -> dict[tuple[str, Stamp], str]:
    """Return cached digests by name and stamp."""
    with suppress(OSError, ValueError, TypeError):
        lines = json.loads(record.read_text(encoding="utf-8"))
        return {(name, tuple(stamp)): digest for name, stamp, digest in lines}
    return {}


def _store(record: Path, contents: Contents) -> None:
    """Cache the digests for the next call; failures only cost time."""
    recent = time.time_ns() - int(PATIENCE_S * 1e9)
    lines = [
        (name, stamp, contents.digests[name])
        for name, stamp in contents.stamps.items()
        if max(stamp[1:3]) < recent
    ]
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        artifacts.write_text(record, json.dumps(lines, ensure_ascii=False))


def _read_files(title: str, files: Mapping[str, Path]) -> dict[str, str]:
    """Return the digests of files; shows a progress bar if it takes long."""
    done = dict.fromkeys(files, 0)

    def digest(name: str) -> str:
        def count(num_bytes: int) -> None:
            done[name] += num_bytes  # each thread has its own entry

        return artifacts.checksum(files[name], count)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        work = {name: pool.submit(digest, name) for name in files}
        pending = wait(work.values(), timeout=PATIENCE_S).not_done
        if pending:
            total = sum(file.stat().st_size for file in files.values())
            with console.progress(title, total // MEBIBYTE, "MiB") as advance:
                reported = 0
                while pending:
                    pending = wait(pending, timeout=0.2).not_done
                    reached = sum(done.values()) // MEBIBYTE
                    advance(reached - reported)
                    reported = reached
        return {name: future.result() for name, future in work.items()}
