"""Serving through servers: requests of a feed go in parallel, and each ends by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from musicllm.errors import InputError, NotAvailableError
from musicllm.inference.engines.gguf import GgufEngine
from musicllm.inference.engines.vllm import open_vllm
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.inference.servers import http
from tests.inference.feeds import NotedTicket, serving
from tests.inference.servers import USAGE, Stub, delta
from tests.inference.servers import serving as server_of
from tests.inference.test_endpoint import ask, engine
from tests.inference.test_vllm import model, source
from tests.waiting import wait_for

__all__ = ["model", "source"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARD_KEY", raising=False)
    monkeypatch.setattr(http, "FIRST_WAIT_S", 0.01)


def echo(_path: str, body: dict[str, Any], _number: int) -> Any:
    words = body["messages"][-1]["content"]
    if words == "bad":
        return 400, {}, {"error": {"message": "no such thing"}}
    if words == "stall":
        return [delta("so far"), "stall"]
    if words == "endless":
        return [delta("la ")] * 100_000
    time.sleep(0.02)
    return [delta(words), delta("!", "stop"), USAGE]


def test_requests_go_in_parallel_and_each_fails_alone() -> None:
    with server_of(Stub(echo)) as stub:
        tickets = [NotedTicket(ask(f"tune {n}")) for n in range(10)]
        bad = NotedTicket(ask("bad"))
        with serving(engine(stub), *tickets[:5], bad, *tickets[5:]):
            pass
    assert [one.completion for one in tickets] == [
        Completion(f"tune {n}!", 3, True, 7) for n in range(10)
    ]
    assert ["".join(one.pieces) for one in tickets] == [f"tune {n}!" for n in range(10)]
    assert "refuses a request with 400: no such thing" in str(bad.error)
    assert 1 < stub.most_at_a_time <= 4


def test_requests_that_come_later_are_written_beside_those_that_run() -> None:
    with server_of(Stub(echo)) as stub, serving(engine(stub)) as feed:
        first = feed.add(NotedTicket(ask("endless")))
        wait_for(lambda: first.pieces)
        second = feed.add(NotedTicket(ask("a reel")))
        wait_for(lambda: second.completion)
        assert first.completion is None
        first.is_over = True
        feed.wake()
        wait_for(lambda: first.completion)
        assert first.completion is not None
        assert first.completion.text == "".join(first.pieces)
        assert not first.completion.finished
        wait_for(lambda: stub._active == 0)  # the connection is closed, and the server noticed


def test_a_server_that_falls_silent_is_ended_by_the_time_limit() -> None:
    class Late(NotedTicket):
        @property
        def seconds_left(self) -> float:  # type: ignore[override]
            return self.ends - time.monotonic()

        @seconds_left.setter
        def seconds_left(self, value: float) -> None:
            self.ends = time.monotonic() + value

        @property
        def is_over(self) -> bool:  # type: ignore[override]
            return self.seconds_left <= 0

        @is_over.setter
        def is_over(self, _: bool) -> None: ...

    with server_of(Stub(echo)) as stub:
        ticket = Late(ask("stall"), seconds_left=2.0)
        with serving(engine(stub), ticket) as feed:
            wait_for(lambda: ticket.completion)
            assert ticket.completion == Completion("so far", 0, False, 0)
            after = feed.add(NotedTicket(ask("a jig")))
    assert after.completion == Completion("a jig!", 3, True, 7)


def test_a_request_that_is_over_before_it_is_written_is_told_so() -> None:
    with server_of(Stub(echo)) as stub:
        ticket = NotedTicket(ask("endless"), is_over=True)
        with serving(engine(stub), ticket):
            pass
    assert ticket.completion == Completion("", 0, False, 0)


def test_a_server_that_is_gone_fails_requests_and_not_the_desk() -> None:
    with server_of(Stub(echo)) as stub:
        gone = engine(stub, max_tries=1)
    first, second = NotedTicket(ask("a")), NotedTicket(ask("b"))
    with serving(gone, first, second):
        pass
    for ticket in (first, second):
        assert isinstance(ticket.error, NotAvailableError)
        assert "cannot be reached" in str(ticket.error)


def test_vllm_is_served_with_its_own_counts(source: Any, tmp_path: Path) -> None:
    opened = open_vllm(source())
    settings = SamplingSettings(0.7, 5, 0.9, 1.2, 16)
    tickets = [
        NotedTicket(WritingRequest(None, text, settings, 4)) for text in ("X:1\n", "X:2\n" * 80)
    ]
    try:
        expected = [completion for _, completion in opened.write([tickets[0].request])]
        with serving(opened, *tickets):
            pass
    finally:
        opened.close()
    assert [tickets[0].completion] == expected
    assert isinstance(tickets[1].error, InputError)
    asked = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert asked[1]["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert asked[0]["prompt"] == asked[1]["prompt"]


def test_a_vllm_that_ends_is_said_with_its_log(source: Any) -> None:
    opened = open_vllm(source("--misbehave", "later"))
    ticket = NotedTicket(WritingRequest(None, "X:1\n", SamplingSettings(1.0, 0, 1.0, 1.0, 4), 0))
    try:
        with serving(opened, ticket):
            pass
    finally:
        opened.close()
    assert "vLLM ended with status 4" in str(ticket.error)
    assert "EngineDeadError" in str(ticket.error)


@pytest.fixture(scope="module")
def gguf_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GgufEngine]:
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp")
    from musicllm.inference.engines.gguf import open_gguf
    from tests.inference.gguf_files import write_gguf
    from tests.inference.test_gguf import source

    path = write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")
    opened = open_gguf(source(path))
    yield opened
    opened.close()


def test_gguf_files_write_the_same_whoever_waits(gguf_engine: GgufEngine) -> None:
    free = SamplingSettings(1.0, 0, 1.0, 1.0, 12)
    requests = [WritingRequest(None, "abc" * (1 + seed % 3), free, seed) for seed in range(6)]
    expected = dict(gguf_engine.write(requests))
    tickets = [NotedTicket(request) for request in requests]
    long = NotedTicket(WritingRequest(None, "a" * 300, free, 0))
    with serving(gguf_engine, *tickets[:3], long, *tickets[3:]):
        pass
    assert [ticket.completion for ticket in tickets] == [expected[n] for n in range(6)]
    assert ["".join(ticket.pieces) for ticket in tickets] == [expected[n].text for n in range(6)]
    assert "has 301 tokens" in str(long.error)


def test_who_leaves_a_gguf_file_ends_its_text(gguf_engine: GgufEngine) -> None:
    settings = SamplingSettings(1.0, 0, 1.0, 1.0, 250)
    requests = [WritingRequest(None, "abc", settings, seed) for seed in range(8)]
    whole = dict(gguf_engine.write(requests))
    seed = max(whole, key=lambda number: whole[number].num_new_tokens)
    leaving = NotedTicket(requests[seed], most_pieces=2)
    with serving(gguf_engine, leaving) as feed:
        wait_for(lambda: leaving.is_over)
        feed.wake()
        wait_for(lambda: leaving.completion)
        after = feed.add(NotedTicket(requests[seed]))
    assert leaving.completion is not None
    assert whole[seed].text.startswith(leaving.completion.text)
    assert leaving.completion.num_prompt_tokens == whole[seed].num_prompt_tokens
    assert leaving.completion.num_new_tokens <= whole[seed].num_new_tokens
    assert after.completion == whole[seed]
