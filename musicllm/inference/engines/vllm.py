"""The engine `vllm`: many texts at a time through vLLM, on a GPU or a CPU (extra `vllm`).

vLLM runs as a process of its own, which this engine starts and ends. It is asked over OpenAI's
protocol, with tokens for prompts: they are those of the encoder of the training data, so the model
gets the prompts that it was trained on. vLLM pins versions of torch and transformers of its own; so
it may stand in another environment (`inference.options.python`).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.data.encoder import Encoder
from musicllm.data.records import Message
from musicllm.errors import ConfigError, InputError, NotAvailableError, Problem
from musicllm.inference.engines import ENGINES, ChatForm, EngineKind, EngineSource, OnPiece
from musicllm.inference.feed import Feed
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.inference.servers import feeding
from musicllm.inference.servers.answers import Written, streamed, whole
from musicllm.inference.servers.dialects import VLLM, context_of
from musicllm.inference.servers.http import NO_LIMIT_S, Server, Session
from musicllm.inference.servers.parallel import Emit, in_parallel, once
from musicllm.inference.servers.room import refuse_misfits
from musicllm.model import base

MODULE = "vllm.entrypoints.openai.api_server"
NAME = "model"
PATH = "/v1/completions"
COUNTING = {"continuous_usage_stats": True}
"""With every piece vLLM counts the tokens so far, which one that is cut off needs."""

OPTIONS = ("python", "arguments")

STARTING_S = 1800.0
"""Loading a large model and compiling its kernels takes minutes."""

ENDING_S = 30.0
LAST_LINES = 12


class VllmEngine:
    """A model in a vLLM process; see `Engine` and `Joinable`.

    vLLM rounds otherwise with other neighbours in its batch, so the same seed may give another text
    where two tokens are almost equally probable.
    """

    def __init__(self, process: VllmProcess, encoder: Encoder, num_parallel: int) -> None:
        """Hold a process that is ready to write.

        Args:
            process: with the model.
            encoder: of its tokenizer.
            num_parallel: requests under way at a time.
        """
        self._process = process
        self._server = process.server
        self._encoder = encoder
        self.chat_form = ChatForm.of(encoder.lexicon)
        self.num_together = num_parallel
        listed = once(self._server, lambda session: session.get("/v1/models"))
        self.context: int | None = context_of(listed["data"][0], VLLM)

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        """See `Engine`."""
        return len(self._ids(prompt))

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """See `Engine`.

        Raises:
            NotAvailableError: the process has ended, with the last lines of its log.
        """
        prompts = [self._ids(request.messages or request.text or "") for request in requests]
        refuse_misfits([len(prompt) for prompt in prompts], requests, self.context)

        async def work(session: Session, index: int, emit: Emit) -> Completion:
            body = self._body(prompts[index], requests[index])
            if on_piece is None:
                return whole(self._server, await session.post(PATH, body))
            return await streamed(self._server, session, PATH, body, Written(emit))

        written = in_parallel(
            self._server, work, len(requests), num_parallel=self.num_together, on_piece=on_piece
        )
        try:
            for index, completion in written:
                yield index, _without_end(completion)
        except NotAvailableError as error:
            raise self._process.ended() or error from None

    def serve(self, feed: Feed) -> None:
        """See `Joinable`; errors of a request as `write`."""

        async def write_one(
            session: Session, request: WritingRequest, written: Written
        ) -> Completion:
            prompt = self._ids(request.messages or request.text or "")
            refuse_misfits([len(prompt)], [request], self.context)
            body = {**self._body(prompt, request), "stream_options": COUNTING}
            try:
                completion = await streamed(self._server, session, PATH, body, written)
            except NotAvailableError as error:
                raise await asyncio.to_thread(self._process.ended) or error from None
            return _without_end(completion)

        feeding.serve(self._server, feed, write_one, num_parallel=self.num_together)

    def close(self) -> None:
        """See `Engine`: ends the process."""
        self._process.close()

    def _body(self, prompt: Sequence[int], request: WritingRequest) -> dict[str, Any]:
        return {
            **VLLM.fields(request),
            "model": NAME,
            "prompt": prompt,
            "stop_token_ids": self._encoder.end_ids,
        }

    def _ids(self, prompt: Sequence[Message] | str) -> list[int]:
        if isinstance(prompt, str):
            return self._encoder.text(prompt, is_whole=False)
        return self._encoder.prompt(prompt)


class VllmProcess:
    """vLLM's server as a process, on this machine alone and with a key that nobody else has."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start it and wait until it answers.

        Args:
            words: the program and its arguments; `--host` and `--port` are added.

        Raises:
            NotAvailableError: it ends instead, with the last lines of its log.
        """
        port, key = _free_port(), secrets.token_hex(16)
        self._log = tempfile.NamedTemporaryFile(prefix="vllm-", suffix=".log", delete=False)  # noqa: SIM115
        self.server = Server(f"http://127.0.0.1:{port}", "vLLM", key, "", NO_LIMIT_S, max_tries=3)
        self._process = subprocess.Popen(
            [*words, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "VLLM_API_KEY": key, "VLLM_NO_USAGE_STATS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call of the C library
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def ended(self) -> NotAvailableError | None:
        """Return the error of a process that has ended by itself; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=1)
            lines = Path(self._log.name).read_text("utf-8", "replace").strip().splitlines()
            last = "\n".join(f"  {line}" for line in lines[-LAST_LINES:])
            return NotAvailableError(
                f"vLLM ended with status {code}; its log {self._log.name}:\n{last}"
            )
        return None

    def close(self) -> None:
        """End the process and those that it has started."""
        group = self._process.pid
        with suppress(ProcessLookupError):
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING_S)
            os.killpg(group, signal.SIGKILL)  # those that are left of its session
        self._process.wait()
        self._log.close()

    def _wait(self) -> None:
        console.say(f"starting vLLM; its log is {self._log.name}")
        deadline = time.monotonic() + STARTING_S
        while not self._is_ready():
            if error := self.ended():
                raise error
            if time.monotonic() > deadline:
                raise NotAvailableError(
                    f"vLLM is not ready after {STARTING_S:g} s; its log {self._log.name} says why"
                )

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", int(self.server.url.rpartition(":")[2]))):
                pass
        except OSError:
            return False
        try:
            once(self.server, lambda session: session.get("/v1/models"))
        except NotAvailableError:
            return False
        return True


def open_vllm(source: EngineSource) -> VllmEngine:
    """Return the engine of a model's folder or hub id.

    Raises:
        ConfigError: an option that is none.
        InputError: an adapter, or the tokenizer cannot be read.
        NotAvailableError: vLLM is not installed, or does not start.
    """
    settings = source.settings
    python, arguments = _options(settings.options)
    if source.adapter is not None:
        raise InputError(
            f"inference.engine=vllm takes whole models, and {source.adapter} is an adapter; merge "
            f"it first: recipe=merge inputs.adapter=..."
        )
    if python is None and find_spec("vllm") is None:
        raise NotAvailableError(
            "inference.engine=vllm needs vLLM, which is not installed here: pip install "
            "'musicllm[vllm]', or name the Python of an environment that has it by "
            "+inference.options.python=<path>"
        )
    words = [
        *(python or sys.executable, "-m", MODULE, "--model", source.model),
        *("--served-model-name", NAME, "--generation-config", "vllm"),
        *("--max-num-seqs", str(settings.num_parallel)),
    ]
    if source.revision is not None:
        words += ["--revision", source.revision]
    if settings.context is not None:
        words += ["--max-model-len", str(settings.context)]
    encoder = Encoder(base.load_tokenizer(source.model, revision=source.revision))
    process = VllmProcess([*words, *arguments])
    return VllmEngine(process, encoder, settings.num_parallel)


def _options(options: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """Return the Python and further arguments."""
    problems = [
        Problem(f"inference.options.{name}", value, f"is no option of vllm: {', '.join(OPTIONS)}")
        for name, value in options.items()
        if name not in OPTIONS
    ]
    python, arguments = options.get("python"), options.get("arguments", [])
    if python is not None and not os.access(str(python), os.X_OK):
        problems.append(Problem("inference.options.python", python, "is no program"))
    if not isinstance(arguments, list | tuple):
        rule, fix = "is no list", "write such as [--dtype,float32]"
        problems.append(Problem("inference.options.arguments", arguments, rule, fix))
    if problems:
        raise ConfigError(problems)
    return python, [str(word) for word in arguments]


def _without_end(completion: Completion) -> Completion:
    """Return a completion without its end token, which vLLM counts."""
    return replace(completion, num_new_tokens=completion.num_new_tokens - completion.finished)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _end_with_parent() -> None:
    """Have Linux end this process when its parent ends, however that ends (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


KIND = ENGINES.register(EngineKind("vllm", open_vllm, follows_grammar=False))
