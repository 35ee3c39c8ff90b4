"""Work in threads: shared, remembered within bounds, refused when too much waits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from musicllm.serve.desk import BusyError, ClosedError
from musicllm.serve.tunes.workshop import ENTRY_BYTES, Workshop


def workshop(num_waiting: int = 0, max_bytes: int = 10_000) -> Workshop[bytes]:
    return Workshop(
        "pictures", num_threads=1, num_waiting=num_waiting, max_bytes=max_bytes, size_of=len
    )


def counted(calls: list[str], name: str, size: int = 1) -> Callable[[], bytes]:
    def work() -> bytes:
        calls.append(name)
        return name.encode() * size

    return work


def test_a_value_is_computed_once_and_forgotten_when_others_need_the_room() -> None:
    async def run() -> None:
        calls: list[str] = []
        shop = workshop(max_bytes=2 * (ENTRY_BYTES + 100))
        for name in "ababcba":
            assert await shop.do(name, counted(calls, name, 100)) == name.encode() * 100
            assert shop.num_bytes <= 2 * (ENTRY_BYTES + 100)
        assert calls == ["a", "b", "c", "a"]
        await shop.do("huge", counted(calls, "h", 5000))
        await shop.do("huge", counted(calls, "h", 5000))
        assert calls[4:] == ["h", "h"]
        shop.close()

    asyncio.run(run())


def test_equal_requests_share_a_computation_that_outlives_a_client() -> None:
    async def run() -> None:
        calls: list[str] = []
        begun, go = threading.Event(), threading.Event()

        def work() -> bytes:
            begun.set()
            assert go.wait(10)
            return counted(calls, "a")()

        shop = workshop()
        first = asyncio.create_task(shop.do("a", work))
        await asyncio.to_thread(begun.wait, 10)
        second = asyncio.create_task(shop.do("a", work))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(BusyError, match="1 pictures wait already"):
            await shop.do("b", work)
        go.set()
        assert await second == b"a"
        assert calls == ["a"]
        shop.close()
        with pytest.raises(ClosedError):
            await shop.do("b", work)

    asyncio.run(run())


def test_an_error_is_not_remembered() -> None:
    def fail() -> bytes:
        raise ValueError("no")

    async def run() -> None:
        calls: list[str] = []
        shop = workshop()
        with pytest.raises(ValueError, match="no"):
            await shop.do("a", fail)
        assert await shop.do("a", counted(calls, "a")) == b"a"
        shop.close()

    asyncio.run(run())


def test_what_hangs_or_waits_does_not_delay_the_end() -> None:
    async def run() -> None:
        begun, go = threading.Event(), threading.Event()
        calls: list[str] = []

        def hang() -> bytes:
            begun.set()
            assert go.wait(60)
            return b"late"

        shop = workshop(num_waiting=1)
        hanging = asyncio.create_task(shop.do("hangs", hang))
        await asyncio.to_thread(begun.wait, 10)
        waiting = asyncio.create_task(shop.do("waits", counted(calls, "waits")))
        await asyncio.sleep(0)
        assert not await asyncio.to_thread(shop.close, 0.1)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        hanging.cancel()
        assert calls == []

    asyncio.run(run())


ENDS = """
import asyncio, threading
from musicllm.serve.tunes.workshop import Workshop

async def main():
    shop = Workshop("files", num_threads=1, num_waiting=9, max_bytes=9, size_of=len)
    begun = threading.Event()
    def hang():
        begun.set()
        threading.Event().wait()
    for key in range(9):
        asyncio.ensure_future(shop.do(key, hang))
    await asyncio.to_thread(begun.wait, 30)

asyncio.run(main())
print("ended")
"""


def test_a_process_ends_although_its_workshop_was_not_closed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
