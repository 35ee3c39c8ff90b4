"""What the server serves: models, each with its desk, and plain settings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from musicllm import console
from musicllm.data.records import Message
from musicllm.errors import MusicLLMError, NotAvailableError
from musicllm.inference.engines import Engine
from musicllm.inference.requests import SamplingSettings
from musicllm.music.grammar import TuneRules
from musicllm.schema import ServeConfig
from musicllm.serve.api.closing import Closing
from musicllm.serve.api.errors import BadRequestError, LoadingError
from musicllm.serve.chat.answering import MAX_SEED
from musicllm.serve.desk import Desk, DeskLimits
from musicllm.serve.preferences import Comparisons

ENDING_S = 10.0
"""Longest wait for an engine whose requests were cut off (seconds)."""

State = Literal["loading", "ready", "failed"]


@dataclass(eq=False)
class ServedModel:
    """A model, which is loaded while the server already answers.

    Attributes:
        name: as requests name it.
        open: opens its engine.
        follows_grammar: the engine samples under the grammar; else answers are checked afterwards.
        limits: of its desk.
        engine: None until it is loaded.
        desk: likewise.
        error: why it could not be loaded.
        counting: held while tokens are counted, which one thread does at a time.
    """

    name: str
    open: Callable[[], Engine]
    follows_grammar: bool
    limits: DeskLimits
    engine: Engine | None = None
    desk: Desk | None = None
    error: str = ""
    counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> State:
        """Return whether requests can be written."""
        if self.error:
            return "failed"
        return "loading" if self.desk is None else "ready"

    def load(self) -> None:
        """Open the engine; after an error the model stays `failed`, and requests are told why."""
        started = time.monotonic()
        try:
            engine = self.open()
        except Exception as error:  # noqa: BLE001 - such as no memory; the server stays up
            own = isinstance(error, MusicLLMError)
            self.error = str(error) if own else f"{type(error).__name__}: {error}"
            console.note(f"{self.name} could not be loaded, and requests are told so: {self.error}")
            return
        self.engine, self.desk = engine, Desk(engine, self.limits)
        console.say(f"{self.name} is ready after {time.monotonic() - started:.1f} s")

    def count(self, prompt: Sequence[Message] | str) -> int | None:
        """Return the tokens of a prompt; None if the engine cannot say. Not for the event loop.

        Raises:
            NotAvailableError: as `ready`.
            InputError: the model's template refuses the messages.
        """
        engine, _ = self.ready()
        with self.counting:
            return engine.count_tokens(prompt)

    def count_written(self, text: str) -> int | None:
        """Return the tokens of a text that was written, as they are counted when read again."""
        count, rest = self.count(text), self.count("")
        return None if count is None or rest is None else count - rest

    def ready(self) -> tuple[Engine, Desk]:
        """Return engine and desk.

        Raises:
            LoadingError: the model is still loading.
            NotAvailableError: it could not be loaded.
        """
        if self.error:
            raise NotAvailableError(f"the model {self.name} could not be loaded: {self.error}")
        if self.engine is None or self.desk is None:
            raise LoadingError(f"the model {self.name} is still loading; try again shortly")
        return self.engine, self.desk


@dataclass(eq=False)
class Service:
    """Everything that the application needs.

    Attributes:
        models: by name; the first is the default.
        settings: of the group `serve`.
        sampling: defaults of requests.
        system: prompt of conversations that have none; None for none.
        rules: of tunes with the grammar, where a request states none.
        uses_grammar: whether requests that do not say so are written under the grammar.
        seed: of requests without one: the first takes it, each further one the next number.
        page: whether the page is served, too.
        key: that requests must carry; None for none.
        preferences: file that the page appends to; None for none.
        comparisons: blind ones, whose sides can be named as models.
        closing: what is under way, and the end of the server.
        started: when, in seconds since 1970.
    """

    models: Mapping[str, ServedModel]
    settings: ServeConfig
    sampling: SamplingSettings
    system: str | None
    rules: TuneRules
    uses_grammar: bool
    seed: int
    page: bool
    key: str | None
    preferences: Path | None
    comparisons: Comparisons = field(default_factory=Comparisons)
    closing: Closing = field(default_factory=Closing)
    started: int = field(default_factory=lambda: int(time.time()))

    def with_system(self, messages: list[Message]) -> list[Message]:
        """Return a conversation with the system prompt, if it has none of its own."""
        if self.system is None or messages[0]["role"] == "system":
            return messages
        return [{"role": "system", "content": self.system}, *messages]

    def names(self) -> Sequence[str]:
        """Return the names of the models, the default first."""
        return list(self.models)

    def model(self, name: str | None) -> ServedModel:
        """Return a model by its name; without one, the default.

        A side of a blind comparison keeps the name that it has there.

        Raises:
            BadRequestError: there is no such model.
        """
        if name is not None and (side := self.comparisons.side(name)) is not None:
            return replace(self.models[side.model], name=name)
        return self.listed(self.names()[0] if name is None else name)

    def listed(self, name: str) -> ServedModel:
        """Return a model by its name in the list; raises as `model`."""
        if name not in self.models:
            rule = f"there is no model {name} here; there is {' and '.join(self.names())}"
            raise BadRequestError(rule, "model", 404, "model_not_found")
        return self.models[name]

    def with_hidden_fields(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body of a request with what only the server knows of a blind side.

        Raises:
            BadRequestError: the request states such a field itself.
        """
        name = body.get("model")
        side = self.comparisons.side(name) if isinstance(name, str) else None
        if side is None:
            return body
        for field_name in side.fields:
            if field_name in body:
                rule = f"{field_name} of a blind comparison is stated when it begins"
                raise BadRequestError(rule, field_name)
        return {**body, **side.fields}

    def seeds(self, seed: int | None, count: int) -> list[int]:
        """Return the seeds of texts: from that of a request on, or the server's next numbers."""
        first = self.seed if seed is None else seed
        if seed is None:
            self.seed = (first + count) % (MAX_SEED + 1)
        return [(first + number) % (MAX_SEED + 1) for number in range(count)]

    def start(self) -> None:
        """Begin to load the models, one after the other, without waiting."""
        threading.Thread(target=self._load, name="loading", daemon=True).start()

    def stop(self) -> bool:
        """Close desks and engines, and return whether all had ended.

        Whoever serves has let requests finish before, or cut them off; an engine that still writes
        or is only being loaded ends with the process.
        """
        ended = True
        for model in self.models.values():
            has_ended = model.desk is None or model.desk.close(ENDING_S)
            if model.engine is not None and has_ended:
                model.engine.close()
            ended &= has_ended
        return ended

    def _load(self) -> None:
        for model in self.models.values():
            model.load()
