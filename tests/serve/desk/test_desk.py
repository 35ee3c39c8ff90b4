"""The desk: what clients are told, whoever else is written for, and how they are left."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import pytest

from musicllm.errors import InputError, StageError
from musicllm.inference.engines import OnPiece
from musicllm.inference.engines.local import LocalEngine
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.serve.desk import (
    BusyError,
    ClosedError,
    Desk,
    DeskLimits,
    Done,
    Event,
    Piece,
    Waiting,
    Writing,
)
from tests.waiting import wait_for

T = TypeVar("T")

FREE = SamplingSettings(1.0, 0, 1.0, 1.0, 20)
LONG = dataclasses.replace(FREE, max_new_tokens=400)
LIMITS = DeskLimits(num_waiting=64, time_limit_s=60.0)


def request(seed: int, settings: SamplingSettings = FREE, text: str = "X:1\n") -> WritingRequest:
    return WritingRequest(None, text, settings, seed)


@pytest.fixture
def engine(model: Any, tokenizer: Any) -> LocalEngine:
    return LocalEngine(model, tokenizer, batch_size=8)


@pytest.fixture
def endless(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> LocalEngine:
    """An engine whose model never ends a text."""
    monkeypatch.setattr(engine._encoder, "end_ids", [10_000])
    return engine


class PlainEngine:
    """An engine that cannot be joined: it writes words, with a pause after each."""

    context = None

    def __init__(self, text: str = "a b c d e f ", pause_s: float = 0.0) -> None:
        self.text, self.pause_s = text, pause_s
        self.num_words = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def count_tokens(self, _: object) -> None:
        return None

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        if requests[0].text == "fail":
            raise StageError("this one cannot be written")
        assert self.may_go_on.wait(60)
        for word in self.text.split():
            self.num_words += 1
            if on_piece is not None:
                on_piece(0, word + " ")
            time.sleep(self.pause_s)
        yield 0, Completion(self.text, 6, finished=True, num_prompt_tokens=1)

    def close(self) -> None: ...


@contextmanager
def desk_of(engine: Any, limits: DeskLimits = LIMITS) -> Iterator[Desk]:
    desk = Desk(engine, limits)
    try:
        yield desk
    finally:
        desk.close(30)


async def told(writing: Writing) -> list[Event]:
    async with writing:
        return [event async for event in writing]


async def done(writing: Writing) -> Done:
    events = await told(writing)
    last = events[-1]
    assert isinstance(last, Done)
    assert "".join(one.text for one in events if isinstance(one, Piece)) == last.completion.text
    return last


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def limited() -> T:
        return await asyncio.wait_for(work(), 120)

    return asyncio.run(limited())


def test_texts_are_those_that_the_engine_writes_whoever_else_is_written_for(
    engine: LocalEngine,
) -> None:
    settings = [FREE, dataclasses.replace(FREE, temperature=0.0), LONG]
    requests = [request(seed, settings[seed % 3], "X:1\n" * (1 + seed % 4)) for seed in range(20)]
    expected = [next(iter(engine.write([one])))[1] for one in requests]

    async def at_odd_times(desk: Desk, number: int) -> Done:
        await asyncio.sleep(0.01 * (number * 7 % 20))
        return await done(desk.write(requests[number]))

    with desk_of(engine) as desk:

        async def all_of_them() -> list[Done]:
            return await asyncio.gather(*(at_odd_times(desk, n) for n in range(20)))

        written = run(all_of_them)
    assert [one.completion for one in written] == expected
    assert [one.end for one in written] == [
        "model" if one.finished else "length" for one in expected
    ]
    assert {one.end for one in written} == {"model", "length"}


def test_a_request_that_fails_fails_alone(engine: LocalEngine) -> None:
    [(_, expected)] = engine.write([request(1)])
    with desk_of(engine) as desk:

        async def work() -> list[Any]:
            texts = [desk.write(request(1)) for _ in range(2)]
            bad = desk.write(request(1, LONG, "X:1\n" * 100))
            return await asyncio.gather(
                done(texts[0]), told(bad), done(texts[1]), return_exceptions=True
            )

        first, error, second = run(work)
    assert (first.completion, second.completion) == (expected, expected)
    assert isinstance(error, InputError)
    assert "has 401 tokens" in str(error)


def test_the_queue_has_a_limit_and_says_where_one_is() -> None:
    plain = PlainEngine()
    plain.may_go_on.clear()
    with desk_of(plain, DeskLimits(num_waiting=2, time_limit_s=60)) as desk:

        async def work() -> list[Any]:
            running = desk.write(request(0))
            await asyncio.to_thread(wait_for, lambda: desk._running)
            first, second = desk.write(request(1)), desk.write(request(2))
            with pytest.raises(BusyError, match=r"wait as may wait \(serve.num_waiting=2\)"):
                desk.write(request(3))
            async with first:
                pass  # it leaves, and the next one moves up
            third = desk.write(request(4))
            plain.may_go_on.set()
            return await asyncio.gather(told(running), told(second), told(third))

        _, second, third = run(work)
    positions = [
        [e.position for e in events if isinstance(e, Waiting)] for events in (second, third)
    ]
    assert positions == [[1, 0], [1, 0]]


def test_with_no_room_to_wait_an_idle_engine_still_writes() -> None:
    with desk_of(PlainEngine(), DeskLimits(num_waiting=0, time_limit_s=60)) as desk:

        async def work() -> Done:
            return await done(desk.write(request(0)))

        assert run(work).end == "model"


def test_who_leaves_stops_costing_compute_at_once(
    endless: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = endless._model.forward

    @wraps(forward)
    def counted(**keywords: Any) -> Any:
        calls.append(1)
        return forward(**keywords)

    monkeypatch.setattr(endless._model, "forward", counted)
    with desk_of(endless) as desk:

        async def leave() -> None:
            async with desk.write(request(0, LONG)) as writing:
                async for event in writing:
                    if isinstance(event, Piece):
                        return

        run(leave)
        wait_for(lambda: not desk._running)
        assert len(calls) < 300, "far from the 400 tokens that it would have had"
        seen = len(calls)
        time.sleep(0.1)
        assert len(calls) == seen


@pytest.mark.parametrize("kind", ["joinable", "plain"])
def test_a_model_that_never_stops_is_ended_by_the_time_limit(
    kind: str, endless: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = endless._model.forward

    @wraps(forward)
    def slow(**keywords: Any) -> Any:
        time.sleep(0.02)
        return forward(**keywords)

    monkeypatch.setattr(endless._model, "forward", slow)
    engine: Any = endless if kind == "joinable" else PlainEngine("word " * 400, 0.02)
    with desk_of(engine, DeskLimits(8, time_limit_s=0.5)) as desk:

        async def work() -> Done:
            return await done(desk.write(request(0, LONG)))

        written = run(work)
    assert written.end == "time"
    assert written.completion.text
    assert not written.completion.finished
    if kind == "joinable":
        assert 0 < written.completion.num_new_tokens < 100
        assert written.completion.num_prompt_tokens == 5


def test_a_client_that_stops_gets_what_is_written(endless: LocalEngine) -> None:
    with desk_of(endless) as desk:

        async def work() -> tuple[Done, Done]:
            writing = desk.write(request(0, LONG))
            async with writing:
                async for event in writing:
                    if isinstance(event, Piece):
                        writing.stop()
                    if isinstance(event, Done):
                        first = event
            waiting = desk.write(request(1, LONG))
            waiting.stop()
            return first, await done(waiting)

        first, second = run(work)
    assert (first.end, second.end) == ("stopped", "stopped")
    assert 0 < first.completion.num_new_tokens < 400
    assert second.completion.num_new_tokens < 400


def test_closing_finishes_what_is_here_and_takes_nothing_new() -> None:
    plain = PlainEngine(pause_s=0.02)
    desk = Desk(plain, LIMITS)

    async def work() -> list[Done]:
        here = [asyncio.ensure_future(done(desk.write(request(n)))) for n in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(asyncio.to_thread(desk.close, 60))
        await asyncio.to_thread(wait_for, lambda: desk._is_closing)
        with pytest.raises(ClosedError, match="the server is being stopped"):
            desk.write(request(4))
        assert await closing is True
        return await asyncio.gather(*here)

    assert [one.end for one in run(work)] == ["model"] * 3


def test_what_is_not_finished_in_time_is_cut_off(endless: LocalEngine) -> None:
    desk = Desk(endless, LIMITS)
    settings = dataclasses.replace(LONG, max_new_tokens=500)

    async def work() -> list[Any]:
        here = [asyncio.ensure_future(done(desk.write(request(n, settings)))) for n in range(12)]
        await asyncio.to_thread(wait_for, lambda: desk._running)
        assert await asyncio.to_thread(desk.close, 0.0) is False
        return await asyncio.gather(*here)

    assert {one.end for one in run(work)} == {"stopped"}


def test_an_error_of_the_engine_ends_what_runs_and_the_next_is_written(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = engine._model.forward
    calls: list[int] = []

    @wraps(forward)
    def fails_once(**keywords: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("a kernel failed")
        return forward(**keywords)

    [(_, expected)] = engine.write([request(3)])
    monkeypatch.setattr(engine._model, "forward", fails_once)
    with desk_of(engine) as desk:

        async def work() -> Done:
            with pytest.raises(RuntimeError, match="a kernel failed"):
                await told(desk.write(request(3)))
            return await done(desk.write(request(3)))

        assert run(work).completion == expected


def test_an_engine_that_ends_in_an_error_fails_requests_and_serves_again() -> None:
    class Broken:
        context, num_together = None, 2

        def __init__(self) -> None:
            self.num_calls = 0

        def serve(self, feed: Any) -> None:
            self.num_calls += 1
            ticket = feed.take()
            if self.num_calls < 3:
                raise StageError(f"ended {self.num_calls} times")
            ticket.done(Completion("ok", 1, finished=True, num_prompt_tokens=1))
            assert feed.wait() is False

    with desk_of(Broken()) as desk:

        async def work() -> list[Any]:
            return [
                *await asyncio.gather(told(desk.write(request(0))), return_exceptions=True),
                *await asyncio.gather(told(desk.write(request(0))), return_exceptions=True),
                (await told(desk.write(request(0))))[-1],
            ]

        first, second, third = run(work)
    assert [str(first), str(second)] == ["ended 1 times", "ended 2 times"]
    assert third.completion.text == "ok"


def test_who_leaves_an_engine_that_cannot_be_joined_ends_its_text() -> None:
    plain = PlainEngine("word " * 2000, 0.001)
    with desk_of(plain) as desk:

        async def work() -> None:
            async with desk.write(request(0)) as writing:
                async for event in writing:
                    if isinstance(event, Piece):
                        break
            with pytest.raises(StageError, match="this one cannot be written"):
                await told(desk.write(request(0, text="fail")))

        run(work)
    assert plain.num_words < 2000


def test_nothing_is_left_of_500_requests(engine: LocalEngine) -> None:
    settings = dataclasses.replace(FREE, max_new_tokens=2)
    with desk_of(engine, DeskLimits(600, 60)) as desk:

        async def work() -> None:
            for start in range(0, 500, 50):
                many = (desk.write(request(seed, settings)) for seed in range(start, start + 50))
                await asyncio.gather(*(told(writing) for writing in many))

        run(work)
        wait_for(lambda: not _writings_of(desk), interval_s=0.2)
        assert (list(desk._waiting), desk._running) == ([], [])


def _writings_of(desk: Desk) -> list[Writing]:
    gc.collect()
    writings = [one for one in gc.get_objects() if isinstance(one, Writing)]
    return [one for one in writings if one._changed == desk._update]
