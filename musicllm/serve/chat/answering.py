"""One answer of a conversation: written, with calls of tools, and again where it has faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from musicllm.data.records import Message
from musicllm.evals.requests import Request
from musicllm.inference.engines import Engine
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.music.grammar import TuneRules
from musicllm.serve.answers import check_tunes
from musicllm.serve.fitting import Fit
from musicllm.serve.repair import REPAIRS, Repair
from musicllm.serve.repair.faults import Fault, faults_of
from musicllm.serve.tools.loop import Kit, Work, work

OnPiece = Callable[[str], None]

End = Literal["model", "length", "time", "stopped"]
"""Who ended an answer: the model, its longest length, a server's limit of time, or the user."""

MAX_SEED = 2**32 - 1
"""As of `seed` of the configuration."""

MIN_TOKENS = 16
"""Less room than for so long an answer is none."""


@dataclass(frozen=True)
class Answer:
    """What the model wrote in a turn.

    Attributes:
        text: as it is shown.
        seed: with which the same turns get the same answer.
        end: see `End`.
        num_new_tokens: its length, with its calls; None if it was stopped.
        steps: messages between the user's and this one: calls of tools and their results.
    """

    text: str
    seed: int
    end: End
    num_new_tokens: int | None
    steps: tuple[Message, ...] = ()


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


@dataclass(frozen=True)
class Trying:
    """How answers with faulty tunes are tried again.

    Attributes:
        num_tries: of an answer, at most.
        repair: what the model sees in a further try.
        on_faults: is told the faults of an answer before it is tried again.
        on_earlier: is told the answer when it is not what was written last.
    """

    num_tries: int = 1
    repair: Repair = field(default_factory=lambda: REPAIRS["again"])
    on_faults: Callable[[Sequence[Fault]], None] = lambda _faults: None
    on_earlier: Callable[[Answer], None] = lambda _answer: None


@dataclass
class Writer:
    """Writes one answer.

    Attributes:
        engine: of the conversation.
        manner: see there.
        view: what the model sees of the conversation, tools aside.
        kit: what it may call.
        trying: see there.
        seed: of the next text; each takes the next number.
        on_piece: called with text as it is written.
    """

    engine: Engine
    manner: Manner
    view: Fit
    kit: Kit
    trying: Trying
    seed: int
    on_piece: OnPiece

    def answer(self) -> tuple[Answer, list[Answer]]:
        """Return the first answer whose tunes have no fault, or the one with the fewest.

        And the others. An answer without a tune has no fault: it may be talk.

        Raises:
            KeyboardInterrupt: the answer was stopped before its first character; later stops return
                what is written.
            MusicLLMError: whatever the engine raises.
        """
        first, messages = self.seed, self.view.messages
        request = Request(str(self.view.messages[-1]["content"]))
        tries: list[tuple[int, Answer]] = []
        while True:
            own = self._once(messages, first)
            faults = _faults(own, request)
            tries.append((len(faults), own))
            is_last = own.end == "stopped" or not faults or len(tries) >= self.trying.num_tries
            if is_last:
                best = min(range(len(tries)), key=lambda number: tries[number][0])
                if own.end == "stopped":
                    best = len(tries) - 1
                if tries[best][1].text != own.text:
                    self.trying.on_earlier(tries[best][1])
                others = [answer for number, (_, answer) in enumerate(tries) if number != best]
                return tries[best][1], others
            self.trying.on_faults(faults)
            following = self.trying.repair.follow_up(self.view.messages, own.text, faults)
            fits = following is not None and self._room(self.kit.told(following)) >= MIN_TOKENS
            messages = tuple(following or ()) if fits else self.view.messages

    def _once(self, messages: Sequence[Message], first: int) -> Answer:
        written = ""

        def take(_: int, piece: str) -> None:
            nonlocal written
            written += piece
            self.on_piece(piece)

        def write(seen: Sequence[Message]) -> Completion:
            nonlocal written
            written = ""
            seed, self.seed = self.seed, (self.seed + 1) % (MAX_SEED + 1)
            settings = replace(self.manner.settings, max_new_tokens=self._room(seen))
            own = WritingRequest(tuple(seen), None, settings, seed, self.manner.rules)
            ((_, completion),) = self.engine.write([own], take)
            if completion.text.startswith(written) and len(completion.text) > len(written):
                self.on_piece(completion.text[len(written) :])
            return completion

        try:
            own: Work = work(
                write,
                self.kit.told(messages),
                self.kit,
                has_room=lambda seen: self._room(seen) >= MIN_TOKENS,
            )
        except KeyboardInterrupt:
            if not written:
                raise
            return Answer(written, first, "stopped", None)
        end: End = "model" if own.completion.finished else "length"
        return Answer(own.text, first, end, own.num_new_tokens, own.steps)

    def _room(self, messages: Sequence[Message]) -> int:
        """Return how long an answer may be; what the first one may be stays the most."""
        longest, context = self.manner.settings.max_new_tokens, self.engine.context
        if messages == self.view.messages:
            return self.view.max_new_tokens
        count = None if context is None else self.engine.count_tokens(messages)
        return longest if context is None or count is None else min(longest, context - count)


def _faults(answer: Answer, request: Request) -> list[Fault]:
    tunes = check_tunes(answer.text)
    return faults_of(tunes, finished=answer.end == "model", request=request) if tunes else []
