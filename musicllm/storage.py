"""Explains errors of the file system: full disk, missing permission, name conflict.

Libraries report these in different ways; here they become one message
instead of a traceback.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG)

NO_SPACE = ("No space left on device", "Disk quota exceeded", "code: 28,", "disk is full")
"""Messages of libraries with errors of their own: safetensors, SQLite, Arrow."""


def explain(error: BaseException) -> str | None:
    """Return a message for the user if an error comes from the file system; else None."""
    for cause in _chain(error):
        number = cause.errno if isinstance(cause, OSError) else None
        reason = getattr(cause, "strerror", None) or str(cause).strip().partition("\n")[0]
        place = getattr(cause, "filename", None)
        where = f"{place}: " if place is not None else ""
        if number in FULL or any(words in str(cause) for words in NO_SPACE):
            return (
                f"{where}the disk is full ({reason}); make room, or write "
                f"paths.runs=<folder on a larger disk>; what is complete is kept, and the same "
                f"command continues"
            )
        if number in DENIED and place is not None:
            return (
                f"{place} cannot be read or written ({reason}); give this user the right to "
                f"it, or name another place (paths.runs, paths.cache)"
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
