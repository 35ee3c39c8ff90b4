"""Limits its own resources, then executes another program; started by `fence.run_limited`.

Usage: `python -I -S _launch.py CPU_S MEMORY_BYTES FILE_BYTES PROGRAM [ARGUMENT ...]`. It uses only
the standard library and takes about 12 ms. A separate program instead of `preexec_fn`, because code
between fork and exec can deadlock if the caller has threads, as every server does.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress


def main(cpu_s: int, memory_bytes: int, file_bytes: int, command: list[str]) -> None:
    """Limit CPU time, address space, file sizes and core dumps, then run the command."""
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        with suppress(ValueError, OSError):  # macOS cannot limit the address space
            resource.setrlimit(kind, (limit, limit))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
