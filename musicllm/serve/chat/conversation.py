"""A conversation with a model, without a terminal: its turns, what the model sees, its answers.

The model sees the system prompt, the turns that fit its context and the new message, in its own
chat template. Nothing that was written is lost: an answer that is stopped keeps its text, and what
is retried or edited is kept aside. The answer to the same turns with the same seed is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from musicllm.data.records import Message
from musicllm.errors import InputError
from musicllm.inference.engines import Engine
from musicllm.serve.chat.answering import Answer, Manner, OnPiece, Trying, Writer
from musicllm.serve.fitting import Fit, fit
from musicllm.serve.tools import Workplace
from musicllm.serve.tools.loop import Kit
from musicllm.serve.tools.protocols import FIXED, PROTOCOLS


def _no_folder() -> Path:
    raise AssertionError("no tool runs that writes a file")


NO_KIT = Kit({}, PROTOCOLS[FIXED], 0, True, Workplace(_no_folder))  # has_system is not asked
"""Of a model that calls nothing."""

_PROBE = {"role": "user", "content": "Hello"}


@dataclass(frozen=True)
class Turn:
    """A message of the user and its answer; None if there is none, because of an error."""

    message: str
    answer: Answer | None = None


class Conversation:
    """A conversation; see the module.

    Attributes:
        kit: tools that the model may call; none unless set.
        trying: how answers with faulty tunes are tried again; they are not unless set.
    """

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
        self.kit = NO_KIT
        self.trying = Trying()
        self.turns: list[Turn] = []
        self.replaced: list[Turn] = []
        self.view: Fit | None = None
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
            refuse_unseen(self.engine, system)
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

    def _write(self, view: Fit, on_piece: OnPiece) -> Answer:
        writer = Writer(self.engine, self.manner, view, self.kit, self.trying, self.seed, on_piece)
        try:
            answer, others = writer.answer()
        finally:
            self.seed = writer.seed
        self.replaced += [Turn(self.turns[-1].message, other) for other in others]
        return answer

    def _see(self, turns: Sequence[Turn], message: str) -> Fit:
        """Return what the model sees: the oldest turns leave until there is room for an answer.

        That is `max_new_tokens`, or half the context if it is less; without any turn the answer may
        be as long as there is room. Turns whose answer is empty are not shown.
        """
        shown = [turn for turn in turns if turn.answer and turn.answer.text.strip()]
        system = self.manner.system
        return fit(
            self._count,
            [{"role": "system", "content": system}] if system else [],
            [_messages_of(turn) for turn in shown],
            [{"role": "user", "content": message}],
            context=self.engine.context,
            longest=self.manner.settings.max_new_tokens,
        )

    def _count(self, messages: Sequence[Message]) -> int | None:
        """Return the tokens of what the model sees, tools with it."""
        return self.engine.count_tokens(self.kit.told(messages))


def _messages_of(turn: Turn) -> list[Message]:
    assert turn.answer is not None, "a turn that is shown has an answer"
    return [
        {"role": "user", "content": turn.message},
        {"role": "assistant", "content": turn.answer.text},
    ]


def shows_system(engine: Engine) -> bool:
    """Return whether the model sees a system prompt."""
    try:
        refuse_unseen(engine, "Hello")
    except InputError:
        return False
    return True


def refuse_unseen(engine: Engine, system: str) -> None:
    """Refuse a system prompt that the model would not see.

    Raises:
        InputError: its chat template refuses one, or leaves it out.
    """
    try:
        count = engine.count_tokens(({"role": "system", "content": system}, _PROBE))
    except InputError as error:
        raise InputError(f"this model takes no system prompt: {error}") from None
    if count is not None and count == engine.count_tokens((_PROBE,)):
        raise InputError(
            "this model takes no system prompt: its chat template leaves it out; say it in "
            "the first message"
        )
