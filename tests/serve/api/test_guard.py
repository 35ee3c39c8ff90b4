"""What a request has to pass: host, origin, key, and a body of JSON that is not too large."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

import httpx

from musicllm.serve.api import guard
from musicllm.serve.api.errors import BadRequestError
from tests.browser.site import SETTINGS, served, service_of
from tests.serve.api.engines import Steered, client_of, said

CHAT = "/v1/chat/completions"
KEY = "sk-a/key=with~signs"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of a server without a key."""
    service = service_of({"steered": Steered()})
    with served(service) as address, httpx.Client(base_url=address, timeout=60) as own:
        yield own


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    """The address of a server with a key."""
    with served(service_of({"steered": Steered()}, key=KEY)) as address:
        yield address


def message(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LOCALHOST", "[::1]:{}"])
def test_this_machine_is_answered(client: httpx.Client, host: str) -> None:
    named = host.format(client.base_url.port)
    assert client.get("/v1/models", headers={"Host": named}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil", "a@localhost", "[::1", "::"],
)
@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/page/settings.json"])
def test_another_host_is_refused(client: httpx.Client, host: str, path: str) -> None:
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert message(answer).startswith(
        f"this server answers requests to 127.0.0.1, and not to {host}"
    )


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_a_request_of_another_page_is_refused(client: httpx.Client, origin: str) -> None:
    body = {"messages": said("Hi")}
    answer = client.post(CHAT, json=body, headers={"Origin": origin})
    assert answer.status_code == 403
    assert message(answer).endswith(f"this one comes from {origin}")
    own = client.post(CHAT, json=body, headers={"Origin": str(client.base_url)})
    assert own.status_code == 200


def test_there_is_no_cors(client: httpx.Client) -> None:
    asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        client.options(CHAT, headers=asks),
        client.options(CHAT),
        client.get("/v1/models"),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.options(CHAT, headers=asks).status_code == 403


def test_every_answer_has_the_headers_of_the_page(client: httpx.Client) -> None:
    for path in ("/", "/v1/models", "/nothing", "/static/js/main.js"):
        answer = client.get(path)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    refused = client.get("/", headers={"Host": "evil.example"})
    assert "default-src 'self'" in refused.headers["content-security-policy"]


def test_a_key_is_demanded(locked: str) -> None:
    openai = pytest.importorskip("openai", reason="OpenAI's client is not installed")
    with client_of(locked, KEY) as client:
        assert client.models.list().data[0].id == "steered"
    for key in ("sk-other", f"{KEY}x", KEY[:-1]):
        with (
            client_of(locked, key) as client,
            pytest.raises(openai.AuthenticationError, match="the key of this request is wrong"),
        ):
            client.chat.completions.create(model="steered", messages=said("Hi"))


def test_what_needs_a_key(locked: str) -> None:
    for path in ("/v1/models", "/page/settings.json", CHAT, "/nothing"):
        answer = httpx.get(f"{locked}{path}")
        assert answer.status_code == 401, path
        assert message(answer).startswith("this request carries no key; send it as Authorization")
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert KEY not in answer.text
    for path in ("/", "/health", "/static/js/main.js"):
        assert httpx.get(f"{locked}{path}").status_code == 200
    for wrong in (f"Basic {KEY}", KEY, "Bearer", "Bearer é"):
        headers = {"Authorization": wrong.encode()}
        assert httpx.get(f"{locked}/v1/models", headers=headers).status_code == 401
    assert httpx.get(f"{locked}/static/../v1/models").status_code in (401, 404)


def test_with_a_key_any_host_is_answered(locked: str) -> None:
    headers = {"Host": "music.example", "Authorization": f"Bearer {KEY}"}
    assert httpx.get(f"{locked}/v1/models", headers=headers).status_code == 200


def test_addresses_that_are_listened_on_are_answered() -> None:
    guard.check_host("127.0.0.5:80", "127.0.0.5", has_key=False)
    with pytest.raises(BadRequestError, match="and not to no host"):
        guard.check_host("", "127.0.0.1", has_key=False)


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the body is not JSON"),
        (b"hello", "the body is not JSON"),
        (b'{"messages": [}', "the body is not JSON"),
        (b'{"messages": NaN}', "the body is not JSON"),
        (b"\xff\xfe{}", "the body is not JSON"),
        (b'{"messages": "\xe9"}', "the body is not JSON"),
        (b'{"messages": "\\ud800"}', "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "the body is not JSON"),
        (b"[]", "the body is a list, and must be an object"),
        (b'"text"', "the body is a string, and must be an object"),
        (b"null", "the body is null, and must be an object"),
        (b"1", "the body is a number, and must be an object"),
        (b"true", "the body is true or false, and must be an object"),
    ],
    ids=range(14),
)
def test_a_body_that_is_no_object(
    client: httpx.Client, path: str, content: bytes, words: str
) -> None:
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert message(answer).startswith(words)
    assert client.get("/health").status_code == 200


def test_deep_nesting_in_a_value_is_refused(client: httpx.Client) -> None:
    deep = b"[" * 500 + b"]" * 500
    answer = client.post(CHAT, content=b'{"messages": ' + deep + b"}")
    assert answer.status_code == 400
    assert message(answer) == "messages[0] is a list, and must be {role, content}"
    answer = client.post(CHAT, content=b'{"metadata": ' + deep + b"}")
    assert message(answer) == "metadata=a list is not served: this server stores nothing"
    assert client.post(CHAT, json={"metadata": ["x" * 900]}).text.count("x") < 50


@pytest.mark.parametrize("declares", [True, False])
def test_a_body_of_10_mb_has_one_clear_answer(client: httpx.Client, declares: bool) -> None:
    content = json.dumps({"messages": said("x" * 10_000_000)}).encode()
    sent = content if declares else iter([content[:5_000_000], content[5_000_000:]])
    answer = client.post(CHAT, content=sent)
    assert answer.status_code == 413
    assert message(answer) == (
        "the body is larger than 1 MB, which is the limit here (serve.max_body_mb); send a shorter "
        "prompt"
    )
    assert client.get("/health").status_code == 200


def test_a_large_body_that_is_allowed_exceeds_the_context() -> None:
    settings = dataclasses.replace(SETTINGS, max_body_mb=20)
    with served(service_of({"steered": Steered()}, settings=settings)) as address:
        body = {"messages": said("x" * 10_000_000)}
        answer = httpx.post(f"{address}{CHAT}", json=body, timeout=60)
    assert answer.status_code == 400
    assert message(answer).startswith("messages has 10,000,010 tokens, and the context")


def test_a_body_that_is_announced_waits_for_leave(client: httpx.Client) -> None:
    """With `Expect: 100-continue` a body that is too large is not even sent."""
    import socket

    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99000000\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_what_is_not_there(client: httpx.Client) -> None:
    missing: Any = client.post("/v1/embeddings", json={"input": "a"})
    assert missing.status_code == 404
    assert "/v1/chat/completions" in message(missing)
    wrong = client.get(CHAT)
    assert wrong.status_code == 405
    assert set(wrong.json()["error"]) == {"message", "type", "param", "code"}
