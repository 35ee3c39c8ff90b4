"""A conversation with a model, without a terminal: its turns, what the model sees, its answers.

The model sees the system prompt, the turns that fit its context and the new message, in its own
chat template. Nothing that was written is lost: an answer that is stopped keeps its text, and what
is retried or edited is kept aside. The answer to the same turns with the same seed is the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from musicllm.errors import InputError
from musicllm.inference.engines import Engine
from musicllm.inference.requests import SamplingSettings, WritingRequest
from musicllm.music.grammar import TuneRules

OnPiece = Callable[[str], None]

End = Literal["model", "length", "stopped"]
"""Who ended an answer: the model, the limit of its length, or the user."""

MAX_SEED = 2**32 - 1
"""As of `seed` of the configuration."""

_PROBE = {"role": "user", "content": "Hello"}


@dataclass(frozen=True)
class Answer:
    """What the model wrote in a turn.

    Attributes:
        text: as it is shown.
        seed: with which the same turns get the same answer.
        end: see `End`.
        num_new_tokens: its length; None if it was stopped.
    """

    text: str
    seed: int
    end: End
    num_new_tokens: int | None


@dataclass(frozen=True)
class Turn:
    """A message of the user and its answer; None if there is none, because of an error."""

    message: str
    answer: Answer | None = None


@dataclass(frozen=True)
class Manner:
    """How answers are written.

    Attributes:
        system: the system prompt; None for none.
        settings: of the sampling; `max_new_tokens` is for where the context has room.
        rules: of the tunes in answers; None for no grammar.
        spare_rules: the rules that switching the grammar on brings back.
    """

    system: str | None
    settings: SamplingSettings
    rules: TuneRules | None
    spare_rules: TuneRules


class View(NamedTuple):
    """What the model sees for an answer.

    Attributes:
        messages: system prompt, turns and the new message.
        num_tokens: of the messages in the chat template; None if the engine cannot say.
        num_left_out: the oldest turns, which do not fit the context.
        max_new_tokens: how long the answer may be.
    """

    messages: tuple[dict[str, Any], ...]
    num_tokens: int | None
    num_left_out: int
    max_new_tokens: int


class Conversation:
    """A conversation; see the module."""

    def __init__(self, engine: Engine, manner: Manner, *, seed: int) -> None:
        """Begin a conversation.

        Args:
            engine: writes the answers.
            manner: how they are written.
            seed: of the first answer; each further one, a retry too, takes the next number,
                and 0 after the largest.

        Raises:
            InputError: the model has no chat template; else as `set_system`.
        """
        engine.count_tokens((_PROBE,))
        self.engine = engine
        self.manner = replace(manner, system=None)
        self.seed = seed
        self.turns: list[Turn] = []
        self.replaced: list[Turn] = []
        self.view: View | None = None
        if manner.system is not None:
            self.set_system(manner.system)

    def say(self, message: str, on_piece: OnPiece = lambda _: None) -> Answer:
        """Add a message and return its answer.

        After an error the message stays as a turn without an answer, for `retry`. A turn without an
        answer before it is put aside.

        Args:
            message: of the user.
            on_piece: called with the text of the answer as it is written.

        Raises:
            InputError: the context has no room for the message.
            KeyboardInterrupt: the answer was stopped before its first character; later stops return
                what is written.
            MusicLLMError: whatever the engine raises.
        """
        self._see([turn for turn in self.turns if turn.answer], message)
        self.replaced += [turn for turn in self.turns if turn.answer is None]
        self.turns = [*(turn for turn in self.turns if turn.answer), Turn(message)]
        return self._answer_last(message, on_piece)

    def retry(self, on_piece: OnPiece = lambda _: None) -> Answer:
        """Answer the last message again, with the next seed; raises as `say`.

        Raises:
            InputError: there is no message.
        """
        return self._answer_last(self.last("retry").message, on_piece)

    def edit(self, message: str, on_piece: OnPiece = lambda _: None) -> Answer:
        """Replace the last message and answer it; after an error the old one stays.

        Raises:
            InputError: there is no message; else as `say`.
        """
        self.last("edit")
        return self._answer_last(message, on_piece)

    def last(self, action: str) -> Turn:
        """Return the last turn.

        Args:
            action: what it is wanted for, for the message.

        Raises:
            InputError: nothing was said yet.
        """
        if not self.turns:
            raise InputError(f"there is nothing to {action}: the conversation has no message yet")
        return self.turns[-1]

    def set_system(self, system: str | None) -> None:
        """Set or remove the system prompt, for the answers from now on.

        Raises:
            InputError: the chat template has no place for one.
        """
        if system is not None:
            prompt = {"role": "system", "content": system}
            try:
                count = self.engine.count_tokens((prompt, _PROBE))
            except InputError as error:
                raise InputError(f"this model takes no system prompt: {error}") from None
            if count is not None and count == self.engine.count_tokens((_PROBE,)):
                raise InputError(
                    "this model takes no system prompt: its chat template leaves it out; say it in "
                    "the first message"
                )
        self.manner = replace(self.manner, system=system)

    def clear(self) -> None:
        """Begin anew with the same settings."""
        self.turns, self.replaced, self.view = [], [], None

    def _answer_last(self, message: str, on_piece: OnPiece) -> Answer:
        """Answer a message in the place of the last turn."""
        old = self.turns[-1]
        before = [turn for turn in self.turns[:-1] if turn.answer]
        self.view = self._see(before, message)
        answer = self._write(self.view, on_piece)
        self.turns[-1] = Turn(message, answer)
        if old.answer is not None or old.message != message:
            self.replaced.append(old)
        return answer

    def _write(self, view: View, on_piece: OnPiece) -> Answer:
        settings = replace(self.manner.settings, max_new_tokens=view.max_new_tokens)
        seed, self.seed = self.seed, (self.seed + 1) % (MAX_SEED + 1)
        request = WritingRequest(view.messages, None, settings, seed, self.manner.rules)
        written = ""

        def take(_: int, piece: str) -> None:
            nonlocal written
            written += piece
            on_piece(piece)

        try:
            ((_, completion),) = self.engine.write([request], take)
        except KeyboardInterrupt:
            if not written:
                raise
            return Answer(written, seed, "stopped", None)
        if completion.text.startswith(written) and len(completion.text) > len(written):
            on_piece(completion.text[len(written) :])
        end: End = "model" if completion.finished else "length"
        return Answer(completion.text, seed, end, completion.num_new_tokens)

    def _see(self, turns: Sequence[Turn], message: str) -> View:
        """Return what the model sees: the oldest turns leave until there is room for an answer.

        That is `max_new_tokens`, or half the context if it is less; without any turn the answer may
        be as long as there is room. Turns whose answer is empty are not shown.
        """
        shown = [turn for turn in turns if turn.answer and turn.answer.text.strip()]
        context, longest = self.engine.context, self.manner.settings.max_new_tokens
        whole = self._messages(shown, message)
        num_tokens = self.engine.count_tokens(whole)
        if context is None or num_tokens is None:
            return View(whole, num_tokens, 0, longest)
        room = context - min(longest, context // 2)

        def fits(first: int) -> bool:
            return (self.engine.count_tokens(self._messages(shown[first:], message)) or 0) <= room

        first = 0 if num_tokens <= room else bisect_left(range(len(shown)), True, key=fits)
        messages = self._messages(shown[first:], message)
        num_tokens = self.engine.count_tokens(messages) or 0
        if num_tokens >= context:
            raise InputError(
                f"the message is too long: it has {num_tokens} tokens with the chat template and "
                f"the system prompt, and the context of the model, which the answer shares, "
                f"{context}; shorten it"
            )
        return View(messages, num_tokens, first, min(longest, context - num_tokens))

    def _messages(self, turns: Sequence[Turn], message: str) -> tuple[dict[str, Any], ...]:
        messages = [{"role": "system", "content": self.manner.system}] if self.manner.system else []
        for turn in turns:
            assert turn.answer is not None, "a turn that is shown has an answer"
            messages.append({"role": "user", "content": turn.message})
            messages.append({"role": "assistant", "content": turn.answer.text})
        return (*messages, {"role": "user", "content": message})
