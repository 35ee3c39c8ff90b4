"""One sitting with a conversation: prints answers and their tunes, saves them, renders and plays.

What is printed comes from a model or a file, so control characters are written out before they
reach the terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from musicllm import artifacts, console
from musicllm.errors import InputError, MusicLLMError
from musicllm.music import abc
from musicllm.music.render import Rendering, render_tune
from musicllm.retrieval import nearest
from musicllm.serve.answers import CheckedTune, check_tunes
from musicllm.serve.chat import records
from musicllm.serve.chat.answering import Answer, OnPiece
from musicllm.serve.chat.conversation import Conversation
from musicllm.serve.chat.player import Player
from musicllm.serve.chat.tunes import breach_of, lines_of, why_not
from musicllm.serve.fitting import Fit
from musicllm.serve.repair.faults import Fault
from musicllm.serve.showing import visible
from musicllm.serve.tools import Call
from musicllm.serve.tools.protocols import compact

FILE = "conversation.json"

MAX_RESULT = 300
"""Characters that are shown of the result of a call; the model sees all of it."""


@dataclass
class Session:
    """A conversation, where its files go, and its tunes by number.

    Attributes:
        conversation: with its engine.
        model: its name, for people and for saved files.
        folder: of all conversations with this model and these settings; each gets its own below it.
        is_interactive: whether a person sits at the terminal.
        renderers: names of those that /render runs; none for those that run by default.
        follows_grammar: whether the engine samples under the grammar; else answers are checked.
        tunes: all so far, the first has number 1; those of answers that were retried stay.
        status: one line about the context and the settings.
    """

    conversation: Conversation
    model: str
    folder: Path
    is_interactive: bool
    renderers: Collection[str] = ()
    follows_grammar: bool = True
    player: Player = field(default_factory=Player)
    tunes: list[CheckedTune] = field(default_factory=list)
    num_failed: int = 0
    _own: Path | None = None
    _num_left_out: int = 0

    def say(self, message: str) -> None:
        """Let the model answer a message."""
        self._answer(partial(self.conversation.say, message))

    def retry(self) -> None:
        """Let the model answer the last message again."""
        self._answer(self.conversation.retry)

    def edit(self, message: str) -> None:
        """Let the model answer another message in place of the last one."""
        self._answer(partial(self.conversation.edit, message))

    def say_call(self, call: Call, result: Mapping[str, Any]) -> None:
        """Show a call of a tool, and what it gave."""
        arguments = ", ".join(f"{name}={_short(value)}" for name, value in call.arguments.items())
        line = f"{call.name or 'a call'}({arguments}): {_short(compact(result), MAX_RESULT)}"
        console.stream("\n")
        console.styled(visible(line), "magenta")

    def say_faults(self, faults: Sequence[Fault]) -> None:
        """Say what is wrong with an answer that is tried again."""
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        console.stream("\n")
        console.note(f"{visible(faults[0].text())}{more}; the model tries again")

    def say_earlier(self, answer: Answer) -> None:
        """Show an earlier try once more, which is the answer."""
        console.stream("\n")
        console.note("an earlier try has fewer faults, so it is the answer:")
        console.stream(visible(answer.text))

    def save(self, path: Path | None = None) -> Path:
        """Save the conversation, without a path in the folder of this conversation."""
        path = path or self.place / FILE
        records.save(self.conversation, self.model, path)
        return path

    def load(self, path: Path | None) -> Path:
        """Continue a saved conversation, without a path the newest with this model and settings.

        It goes on in a file of its own.

        Raises:
            InputError: there is none, or as `records.load`.
        """
        path = path or self._newest()
        model = records.load(self.conversation, path)
        if model != self.model:
            console.note(f"it was held with {visible(model)}, and goes on with {self.model}")
        self._own, self._num_left_out = None, 0
        answers = [turn.answer for turn in self.conversation.turns if turn.answer]
        self.tunes = [tune for answer in answers for tune in check_tunes(answer.text)]
        return path

    def clear(self) -> None:
        """Begin a new conversation; the old one stays saved."""
        self.conversation.clear()
        self._own, self._num_left_out = None, 0
        self.tunes = []

    def render(self, number: str, only: Collection[str]) -> Rendering:
        """Write the files of a tune beside the conversation.

        Args:
            number: of the tune; empty for the last.
            only: names of the renderers; none for those that run by default.

        Raises:
            InputError: there is no such tune, or it cannot be read.
            RenderError: nothing of it could be rendered.
        """
        index = self._index(number)
        tune = self.tunes[index]
        if not tune.parses:
            raise InputError(f"tune {index + 1} {why_not(tune)}")
        stem = f"tune-{index + 1:03d}"
        artifacts.write_text(self.place / f"{stem}.abc", tune.abc + "\n")
        return render_tune(tune.abc, self.place, stem, only=only or None)

    @property
    def place(self) -> Path:
        """Folder of this conversation; made when it is first needed, so that each has its own.

        Raises:
            InputError: it cannot be made.
        """
        if self._own is None:
            try:
                self._own = self._new_place()
            except OSError as error:
                raise InputError(
                    f"no folder for the conversation can be made in {self.folder}: "
                    f"{records.reason(error)}; /save <file> writes it elsewhere"
                ) from None
        return self._own

    def _new_place(self) -> Path:
        stamp, number = time.strftime("%Y-%m-%d-%H%M%S"), 1
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            place = self.folder / (stamp if number == 1 else f"{stamp}-{number}")
            try:
                place.mkdir()
            except FileExistsError:
                number += 1
            else:
                return place

    @property
    def saved(self) -> Path | None:
        """The file that this conversation is in; None before there is one."""
        return None if self._own is None else self._own / FILE

    def status(self) -> str:
        """Return one line: how full the context is, and the settings that matter most."""
        manner, view = self.conversation.manner, self.conversation.view
        context = self.conversation.engine.context
        parts = [self.model]
        if view is not None and view.num_tokens is not None:
            last = self.conversation.turns[-1].answer if self.conversation.turns else None
            used = view.num_tokens + ((last and last.num_new_tokens) or 0)
            parts.append(f"{used:,} of {context:,} tokens" if context else f"{used:,} tokens")
        elif context:
            parts.append(f"context {context:,} tokens")
        parts.append(f"temperature {manner.settings.temperature:g}")
        parts.append(f"grammar {'off' if manner.rules is None else 'on'}")
        return " · ".join((*parts, f"seed {self.conversation.seed}", "/help, Ctrl-D ends"))

    def _answer(self, write: Callable[[OnPiece], Answer]) -> None:
        started = time.monotonic()
        try:
            answer = write(lambda piece: console.stream(visible(piece)))
        except KeyboardInterrupt:
            if not self.is_interactive:
                raise
            console.note("stopped before the first word; /retry asks again")
            return
        finally:
            self._say_left_out(self.conversation.view)
            self._save_if_any()
        console.stream("" if answer.text.endswith("\n") else "\n")
        if answer.end == "stopped" and not self.is_interactive:
            raise KeyboardInterrupt
        self._say_end(answer)
        self._say_breach(answer)
        for tune in check_tunes(answer.text):
            self.tunes.append(tune)
            for line in lines_of(len(self.tunes), tune, console.out.width):
                console.styled(line, "cyan")
            self._say_copy(tune)
        if self.is_interactive and answer.num_new_tokens:
            rate = answer.num_new_tokens / (time.monotonic() - started)
            line = f"{answer.num_new_tokens:,} tokens, {rate:,.0f}/s, seed {answer.seed}"
            console.styled(line, "dim")

    def _say_left_out(self, view: Fit | None) -> None:
        if view is None or view.num_left_out <= self._num_left_out:
            return
        self._num_left_out = view.num_left_out
        turns = "turn does" if view.num_left_out == 1 else f"{view.num_left_out} turns do"
        console.note(
            f"the oldest {turns} not fit the context of {self.conversation.engine.context:,} "
            "tokens, and the model no longer sees them"
        )

    def _say_end(self, answer: Answer) -> None:
        view, longest = self.conversation.view, self.conversation.manner.settings.max_new_tokens
        if answer.end == "stopped":
            console.note("stopped; what is written is kept (/retry writes another answer)")
        elif answer.end == "length" and view is not None and view.max_new_tokens < longest:
            console.note(f"cut off: the context is full after {answer.num_new_tokens} tokens")
        elif answer.end == "length":
            console.note(f"cut off at {longest} tokens; /set max_new_tokens=... allows more")
        elif not answer.text.strip():
            console.note("the model ended its answer without a word; /retry asks again")

    def _say_breach(self, answer: Answer) -> None:
        """Say where an answer breaks the grammar that its engine does not sample under."""
        rules = self.conversation.manner.rules
        if rules is None or self.follows_grammar:
            return
        if breach := breach_of(answer.text, rules, is_whole=answer.end == "model"):
            console.note(f"the answer breaks the grammar: {breach}")

    def _say_copy(self, tune: CheckedTune) -> None:
        """Say of which tune of the index, if there is one, the last tune is a version."""
        index = self.conversation.kit.place.index
        version = nearest(index, abc.parse(tune.abc)) if index and tune.parses else None
        if version is not None and version.is_copy:
            own = version.neighbour
            console.note(
                f"tune {len(self.tunes)} is a version of {visible(own.title or own.id)} "
                f"({visible(own.source)}): similarity {version.similarity:.2f}"
            )

    def _save_if_any(self) -> None:
        """Save what was said; where that fails the answer is shown all the same."""
        if not self.conversation.turns:
            return
        try:
            self.save()
        except InputError as error:
            console.stream("\n")
            fail(self, error)

    def _newest(self) -> Path:
        files = sorted(self.folder.glob(f"*/{FILE}"), key=lambda file: file.stat().st_mtime)
        files = [file for file in files if file.parent != self._own]
        if not files:
            raise InputError(f"there is no earlier conversation in {self.folder}; name a file")
        return files[-1]

    def _index(self, number: str) -> int:
        if not self.tunes:
            raise InputError("there is no tune yet in what the model wrote")
        if not number:
            return len(self.tunes) - 1
        if not number.isdecimal() or not 1 <= int(number) <= len(self.tunes):
            raise InputError(f"there is no tune {number!r}; there are 1 to {len(self.tunes)}")
        return int(number) - 1


def _short(value: object, most: int = 40) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[:most]}..."


def fail(session: Session, error: MusicLLMError) -> None:
    """Print an error; the conversation goes on."""
    session.num_failed += 1
    console.err.print(visible(str(error)), style="red", markup=False)
