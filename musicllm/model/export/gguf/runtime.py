"""A GGUF file as llama.cpp runs it, through xllamacpp's server on 127.0.0.1.

Requests name tokens by their ids and get log-probabilities back, so that two programs can be
compared. The key-value cache is in 32 bits, so that a comparison sees the file's rounding and not
that of the cache. The server is a process of its own, which ends with this one. No request leaves
the machine, and no settings of a proxy are read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import torch

from musicllm.errors import NotAvailableError, StageError

HOW_TO = "pip install 'musicllm[gguf]'"
TIMEOUT_S = 600.0
PROGRAM = Path(__file__).with_name("_serve.py")


class Step(NamedTuple):
    """A token that was written.

    Attributes:
        id: of the token.
        logprob: its natural log-probability; None where the server leaves it out, which it does
            while a character is incomplete.
    """

    id: int
    logprob: float | None


class Runtime:
    """A loaded file."""

    def __init__(self, path: Path, context: int) -> None:
        """Load a file.

        Args:
            path: of the file.
            context: tokens of a prompt and its answer at most.

        Raises:
            NotAvailableError: xllamacpp is not installed.
            StageError: llama.cpp does not load the file.
        """
        if find_spec("xllamacpp") is None:
            raise NotAvailableError(
                f"a GGUF file is compared with its model by the package xllamacpp: {HOW_TO}"
            )
        self._path = path
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        settings = {
            "path": str(path), "context": context, "num_threads": torch.get_num_threads()
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | {"GGML_NO_BACKTRACE": "1"},
        )
        assert self._process.stdout is not None, "a pipe was ordered"
        line = self._process.stdout.readline()
        if not line:
            said = self._last_words()
            self.close()
            raise StageError(f"llama.cpp does not load {path}: {said}")
        self._address = json.loads(line).removeprefix("http://")

    def __enter__(self) -> Runtime:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.close()

    def close(self) -> None:
        """Stop the server."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def special_tokens(self) -> tuple[str, str]:
        """Return the beginning and the end of a text, as the file has them."""
        content = self._ask("GET", "/props")
        return content["bos_token"], content["eos_token"]

    def tokens(self, text: str, *, adds_special: bool) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: special tokens in it become those tokens.
            adds_special: put before and behind it what the file says.
        """
        body = {"content": text, "add_special": adds_special, "parse_special": True}
        ids: list[int] = self._ask("POST", "/tokenize", body)["tokens"]
        return ids

    def rendered(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return a conversation by the chat template in the file, up to where an answer begins."""
        body = {"messages": [dict(message) for message in messages]}
        prompt: str = self._ask("POST", "/apply-template", body)["prompt"]
        return prompt

    def greedy(self, ids: Sequence[int], num_tokens: int) -> tuple[list[Step], bool]:
        """Return the most likely tokens after a prompt, and whether the last one ends the text."""
        return self._steps(ids, num_tokens)

    def forced(self, ids: Sequence[int], following: Sequence[int]) -> list[float]:
        """Return the log-probabilities of given tokens after a prompt, each after those before.

        Args:
            ids: of the prompt.
            following: none of which ends an answer or is a part of a character.
        """
        grammar = "root ::= " + " ".join(f"<[{number}]>" for number in following)
        steps, _ = self._steps(ids, len(following), grammar=grammar)
        written = [step.id for step in steps]
        assert written == list(following), f"{written} instead of {following}"
        return [step.logprob for step in steps if step.logprob is not None]

    def ends_at(self, number: int, ids: Sequence[int]) -> bool:
        """Say whether a token ends an answer, after a prompt."""
        return self._steps(ids, 2, logit_bias=[[number, 1e6]])[1]

    def _steps(
        self, ids: Sequence[int], num_tokens: int, **options: Any
    ) -> tuple[list[Step], bool]:
        body = {
            "prompt": list(ids),
            "n_predict": num_tokens,
            "temperature": 0.0,
            "samplers": ["top_k"],
            "top_k": 1,
            "n_probs": 1,
            "return_tokens": True,
            "cache_prompt": False,
            **options,
        }
        content = self._ask("POST", "/completion", body)
        scored = [(each["id"], each["logprob"]) for each in content["completion_probabilities"]]
        return aligned(content["tokens"], scored), content["stop_type"] == "eos"

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return what the server answers.

        Raises:
            StageError: it answers with an error, or not.
        """
        headers = {"Content-Type": "application/json"}
        try:
            # a connection of its own, since the server closes one that waits for some seconds
            with closing(HTTPConnection(self._address, timeout=TIMEOUT_S)) as connection:
                connection.request(verb, path, json.dumps(body) if body else None, headers)
                answer = connection.getresponse()
                content = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            said = self._last_words() or repr(error)
            raise StageError(f"llama.cpp gave no answer for {self._path}: {said}") from error
        if answer.status != 200:
            raise StageError(f"llama.cpp refuses {path} for {self._path}: {content}")
        return content

    def _last_words(self) -> str:
        """Return the last lines that the server wrote, if it ended."""
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return " | ".join([line.strip() for line in lines if line.strip()][-3:])


def aligned(ids: Sequence[int], scored: Sequence[tuple[int, float]]) -> list[Step]:
    """Return all tokens, with the log-probabilities of those that have one.

    Args:
        ids: of all tokens but, if a token ends the text, that one.
        scored: of some of them and of the one that ends the text, in the same order.
    """
    whole = list(ids)
    if scored and (not whole or not _places(whole, scored)):
        whole.append(scored[-1][0])
    places = _places(whole, scored)
    assert places is not None, f"{scored} are not among {whole}"
    backwards = _places(whole[::-1], scored[::-1])
    assert backwards is not None, "what is there from one side is there from the other"
    last = [len(whole) - 1 - place for place in reversed(backwards)]
    certain = {
        place: value
        for place, other, (_, value) in zip(places, last, scored, strict=True)
        if place == other
    }
    return [Step(number, certain.get(place)) for place, number in enumerate(whole)]


def _places(ids: Sequence[int], scored: Sequence[tuple[int, float]]) -> list[int] | None:
    """Return the first places of scored tokens, in their order, or None where one is missing."""
    places, place = [], 0
    for number, _ in scored:
        while place < len(ids) and ids[place] != number:
            place += 1
        if place == len(ids):
            return None
        places.append(place)
        place += 1
    return places
