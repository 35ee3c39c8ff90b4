"""What a file or a folder holds: SHA-256 by relative name, the same for a copy elsewhere or later.

Names that begin with a dot are passed over; a link counts as what it leads to, and a linked folder
is entered once. Bytes are read once: what is known of a file is kept in a cache beside its size,
times and inode, and is taken from there while these stay as they were.
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
"""Size, times of change of bytes and of inode in ns, inode: what differs when bytes may differ."""

PATIENCE_S = 2.0
"""Reading that takes longer shows a bar; and a file that changed more recently than this is read
again next time, since another change may have the same time on the disk."""

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Contents:
    """What a place held when it was read.

    Attributes:
        path: the file or folder, absolute.
        digests: SHA-256 by relative name; of a single file, by its own name.
        files: where they lie, by the same names.
        stamps: what they looked like then.
    """

    path: Path
    digests: Mapping[str, str]
    files: Mapping[str, Path]
    stamps: Mapping[str, Stamp]

    @property
    def identity(self) -> str:
        """12 hexadecimal digits that equal contents share, wherever they lie."""
        return artifacts.fingerprint(dict(self.digests))

    def changed(self) -> list[str]:
        """Return the names of files that now have other bytes, or are gone."""
        return [name for name, file in self.files.items() if self._differs(name, file)]

    def _differs(self, name: str, file: Path) -> bool:
        if not file.is_file():
            return True
        return (
            stamp_of(file) != self.stamps[name] and artifacts.checksum(file) != self.digests[name]
        )


def read(path: Path, cache: Path, counts: Callable[[str], bool] = lambda _: True) -> Contents:
    """Return what a file or folder holds.

    Cost: one look at every file; new and changed ones are read, several at a time.

    Args:
        path: of the file or folder.
        cache: folder for what can be made again.
        counts: tells by its relative name whether a file belongs to it.

    Raises:
        InputError: a file or folder cannot be read, or changed while it was read.
    """
    path = path.expanduser().absolute()
    record = cache.expanduser() / "contents" / f"{artifacts.fingerprint(printable(str(path)))}.json"
    try:
        files = {printable(name): file for name, file in visible(path) if counts(name)}
        stamps = {name: stamp_of(file) for name, file in files.items()}
        known = _known(record)
        digests = {
            name: known[name, stamp] for name, stamp in stamps.items() if (name, stamp) in known
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
        _remember(record, contents)
    return contents


def visible(
    path: Path, pass_over: Callable[[str, str], None] = lambda *_: None
) -> Iterator[tuple[str, Path]]:
    """Yield relative name and path of a file, or of all files below a folder but hidden ones.

    Args:
        path: of the file or folder.
        pass_over: told the name of whatever is left out, and why.

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
        shown = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(shown, key=lambda name: (name in links, name))
        for name in sorted(name for name in files if not name.startswith(".")):
            file = Path(parent, name)
            if file.is_file():
                yield file.relative_to(path).as_posix(), file
            else:
                pass_over(name, "link that leads nowhere" if file.is_symlink() else "no plain file")


def stamp_of(file: Path) -> Stamp:
    """Return what differs when the bytes of a file may differ."""
    state = file.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _raise(error: OSError) -> None:
    raise error


def printable(name: str) -> str:
    """Return a name that JSON can hold, whatever bytes it has on the disk."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _known(record: Path) -> dict[tuple[str, Stamp], str]:
    """Return digests by name and stamp, as an earlier call wrote them."""
    with suppress(OSError, ValueError, TypeError):
        lines = json.loads(record.read_text(encoding="utf-8"))
        return {(name, tuple(stamp)): digest for name, stamp, digest in lines}
    return {}


def _remember(record: Path, contents: Contents) -> None:
    """Write what is known for the next call, which without a cache only takes longer."""
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
    """Return the digests of files; a bar shows how far reading is when it takes long."""
    done = dict.fromkeys(files, 0)

    def digest(name: str) -> str:
        def count(num_bytes: int) -> None:
            done[name] += num_bytes  # no other thread's number

        return artifacts.checksum(files[name], count)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        work = {name: pool.submit(digest, name) for name in files}
        left = wait(work.values(), timeout=PATIENCE_S).not_done
        if left:
            total = sum(file.stat().st_size for file in files.values())
            with console.progress(title, total // MEBIBYTE, "MiB") as advance:
                shown = 0
                while left:
                    left = wait(left, timeout=0.2).not_done
                    reached = sum(done.values()) // MEBIBYTE
                    advance(reached - shown)
                    shown = reached
        return {name: future.result() for name, future in work.items()}
