"""The engine `endpoint`: any server that speaks OpenAI's protocol, by `model.endpoint`.

Conversations go to `/chat/completions`, where the server renders them with its own template, and
beginnings of texts to `/completions`. What a server understands of our sampling is in `dialects`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from musicllm import console
from musicllm.data.records import Message
from musicllm.errors import ConfigError, InputError, Problem
from musicllm.inference.engines import ENGINES, EngineKind, EngineSource, OnPiece
from musicllm.inference.feed import Feed
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.inference.servers import errors, feeding
from musicllm.inference.servers.answers import Written, streamed, whole
from musicllm.inference.servers.dialects import OTHER, Dialect, context_of, dialect_of
from musicllm.inference.servers.errors import RefusedError
from musicllm.inference.servers.http import Server, Session
from musicllm.inference.servers.parallel import Emit, in_parallel, once

SETTING = "model.endpoint"
MOST_NAMES = 10


class EndpointEngine:
    """A model on a server; see `Engine` and `Joinable`.

    Attributes:
        model: its name there.
    """

    def __init__(
        self,
        server: Server,
        model: str,
        dialect: Dialect,
        *,
        context: int | None,
        num_parallel: int,
    ) -> None:
        """Hold what requests need.

        Args:
            server: with the base address of the protocol.
            model: its name there.
            dialect: of the server.
            context: of the model; None if the server does not say.
            num_parallel: requests under way at a time.
        """
        self.context = context
        self._server = server
        self.model = model
        self._dialect = dialect
        self.num_together = num_parallel
        self._is_noted = False

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        """See `Engine`: the protocol has no way to ask, but llama.cpp and vLLM have."""
        count = self._dialect.count
        if count is None:
            return None
        asked = prompt if isinstance(prompt, str) else _shown(prompt)
        server = replace(self._server, url=self._server.url.removesuffix("/v1"))
        try:
            return once(server, lambda session: count(session, self.model, asked))
        except RefusedError:
            return None

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """See `Engine`; whether a seed gives the same text again is the server's to say.

        Raises:
            RefusedError: the server refuses a request; the text names it.
            ConfigError: the server wants another key.
            NotAvailableError: see `Session.post`.
        """
        self._note_beyond(requests)

        async def work(session: Session, index: int, emit: Emit) -> Completion:
            request = requests[index]
            path, body = self._body(request)
            try:
                if on_piece is None:
                    return whole(self._server, await session.post(path, body))
                return await streamed(self._server, session, path, body, Written(emit))
            except RefusedError as error:
                raise self._explained(error, request, index, len(requests)) from None

        return in_parallel(
            self._server,
            work,
            len(requests),
            num_parallel=self.num_together,
            on_piece=on_piece,
        )

    def serve(self, feed: Feed) -> None:
        """See `Joinable`; errors of a request as `write`."""

        async def write_one(
            session: Session, request: WritingRequest, written: Written
        ) -> Completion:
            self._note_beyond([request])
            path, body = self._body(request)
            try:
                return await streamed(self._server, session, path, body, written)
            except RefusedError as error:
                raise self._explained(error, request, 0, 1) from None

        feeding.serve(self._server, feed, write_one, num_parallel=self.num_together)

    def close(self) -> None:
        """See `Engine`: nothing is held between requests."""

    def _body(self, request: WritingRequest) -> tuple[str, dict[str, Any]]:
        fields = {"model": self.model, **self._dialect.fields(request)}
        if request.messages is None:
            return "/completions", {**fields, "prompt": request.text}
        return "/chat/completions", {**fields, "messages": _shown(request.messages)}

    def _note_beyond(self, requests: Sequence[WritingRequest]) -> None:
        names = {name for request in requests for name in self._dialect.beyond(request.settings)}
        if names and not self._is_noted:
            self._is_noted = True
            console.note(
                f"{self._server.label} is {self._dialect.name}, and {' and '.join(sorted(names))} "
                f"are no part of OpenAI's protocol: they are sent, and it may not follow them"
            )

    def _explained(
        self, error: RefusedError, request: WritingRequest, index: int, count: int
    ) -> Exception:
        if error.status == 404 and request.messages is None:
            return InputError(
                f"{self._server.label} answers 404 to /completions, so it continues no texts; "
                f"write prompts of messages ({error.words})"
            )
        if error.status == 404:
            rule = f"answers 404 to /chat/completions: {error.words or 'nothing is there'}"
            fix = "correct the address (mostly it ends in /v1) or inference.model_name"
            return ConfigError([Problem(SETTING, self._server.url, rule, fix)])
        return InputError(f"request {index + 1} of {count}: {error}")


def open_endpoint(source: EngineSource) -> EndpointEngine:
    """Return the engine of `model.endpoint`, after a look at the models that it lists.

    Raises:
        ConfigError: the address is none, the model is not there, or the key is missing or refused.
        NotAvailableError: there is no server, or it does not answer.
    """
    settings = source.settings
    assert source.endpoint is not None, "checks refuse inference.engine=endpoint without an address"
    key = os.environ.get(settings.api_key_env) or None
    server = Server(
        source.endpoint.rstrip("/"),
        SETTING,
        key,
        settings.api_key_env,
        settings.timeout_s,
        settings.max_tries,
    )
    if key is not None and urlsplit(server.url).scheme == "http" and not server.is_local:
        console.note(f"the key in {settings.api_key_env} goes to {server.url} without encryption")
    models = _models(server)
    model = _chosen(server, models, settings.model_name)
    listed = next((entry for entry in models if entry["id"] == model), {})
    dialect = dialect_of(listed) if listed else OTHER
    return EndpointEngine(
        server,
        model,
        dialect,
        context=context_of(listed, dialect),
        num_parallel=settings.num_parallel,
    )


def _models(server: Server) -> list[dict[str, Any]]:
    """Return the models that a server lists; none where it has no list."""
    try:
        answer = once(server, lambda session: session.get("/models"))
    except RefusedError as error:
        if error.status in (404, 405, 501):
            return []
        raise
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise errors.rubbish(server.label, str(answer))
    return [entry for entry in entries if isinstance(entry, dict) and entry.get("id")]


def _chosen(server: Server, models: Sequence[Mapping[str, Any]], name: str | None) -> str:
    names = [str(model["id"]) for model in models]
    if name is not None and (name in names or not names):
        return name
    if name is None and names:
        if len(names) > 1:
            console.note(f"{server.label} has {_listed(names)}; {names[0]} writes")
        return names[0]
    if not names:
        rule = f"must be set, since {server.url} lists no models"
        fix = "write the name that its documentation states"
    else:
        rule, fix = f"is no model of {server.url}", f"it has {_listed(names)}"
    raise ConfigError([Problem("inference.model_name", name or "null", rule, fix)])


def _shown(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [{key: message[key] for key in ("role", "content")} for message in messages]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


KIND = ENGINES.register(EngineKind("endpoint", open_endpoint, follows_grammar=False))
