"""Engines: what writes texts with a model, in this process or elsewhere.

A kind of engine stands in one module of this package, which registers it. `runs.engines` chooses
one and opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn
from transformers import PreTrainedTokenizerBase

from musicllm.data.lexicon import Lexicon
from musicllm.data.records import Message
from musicllm.inference.feed import Feed
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.registry import Registry
from musicllm.schema import InferenceConfig

OnPiece = Callable[[int, str], None]
"""(index of the request, text that was just written)."""


class Engine(Protocol):
    """A model that writes."""

    context: int | None
    """Most tokens of prompt and text together; None where the engine does not say."""

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        """Return the tokens of a conversation, or of a beginning; None where it does not say."""

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """Yield the index and the text of every request, as they are finished.

        What is written for a request depends on the model and this request alone, not on the
        others. Requests that wait cost no memory beyond themselves.

        Args:
            requests: in any order; the engine groups them.
            on_piece: is called with text as it is written; its pieces make up the whole text.

        Raises:
            InputError: a prompt is empty or too long; the text names the request.
        """

    def close(self) -> None:
        """Free what the engine holds: memory, a server."""


class ChatForm(NamedTuple):
    """What an engine renders conversations with.

    Attributes:
        template: source of the chat template.
        special_tokens: of the tokenizer.
    """

    template: str
    special_tokens: tuple[str, ...]

    @classmethod
    def of(cls, lexicon: Lexicon) -> ChatForm | None:
        """Return that of a tokenizer; None where it has no chat template."""
        return cls(lexicon.template, lexicon.special_tokens) if lexicon.template else None


@runtime_checkable
class Rendering(Protocol):
    """An engine that renders conversations itself, also with `tools` (see `data.templates`).

    Attributes:
        chat_form: None for a model without a chat template.
    """

    chat_form: ChatForm | None


@runtime_checkable
class Joinable(Protocol):
    """An engine whose requests may come while others are being written.

    Attributes:
        num_together: requests that are written at a time.
    """

    num_together: int

    def serve(self, feed: Feed) -> None:
        """Write the requests of a feed until it is closed and everything is written.

        What is written for a request depends on the model and this request alone, as with `write`.
        A request that cannot be written fails alone, and one that is over costs nothing from the
        next token on. No other thread may let the engine write meanwhile.
        """


@dataclass(frozen=True)
class EngineSource:
    """What an engine is opened with.

    Attributes:
        model: folder, file or hub id of the model; empty with an endpoint.
        load: loads weights and tokenizer as the configuration says, with the adapter.
        endpoint: base URL of a server; None without one.
        batch_size: texts that are written together; memory grows with it.
        settings: of the group `inference`.
        cache: folder for what can be created again.
        revision: of a model of the hub; None for the newest.
        adapter: folder of an adapter on the model, which only `load` puts there; None without one.
        num_threads: of the CPU, for engines that have their own; None for as many as it has cores.
    """

    model: str
    load: Callable[[], tuple[nn.Module, PreTrainedTokenizerBase]]
    endpoint: str | None
    batch_size: int
    settings: InferenceConfig
    cache: Path
    revision: str | None = None
    adapter: Path | None = None
    num_threads: int | None = None


class EngineKind(NamedTuple):
    """A kind of engine.

    Attributes:
        name: as `inference.engine` names it.
        open: returns an engine that is ready to write.
        follows_grammar: it samples under `WritingRequest.rules`, so that no bar can be wrong; where
            it does not, the caller checks what was written and says so.
    """

    name: str
    open: Callable[[EngineSource], Engine]
    follows_grammar: bool


ENGINES: Registry[EngineKind] = Registry("engine", "musicllm.inference.engines")
