"""The engine `transformers`: the model in this process, on CPU or GPU, with our own decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from torch import nn
from transformers import PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.data.records import Message
from musicllm.inference.decoding.constraint import Constraint, Vocabulary
from musicllm.inference.decoding.loop import Prompt, Writer
from musicllm.inference.engines import ENGINES, ChatForm, EngineKind, EngineSource, OnPiece
from musicllm.inference.feed import Feed
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.model.adapters import causal_model
from musicllm.music.grammar import TuneRules


class LocalEngine:
    """A loaded model; see `Engine` and `Joinable`."""

    def __init__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, *, batch_size: int
    ) -> None:
        self._model = model
        self._encoder = Encoder(tokenizer)
        self.num_together = batch_size
        self.chat_form = ChatForm.of(self._encoder.lexicon)
        self._newest: tuple[object, Constraint] | None = None
        self.context: int | None = causal_model(model).config.max_position_embeddings

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        """See `Engine`."""
        if isinstance(prompt, str):
            return len(self._encoder.text(prompt, is_whole=False))
        return len(self._encoder.prompt(prompt))

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """See `Engine`."""
        writer = Writer(self._model, self._encoder, self.num_together)
        yield from writer.write([self._prompt(request) for request in requests], on_piece)

    def serve(self, feed: Feed) -> None:
        """See `Joinable`: requests join the texts that are being written."""
        Writer(self._model, self._encoder, self.num_together).serve(feed, self._prompt)

    def close(self) -> None:
        """See `Engine`."""

    def _prompt(self, request: WritingRequest) -> Prompt:
        is_beginning = request.text is not None
        if request.messages is not None:
            ids = self._encoder.prompt(request.messages)
        else:
            ids = self._encoder.text(request.text or "", is_whole=False)
        constraint = None
        if request.rules is not None:
            limit = request.settings.max_new_tokens
            constraint = self._constraint(request.rules, request.text, limit)
        return Prompt(ids, request.settings, request.seed, is_beginning, constraint)

    def _constraint(self, rules: TuneRules, text: str | None, max_new_tokens: int) -> Constraint:
        key = (rules, text, max_new_tokens)
        if self._newest is None or self._newest[0] != key:
            constraint = Constraint.of(self._vocabulary, rules, max_new_tokens, text or "")
            self._newest = (key, constraint)
        return self._newest[1]

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self._encoder)


def _open(source: EngineSource) -> LocalEngine:
    model, tokenizer = source.load()
    return LocalEngine(model, tokenizer, batch_size=source.batch_size)


KIND = ENGINES.register(EngineKind("transformers", _open, follows_grammar=True))
