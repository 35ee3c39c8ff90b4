"""The work of the server for tunes: checks and files, each kind in threads of its own."""

from __future__ import annotations

import hashlib
import os
from functools import partial

import orjson

from musicllm.serve.tunes.files import FileRequest, TuneFile, tune_file
from musicllm.serve.tunes.findings import findings
from musicllm.serve.tunes.workshop import Workshop

NUM_WAITING = 64
"""Checks, and files, that may wait for a thread; one more is refused."""
CHECKS_BYTES, FILES_BYTES = 16 << 20, 64 << 20
"""Memory for checks and for files that were made before."""


class TuneWorkshops:
    """Checks tunes and makes files of them, for coroutines of one event loop."""

    def __init__(self) -> None:
        self._checks: Workshop[bytes] = Workshop(
            "checks",
            num_threads=2,
            num_waiting=NUM_WAITING,
            max_bytes=CHECKS_BYTES,
            size_of=len,
        )
        self._files: Workshop[TuneFile] = Workshop(
            "files",
            num_threads=max(2, min(4, os.cpu_count() or 1)),
            num_waiting=NUM_WAITING,
            max_bytes=FILES_BYTES,
            size_of=lambda file: len(file.content),
        )

    async def check(self, text: str, *, is_tune: bool = False, utf16: bool = False) -> bytes:
        """Return `findings` as JSON; raises as it does, and as `Workshop.do`."""
        work = partial(findings, text, is_tune=is_tune, utf16=utf16)
        key = _digest(text, is_tune, utf16)
        return await self._checks.do(key, lambda: orjson.dumps(work()))

    async def file(self, request: FileRequest) -> TuneFile:
        """Return `tune_file`; raises as it does, and as `Workshop.do`."""
        key = _digest(request.abc, request.format, request.playing)
        return await self._files.do(key, partial(tune_file, request))

    def close(self) -> None:
        """End the threads; waits for what runs, but not long."""
        self._checks.close()
        self._files.close()


def _digest(*parts: object) -> bytes:
    """Return what equal requests have in common, in a few bytes."""
    return hashlib.sha256(repr(parts).encode()).digest()
