"""The engine of OpenAI-compatible servers, against one that answers, and one that does not."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicllm.errors import ConfigError, InputError, MusicLLMError, NotAvailableError
from musicllm.inference.engines import EngineSource
from musicllm.inference.engines.endpoint import EndpointEngine, open_endpoint
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.inference.servers import http
from musicllm.schema import InferenceConfig
from tests.inference.servers import USAGE, StallError, Stub, chat, delta, serving, text

SETTINGS = SamplingSettings(0.5, 0, 0.9, 1.0, 40)
PATIENT = InferenceConfig(
    engine=None, model_name=None, api_key_env="BARD_KEY", timeout_s=5.0, max_tries=3,
    num_parallel=4, context=None, options={},
)  # fmt: skip


def source(url: str, **changes: Any) -> EngineSource:
    settings = dataclasses.replace(PATIENT, **changes)
    return EngineSource("", lambda: pytest.fail("no weights"), url, 1, settings, Path())


def engine(stub: Stub, **changes: Any) -> EndpointEngine:
    return open_endpoint(source(stub.url, **changes))


def ask(words: str, seed: int = 1, **changes: Any) -> WritingRequest:
    settings = dataclasses.replace(SETTINGS, **changes)
    return WritingRequest(({"role": "user", "content": words},), None, settings, seed)


def echo(_path: str, body: dict[str, Any], _number: int) -> Any:
    return chat(body["messages"][-1]["content"].upper())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARD_KEY", raising=False)
    monkeypatch.setattr(http, "FIRST_WAIT_S", 0.01)


def test_conversations_and_texts_go_to_their_paths_with_the_sampling() -> None:
    def answers(path: str, body: dict[str, Any], number: int) -> Any:
        return echo(path, body, number) if path.endswith("/chat/completions") else text("|GABc|")

    with serving(Stub(answers)) as stub:
        written = dict(
            engine(stub, num_parallel=1).write(
                [ask("a reel", seed=2**40 + 5), WritingRequest(None, "X:1\n", SETTINGS, 7)]
            )
        )
    assert written == {0: Completion("A REEL", 6, True, 7), 1: Completion("|GABc|", 5, True, 3)}
    (path, body, headers), (other, continued, _) = stub.requests
    assert (path, other) == ("/v1/chat/completions", "/v1/completions")
    assert body == {
        "model": "bard", "messages": [{"role": "user", "content": "a reel"}], "seed": 5,
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 40,
    }  # fmt: skip
    assert continued["prompt"] == "X:1\n"
    assert "Authorization" not in headers


def test_requests_go_in_parallel_and_come_as_they_are_finished() -> None:
    def answers(_path: str, body: dict[str, Any], _number: int) -> Any:
        words = body["messages"][0]["content"]
        time.sleep(0.4 if words == "slow" else 0.01)
        return chat(words, reason="length")

    with serving(Stub(answers)) as stub:
        requests = [ask("slow"), *(ask(f"quick {number}") for number in range(9))]
        written = list(engine(stub, num_parallel=3).write(requests))
    assert written[-1][0] == 0
    assert {index: completion.text for index, completion in written} == {
        index: request.messages[0]["content"] for index, request in enumerate(requests)
    }
    assert not any(completion.finished for _, completion in written)
    assert 1 < stub.most_at_a_time <= 3


def test_pieces_come_as_they_are_written() -> None:
    events = [delta(None), delta("X:"), delta("1"), delta(None, "stop"), USAGE, b"data: [DONE]\n\n"]
    pieces: list[tuple[int, str]] = []
    with serving(Stub(lambda *_: events)) as stub:
        [(_, completion)] = engine(stub).write(
            [ask("one")], lambda index, piece: pieces.append((index, piece))
        )
    assert pieces == [(0, "X:"), (0, "1")]
    assert completion == Completion("X:1", 3, True, 7)
    assert stub.requests[0][1]["stream"] is True


@pytest.mark.parametrize(
    ("owner", "sent"),
    [
        ("llamacpp", {"repeat_penalty": 1.1, "top_k": 40, "repeat_last_n": 65536, "min_p": 0.0,
                      "samplers": ["penalties", "temperature", "top_k", "top_p"]}),
        ("vllm", {"repetition_penalty": 1.1, "top_k": 40, "min_p": 0.0}),
        ("system", {"repetition_penalty": 1.1, "top_k": 40, "max_completion_tokens": 40}),
    ],
)  # fmt: skip
def test_servers_get_the_sampling_in_their_own_words(
    owner: str, sent: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Stub(echo, [{"id": "bard", "owned_by": owner}])) as stub:
        writer = engine(stub)
        for _ in range(2):
            list(writer.write([ask("a", top_k=40, repetition_penalty=1.1)]))
    body = stub.requests[0][1]
    assert {name: body[name] for name in sent} == sent
    notes = capsys.readouterr().err
    said = "generation.repetition_penalty and generation.top_k are no part of OpenAI's protocol"
    assert notes.count(said) == (owner == "system")


def test_a_server_says_its_context() -> None:
    listed = [{"id": "bard", "owned_by": "vllm", "max_model_len": 4096}]
    with serving(Stub(lambda *_: (200, {}, {"count": 12}), listed)) as stub:
        writer = engine(stub)
        assert writer.context == 4096
        assert writer.count_tokens([{"role": "user", "content": "a"}]) == 12
        assert stub.requests[0][0] == "/tokenize"
    with serving(Stub(echo)) as stub:
        writer = engine(stub)
        assert writer.context is None
        assert writer.count_tokens([{"role": "user", "content": "a"}]) is None


def test_a_key_comes_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARD_KEY", "lute")
    with serving(Stub(echo, key="lute")) as stub:
        [(_, completion)] = engine(stub).write([ask("a")])
    assert completion.text == "A"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "answers 401: it needs a key, and BARD_KEY is not set in the environment; set it "
         "with: export BARD_KEY=<key> (or name another by inference.api_key_env)"),
        ("flute", "answers 401: it refuses the key in the environment variable BARD_KEY; correct"),
    ],
)  # fmt: skip
def test_a_missing_and_a_wrong_key_are_told_apart(
    key: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key is not None:
        monkeypatch.setenv("BARD_KEY", key)
    with serving(Stub(echo, key="lute")) as stub, pytest.raises(ConfigError) as error:
        engine(stub)
    assert f"model.endpoint={stub.url} {text}" in str(error.value)
    assert "flute" not in str(error.value)


def test_an_empty_account_is_no_fault_of_a_request() -> None:
    unpaid = (402, {}, {"error": {"message": "Insufficient Balance"}})
    with serving(Stub(lambda *_: unpaid)) as stub:
        writer = engine(stub)
        with pytest.raises(ConfigError, match=r"answers 402, so the account .* Insufficient Bal"):
            list(writer.write([ask("a")]))


def test_the_model_is_the_named_one_or_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Stub(echo, [{"id": "a"}, {"id": "b"}])) as stub:
        list(engine(stub).write([ask("x")]))
        list(engine(stub, model_name="b").write([ask("x")]))
        assert [body["model"] for _, body, _ in stub.requests] == ["a", "b"]
        assert f"model.endpoint={stub.url} has a, b; a writes" in capsys.readouterr().err
        with pytest.raises(ConfigError) as error:
            engine(stub, model_name="c")
    assert f"inference.model_name=c is no model of {stub.url}; it has a, b" in str(error.value)


def test_a_server_without_a_list_needs_a_name() -> None:
    with serving(Stub(echo, models=None)) as stub:
        list(engine(stub, model_name="c").write([ask("x")]))
        assert stub.requests[0][1]["model"] == "c"
        with pytest.raises(ConfigError, match=r"inference\.model_name=null must be set, since"):
            engine(stub)


def writing(
    answers: Callable[[str, dict[str, Any], int], Any], request: WritingRequest, **changes: Any
) -> str:
    """Return the message of what goes wrong when a request is written, by a whole answer."""
    with serving(Stub(answers)) as stub, pytest.raises(MusicLLMError) as error:
        list(engine(stub, **changes).write([request]))
    return str(error.value).replace(stub.url, "URL")


def test_a_busy_server_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    def answers(path: str, body: dict[str, Any], number: int) -> Any:
        if number < 3:
            status, headers = ((429, {"Retry-After": "0"}), (503, {}))[number - 1]
            return status, headers, {"error": {"message": f"busy {number}"}}
        return echo(path, body, number)

    with serving(Stub(answers)) as stub:
        [(_, completion)] = engine(stub).write([ask("a")])
    assert completion.text == "A"
    notes = capsys.readouterr().err.replace(stub.url, "URL")
    assert "model.endpoint=URL answers 429: busy 1; next try in 0 s" in notes
    assert "model.endpoint=URL answers 503: busy 2; next try in" in notes


def test_a_server_that_stays_busy_is_given_up() -> None:
    message = writing(lambda *_: (500, {}, b"out of memory"), ask("a"))
    assert message == "model.endpoint=URL answers 500: out of memory; given up after 3 tries"
    message = writing(lambda *_: (429, {"Retry-After": "7200"}, b"quota"), ask("a"))
    assert message.startswith("model.endpoint=URL answers 429: quota; given up after")


def test_a_server_that_never_answers_is_named_with_the_wait() -> None:
    def stall(*_: Any) -> Any:
        raise StallError

    started = time.monotonic()
    message = writing(stall, ask("a"), timeout_s=0.3)
    assert time.monotonic() - started < 10
    assert message.startswith("model.endpoint=URL did not answer within inference.timeout_s=0.3 s;")


def test_a_stream_that_stalls_or_breaks_is_an_error_and_its_pieces_stay() -> None:
    for rest, said in (
        (["stall"], "did not answer within inference.timeout_s=0.3 s"),
        ([], "closed the connection before its answer was whole"),
        ([{"error": {"message": "cuda"}}], "refuses a request with 200: cuda"),
        ([b"data: {broken\n\n"], "does not answer as an OpenAI-compatible server does"),
    ):
        pieces: list[str] = []
        events = [delta("X:1"), *rest]
        with serving(Stub(lambda *_, e=events: e)) as stub, pytest.raises(MusicLLMError) as error:
            list(
                engine(stub, timeout_s=0.3).write(
                    [ask("a")], lambda _, piece, pieces=pieces: pieces.append(piece)
                )
            )
        assert pieces == ["X:1"]
        assert said in str(error.value)


@pytest.mark.parametrize(
    "body", [b"<html>Welcome to nginx</html>", {"hello": "world"}, {"choices": []}, [1]]
)
def test_rubbish_is_shown(body: Any) -> None:
    message = writing(lambda *_: (200, {}, body), ask("a"))
    assert message.startswith("model.endpoint=URL does not answer as an OpenAI-compatible server")
    assert message.endswith("mostly in /v1?")


def test_refused_requests_are_named() -> None:
    message = writing(lambda *_: (400, {}, {"error": {"message": "too long"}}), ask("a"))
    assert message == "request 1 of 1: model.endpoint=URL refuses a request with 400: too long"
    message = writing(lambda *_: (404, {}, {"detail": "Not Found"}), ask("a"))
    assert "model.endpoint=URL answers 404 to /chat/completions: Not Found; correct" in message
    message = writing(lambda *_: (404, {}, b""), WritingRequest(None, "X:1", SETTINGS, 1))
    assert "answers 404 to /completions, so it continues no texts" in message


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(NotAvailableError) as error:
        open_endpoint(source(url, max_tries=1))
    assert str(error.value).startswith(f"model.endpoint={url} cannot be reached (")


def test_an_error_keeps_what_was_finished_and_ends_the_rest() -> None:
    def answers(path: str, body: dict[str, Any], number: int) -> Any:
        words = body["messages"][0]["content"]
        if words == "bad":
            return 400, {}, b"no"
        if words == "slow":
            raise StallError
        return echo(path, body, number)

    started = time.monotonic()
    with serving(Stub(answers)) as stub:
        requests = [ask("slow"), ask("good"), ask("bad"), ask("slow")]
        written = engine(stub, num_parallel=2, timeout_s=20).write(requests)
        assert next(written)[0] == 1
        with pytest.raises(InputError, match=r"request 3 of 4: .*400"):
            next(written)
    assert time.monotonic() - started < 10


def test_an_iterator_that_is_left_ends_its_requests() -> None:
    def answers(path: str, body: dict[str, Any], number: int) -> Any:
        if number > 1:
            raise StallError
        return echo(path, body, number)

    started = time.monotonic()
    with serving(Stub(answers)) as stub:
        written = engine(stub, num_parallel=1, timeout_s=20).write([ask("a"), ask("b")])
        assert next(written)[1].text == "A"
        written.close()
    assert time.monotonic() - started < 10


def test_nothing_to_write_asks_nothing() -> None:
    with serving(Stub(echo)) as stub:
        assert not list(engine(stub).write([]))
    assert not stub.requests
