"""A client that leaves ends its text, whole or streamed, running or waiting; a server that ends."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import httpx

from tests.browser.site import served, service_of
from tests.serve.api.engines import Steered, said
from tests.waiting import wait_for

CHAT = "/v1/chat/completions"
ENDLESS = "la " * 3000


def endless(_: Any) -> str:
    return ENDLESS


@pytest.fixture
def slow(engine: Steered) -> Steered:
    """An engine that writes a long time."""
    engine.script, engine.pause_s, engine.context = endless, 0.01, None
    return engine


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": said("Sing"), "max_tokens": 1000, **fields}


@pytest.mark.parametrize("num_choices", [1, 3])
def test_a_stream_that_is_left_is_not_written_on(
    address: str, slow: Steered, num_choices: int
) -> None:
    sent = body(stream=True, n=num_choices)
    with httpx.stream("POST", f"{address}{CHAT}", json=sent, timeout=60) as response:
        next(line for line in response.iter_lines() if "la" in line)
    wait_for(lambda: slow.num_ended_early >= 1)
    assert slow.num_pieces < 1000
    assert httpx.post(f"{address}{CHAT}", json=body(max_tokens=1)).status_code == 200


def test_a_whole_answer_that_is_left_is_not_written_on(address: str, slow: Steered) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}{CHAT}", json=body(), timeout=0.5)
    wait_for(lambda: slow.num_ended_early == 1)
    assert slow.num_pieces < 1000
    assert httpx.post(f"{address}{CHAT}", json=body(max_tokens=1)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_while_waiting_is_never_written_for(
    address: str, slow: Steered, stream: bool
) -> None:
    slow.goes.clear()
    with contextlib.ExitStack() as stack:
        first = threading.Thread(
            target=httpx.post,
            args=(f"{address}{CHAT}",),
            kwargs={"json": body(max_tokens=1), "timeout": 60},
        )
        first.start()
        stack.callback(first.join)
        stack.callback(slow.goes.set)
        wait_for(lambda: len(slow.requests) == 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}{CHAT}", json=body(stream=stream), timeout=0.5)
    assert httpx.post(f"{address}{CHAT}", json=body(max_tokens=2)).status_code == 200
    assert [own.settings.max_new_tokens for own in slow.requests] == [1, 2]


def test_the_end_of_the_server_refuses_new_requests_and_tells_the_others(engine: Steered) -> None:
    engine.script, engine.pause_s, engine.context = endless, 0.01, None
    service = service_of({"steered": engine})
    with served(service) as address, httpx.Client(base_url=address, timeout=60) as client:
        answers: list[httpx.Response] = []

        def ask(stream: bool) -> None:
            answers.append(client.post(CHAT, json=body(stream=stream)))

        threads = [threading.Thread(target=ask, args=(stream,)) for stream in (False, True)]
        for thread in threads:
            thread.start()
        wait_for(lambda: service.closing.num_active == 2 and engine.num_pieces > 5)
        service.closing.begin()
        refused = client.post(CHAT, json=body())
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "it takes no new requests" in refused.json()["error"]["message"]
        service.closing.cut()
        for thread in threads:
            thread.join()
    words = "the server is being stopped, and this answer was not whole in time"
    assert all(words in answer.text for answer in answers)
    assert sorted(answer.status_code for answer in answers) == [200, 503]
    assert (service.closing.num_cut, service.closing.num_active) == (2, 0)


def test_too_many_requests_are_told_to_come_again(address: str, slow: Steered) -> None:
    slow.goes.clear()
    codes: list[int] = []

    def ask() -> None:
        codes.append(
            httpx.post(f"{address}{CHAT}", json=body(max_tokens=1), timeout=60).status_code
        )

    threads = [threading.Thread(target=ask) for _ in range(12)]  # of which 8 may wait
    for thread in threads:
        thread.start()
    wait_for(lambda: codes.count(429) >= 3)
    refused = httpx.post(f"{address}{CHAT}", json=body(), timeout=60)
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    assert "serve.num_waiting" in refused.json()["error"]["message"]
    slow.goes.set()
    for thread in threads:
        thread.join()
    assert codes.count(200) == 12 - codes.count(429)
