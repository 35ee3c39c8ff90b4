"""The server answers while a model loads, and when it cannot be loaded: every answer says why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from fastapi.testclient import TestClient

from musicllm.errors import InputError
from musicllm.serve.api.app import build_app
from musicllm.serve.api.service import Service
from tests.browser.site import service_of
from tests.serve.api.engines import Steered, said
from tests.waiting import wait_for

CHAT = {"messages": said("Hi")}
PATHS = {"/v1/chat/completions": CHAT, "/v1/completions": {"prompt": "Hi"}}


@contextmanager
def opened(*opens: Callable[[], Steered]) -> Iterator[tuple[TestClient, Service]]:
    """Serve models that are opened so."""
    service = service_of({f"model{number}": None for number in range(len(opens))})
    for model, open_engine in zip(service.models.values(), opens, strict=True):
        model.open = open_engine
    app = build_app(service)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client, service


def test_while_a_model_loads_requests_are_told_to_come_again() -> None:
    loaded, engine = threading.Event(), Steered()

    def load() -> Steered:
        loaded.wait()
        return engine

    with opened(load) as (client, service):
        try:
            assert client.get("/health").json() == {"models": {"model0": "loading"}}
            assert client.get("/").status_code == 200
            for path, body in PATHS.items():
                answer = client.post(path, json=body)
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                message = "the model model0 is still loading; try again shortly"
                assert answer.json()["error"]["message"] == message
                assert client.post(path, json={"x": 1}).status_code == 400  # said at once
        finally:
            loaded.set()
        wait_for(lambda: service.models["model0"].state == "ready")
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
    assert engine.closed


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("weights are missing in model.safetensors"), "weights are missing in model.s"),
        (MemoryError("no room for 14 GB"), "MemoryError: no room for 14 GB"),
        (RuntimeError("CUDA error"), "RuntimeError: CUDA error"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(
    error: Exception, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Steered:
        raise error

    with opened(fail, Steered) as (client, service):
        wait_for(lambda: service.models["model1"].state == "ready")
        assert client.get("/health").json() == {"models": {"model0": "failed", "model1": "ready"}}
        for path, body in PATHS.items():
            answer = client.post(path, json=body)
            assert answer.status_code == 503
            assert answer.headers["x-should-retry"] == "false"
            assert "retry-after" not in answer.headers
            message = answer.json()["error"]["message"]
            assert message.startswith(f"the model model0 could not be loaded: {words}")
            assert client.post(path, json={**body, "model": "model1"}).status_code == 200
        shown = client.get("/v1/models").json()["data"][0]["musicllm"]
        assert shown["state"] == "failed"
        assert words in shown["error"]


def test_an_engine_that_does_not_follow_the_grammar_is_checked() -> None:
    head, texts = "X:1\nL:1/8\nM:2/4\nK:G\n", iter(["GABc|d4|]", "GABcd|d4|]", "GA"])
    engine = Steered(lambda request: (head if request.messages else "") + next(texts))
    with opened(lambda: engine) as (client, service):
        model = service.models["model0"]
        model.follows_grammar = False
        wait_for(lambda: model.state == "ready")
        whole = client.post("/v1/chat/completions", json={**CHAT, "grammar": "abc"}).json()
        assert whole["musicllm"]["breach"] == ""
        body = {"prompt": head, "grammar": "abc", "stream": True}
        stream = client.post("/v1/completions", json=body)
        assert 'line 5, column 5: \\"d\\" cannot stand here' in stream.text
        plain = client.post("/v1/chat/completions", json=CHAT).json()
        assert "breach" not in plain["musicllm"]


def test_a_bug_of_the_server_is_one_clear_answer(capfd: pytest.CaptureFixture[str]) -> None:
    def break_it() -> Steered:
        return Steered(error=ZeroDivisionError("a bug"))

    with opened(break_it) as (client, service):
        wait_for(lambda: service.models["model0"].state == "ready")
        answer = client.post("/v1/chat/completions", json=CHAT)
        assert answer.status_code == 500
        message = "an error of the server itself (ZeroDivisionError); its log has more"
        assert answer.json()["error"]["message"] == message
        stream = client.post("/v1/chat/completions", json={**CHAT, "stream": True})
        assert message in stream.text
        assert "[DONE]" not in stream.text
        assert client.get("/health").status_code == 200
