"""The server as a process: many clients, flat memory, its end, a model that loads or does not."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

import httpx

from tests.serve.api.engines import client_of, said
from tests.serve.api.processes import ServerProcess, started, write_tiny_model
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
RECIPE = "recipe=quickstart/serve"
NUM_CLIENTS = 50
MB = 1_000_000

ENGINE = '''
"""Opens when the file `open` is there, fails with its text; writes a number every 20 ms."""

import time
from pathlib import Path

from musicllm.errors import InputError
from musicllm.inference.engines import ENGINES, EngineKind
from musicllm.inference.requests import Completion


class Counting:
    context = None

    def count_tokens(self, prompt):
        return len(prompt)

    def write(self, requests, on_piece=None):
        for index, request in enumerate(requests):
            pieces = [f"{number} " for number in range(request.settings.max_new_tokens)]
            for piece in pieces:
                time.sleep(0.02)
                if on_piece:
                    on_piece(index, piece)
            yield index, Completion("".join(pieces), len(pieces), False, 3)

    def close(self):
        print("the engine is closed", flush=True)


def open_engine(_):
    while not Path("open").exists():
        time.sleep(0.05)
    if text := Path("open").read_text():
        raise InputError(text)
    return Counting()


ENGINES.register(EngineKind("counting", open_engine, False))
'''


def connections(process: psutil.Process) -> list[Any]:
    """Return the connections of clients."""
    return [own for own in process.net_connections("tcp") if own.status == "ESTABLISHED"]


@pytest.fixture
def counting(tmp_path: Path) -> tuple[Path, Sequence[str]]:
    """A folder and words for a server with the engine above."""
    (tmp_path / "engine.py").write_text(ENGINE)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "open").touch()
    words = (RECIPE, "inputs.model=model", "extensions=[engine.py]", "inference.engine=counting")
    return tmp_path, words


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a tiny model."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder / "model")
    with started(folder, RECIPE, "inputs.model=model") as server:
        server.listening()
        server.wait_for("model is ready")
        yield server


def test_fifty_clients_at_once_get_the_answers_of_one(tiny: ServerProcess) -> None:
    openai = pytest.importorskip("openai", reason="OpenAI's client is not installed")

    async def ask(client: Any, number: int) -> str:
        fields = {"model": "model", "messages": said(f"Tune {number}"), "max_tokens": 24}
        if number % 2:
            answer = await client.chat.completions.create(**fields, seed=number)
            return str(answer.choices[0].message.content)
        stream = await client.chat.completions.create(**fields, seed=number, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def ask_all() -> tuple[list[str], list[str]]:
        async with openai.AsyncOpenAI(
            base_url=f"{tiny.address}/v1", api_key="none", max_retries=0, timeout=300
        ) as client:
            together = await asyncio.gather(*(ask(client, n) for n in range(NUM_CLIENTS)))
            alone = [await ask(client, number) for number in range(0, NUM_CLIENTS, 7)]
        return list(together), alone

    together, alone = asyncio.run(ask_all())
    assert together[::7] == alone
    assert len(set(together)) > NUM_CLIENTS // 2


def test_memory_is_flat_over_500_requests(tiny: ServerProcess) -> None:
    process = psutil.Process(tiny.process.pid)
    too_large = json.dumps({"messages": said("x" * 10_000_000)}).encode()
    with httpx.Client(base_url=tiny.address, timeout=120) as client:

        def ask(number: int) -> None:
            """Send a request of one kind of ten."""
            body: dict[str, Any] = {"messages": said(f"No. {number}"), "max_tokens": 6}
            kind = number % 10
            if kind == 0:
                assert client.post(CHAT, content=too_large).status_code == 413
            elif kind == 1:
                assert client.post(CHAT, content=b"{").status_code == 400
            elif kind == 2:
                body |= {"stream": True, "max_tokens": 200}
                with client.stream("POST", CHAT, json=body) as response:
                    next(response.iter_lines())  # and leave
            elif kind == 3:
                assert client.post(CHAT, json={**body, "tools": [1]}).status_code == 400
            else:
                assert client.post(CHAT, json={**body, "stream": kind % 2 == 0}).status_code == 200

        for number in range(100):
            ask(number)
        before = process.memory_info().rss
        for number in range(100, 600):
            ask(number)
        grown = process.memory_info().rss - before
    assert grown < 20 * MB, f"{grown / MB:.1f} MB more"
    wait_for(lambda: not connections(process))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_end_finishes_what_runs(
    counting: tuple[Path, Sequence[str]], number: signal.Signals
) -> None:
    folder, words = counting
    with started(folder, *words) as server, client_of(server.listening()) as client:
        server.wait_for("is ready")
        fields = {"model": "model", "messages": said("Count"), "max_tokens": 50}
        stream = client.chat.completions.create(**fields, stream=True)
        next(iter(stream))
        whole: list[str] = []

        def ask() -> None:
            answer = client.completions.create(model="model", prompt="a", max_tokens=9)
            whole.append(answer.choices[0].text)

        waiting = threading.Thread(target=ask)
        waiting.start()
        process = psutil.Process(server.process.pid)
        wait_for(lambda: len(connections(process)) == 2)
        time.sleep(0.3)  # the second request is read
        status: list[int] = []
        ending = threading.Thread(target=lambda: status.append(server.end(number)))
        ending.start()
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        waiting.join()
        ending.join()
    assert text.split()[-1] == "49"
    assert whole == ["0 1 2 3 4 5 6 7 8 "]
    assert status == [0]
    assert "under way, with up to 30 s to finish (serve.closing_s)" in server.output
    assert "stopped: 2 requests finished, 0 cut off" in server.output
    assert "the engine is closed" in server.output


def test_its_end_cuts_off_what_takes_too_long(counting: tuple[Path, Sequence[str]]) -> None:
    import openai

    folder, words = counting
    with started(folder, *words, "serve.closing_s=1") as server:
        with client_of(server.listening()) as client:
            server.wait_for("is ready")
            fields = {"model": "model", "messages": said("Count"), "max_tokens": 2000}
            stream = client.chat.completions.create(**fields, stream=True)
            next(iter(stream))
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(openai.APIError, match="this answer was not whole in time"):
                list(stream)
        assert server.process.wait(60) == 0
        assert "stopped: 0 requests finished, 1 cut off" in server.output
        assert "the engine is closed" in server.output
        assert "Traceback" not in server.output


def test_a_second_signal_does_not_wait(counting: tuple[Path, Sequence[str]]) -> None:
    folder, words = counting
    with started(folder, *words, "serve.closing_s=3000") as server:
        address = server.listening()
        server.wait_for("is ready")
        body = {"messages": said("Count"), "max_tokens": 2000, "stream": True}
        with httpx.stream("POST", f"{address}{CHAT}", json=body, timeout=60) as response:
            lines = response.iter_lines()
            next(line for line in lines if line.startswith("data"))
            server.process.send_signal(signal.SIGINT)
            server.wait_for("stopping: 1 request under way")
            server.process.send_signal(signal.SIGINT)
            assert any("not whole in time" in line for line in lines)
        assert server.process.wait(60) == 0


def test_a_model_that_loads_and_one_that_fails(counting: tuple[Path, Sequence[str]]) -> None:
    folder, words = counting
    (folder / "open").unlink()
    with started(folder, *words) as server:
        with httpx.Client(base_url=server.listening(), timeout=60) as client:
            answer = client.post(CHAT, json={"messages": said("Hi")})
            assert answer.status_code == 503
            assert "still loading" in answer.json()["error"]["message"]
            (folder / "open").write_text("weights are missing")
            server.wait_for("model could not be loaded, and requests are told so: weights are mis")
            answer = client.post(CHAT, json={"messages": said("Hi")})
            assert answer.status_code == 503
            assert "weights are missing" in answer.json()["error"]["message"]
        assert server.end() == 0


def test_it_can_be_ended_while_a_model_loads(counting: tuple[Path, Sequence[str]]) -> None:
    folder, words = counting
    (folder / "open").unlink()
    with started(folder, *words) as server:
        server.listening()
        assert server.end() == 0
        assert "stopped" in server.output
