"""The contestants: the engine in this process, our server, and the server of transformers.

Servers are processes of their own, with the commands that a user types. A short text comes first,
so that loading and one-time setup are not timed.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx

from musicllm import console
from musicllm.bench.generate.contestants import loaded
from musicllm.bench.serve.clients import Site, at_once, one_by_one
from musicllm.bench.serve.task import Load, Served, ServingTask
from musicllm.errors import StageError
from musicllm.inference.engines.local import LocalEngine
from musicllm.inference.requests import WritingRequest

WARM_UP_TOKENS = 4
STARTING_S = 600.0
LAST_LINES = 12

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def engine(task: ServingTask) -> Served:
    """Write without a server: one request after the other, and all of them together."""
    model, tokenizer = loaded(task.location, task.settings)
    engine = LocalEngine(model, tokenizer, batch_size=task.settings.batch_size)
    _write(engine, [_short(task)])
    parts = [_write(engine, [request]) for request in task.requests()]
    single = Load(
        sum(part.seconds for part in parts),
        tuple(first for part in parts for first in part.first_piece_s),
        tuple(text for part in parts for text in part.texts),
        sum(part.num_tokens for part in parts),
    )
    return Served(single, _write(engine, task.requests()))


def ours(task: ServingTask) -> Served:
    """Write through `recipe=serve`."""
    settings = task.settings
    hardware = "cpu" if settings.device == "cpu" else "gpu1"
    command = [
        *(sys.executable, "-m", "musicllm", "recipe=serve", "model=hf"),
        *(f"model.location={task.location}", "generation=sampling", "serve.port=0"),
        *(f"hardware={hardware}", f"hardware.max_rows_per_device={settings.batch_size}"),
        f"paths.runs={task.work / 'runs'}",
    ]
    if settings.device == "cpu":
        command.append("hardware.precision=fp32")
    if settings.num_threads is not None:
        command.append(f"hardware.num_threads={settings.num_threads}")
    with running(command, task.work / "ours.log", _printed, settings.num_threads) as url:
        [listed] = httpx.get(f"{url}/v1/models", trust_env=False).json()["data"]
        counted = {"stream_options": {"include_usage": True}}
        return _measured(Site(url, listed["id"], counted), task)


def transformers(task: ServingTask) -> Served:
    """Write through `transformers serve`, which writes one text after the other."""
    port = _free_port()
    settings = task.settings
    command = [
        *(sys.executable, "-m", "transformers.cli.transformers", "serve", task.location),
        *("--host", "127.0.0.1", "--port", str(port)),
        *(
            "--device",
            settings.device,
            "--dtype",
            "float32" if settings.device == "cpu" else "auto",
        ),
    ]
    address = f"http://127.0.0.1:{port}"
    log = task.work / "transformers.log"
    with running(command, log, lambda _: address, settings.num_threads) as url:
        return _measured(Site(url, task.location, {}), task)


def _short(task: ServingTask) -> WritingRequest:
    request = task.requests()[0]
    return replace(request, settings=replace(request.settings, max_new_tokens=WARM_UP_TOKENS))


def _write(engine: LocalEngine, requests: Sequence[WritingRequest]) -> Load:
    firsts: dict[int, float] = {}
    began = time.perf_counter()

    def note(number: int, _: str) -> None:
        firsts.setdefault(number, time.perf_counter() - began)

    written = dict(engine.write(requests, note))
    seconds = time.perf_counter() - began
    completions = [written[number] for number in range(len(requests))]
    return Load(
        seconds,
        tuple(firsts.values()),
        tuple(one.text for one in completions),
        sum(one.num_new_tokens for one in completions),
    )


def _measured(site: Site, task: ServingTask) -> Served:
    one_by_one(site, [_short(task)])
    requests = task.requests()
    return Served(one_by_one(site, requests), at_once(site, requests))


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    address_of: Callable[[str], str | None],
    num_threads: int | None = None,
) -> Iterator[str]:
    """Run a server, and yield its address when it is ready.

    Args:
        command: that runs it.
        log: what it prints.
        address_of: returns its address by what it has printed; None: not yet.
        num_threads: of torch on a CPU; None for all cores.

    Raises:
        StageError: it ends instead, or takes too long; with the last lines of its log.
    """
    console.mute()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    if num_threads is not None:
        environment["OMP_NUM_THREADS"] = str(num_threads)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + STARTING_S
    try:
        while not ((url := address_of(_text(log))) and _is_ready(url)):
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(f"  {line}" for line in _text(log).splitlines()[-LAST_LINES:])
                raise StageError(f"{' '.join(command)} does not serve:\n{last}")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(url: str) -> bool:
    """Tell whether a server is there and, where it says so, its models are loaded."""
    try:
        health = httpx.get(f"{url}/health", trust_env=False)
    except httpx.TransportError:
        return False
    states = health.json().get("models", {}) if health.is_success else {"": "loading"}
    return all(state == "ready" for state in states.values())


def _printed(log: str) -> str | None:
    match = ADDRESS.search(log)
    return match and match[0]


def _text(log: Path) -> str:
    return log.read_text("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
