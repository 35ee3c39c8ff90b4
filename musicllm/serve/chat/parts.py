"""The values of a saved conversation, checked as /set and /seed check theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args

from musicllm.data.records import Message
from musicllm.errors import ConfigError, InputError
from musicllm.inference.requests import SamplingSettings
from musicllm.music.grammar import Grammar, TuneRules
from musicllm.schema.keys import Setting
from musicllm.serve.chat.answering import MAX_SEED, Answer, End
from musicllm.serve.chat.conversation import Turn
from musicllm.serve.chat.settings import SAMPLING, TUNE, breach, is_text


@dataclass(frozen=True)
class Part:
    """A value of a file.

    Attributes:
        path: of the file.
        key: of the value, such as `messages[0].role`; empty for the whole file.
        value: as JSON holds it.
    """

    path: Path
    key: str
    value: Any

    def refuse(self, rule: str) -> NoReturn:
        """Raise an `InputError` that says file, key, value and rule."""
        if isinstance(self.value, dict | list):
            value = "{...}" if isinstance(self.value, dict) else "[...]"
        else:
            value = json.dumps(self.value)
        value = value if len(value) <= 60 else f"{value[:60]}..."
        raise InputError(f"{self.path} cannot be loaded: {self.key}={value}: it {rule}")

    def child(self, name: str) -> Part:
        """Return the value of a name of an object."""
        if not isinstance(self.value, dict):
            self.refuse("must be an object")
        key = f"{self.key}.{name}" if self.key else name
        if name not in self.value:
            raise InputError(f"{self.path} cannot be loaded: it has no {key}")
        return Part(self.path, key, self.value[name])

    def items(self) -> Iterator[Part]:
        """Yield the values of a list."""
        if not isinstance(self.value, list):
            self.refuse("must be a list")
        for number, value in enumerate(self.value):
            yield Part(self.path, f"{self.key}[{number}]", value)

    def text(self) -> str:
        """Return a text."""
        if not is_text(self.value):
            self.refuse("must be text")
        return str(self.value)

    def whole(self, high: int | None = None) -> int:
        """Return a whole number from 0."""
        is_whole = isinstance(self.value, int) and not isinstance(self.value, bool)
        if not is_whole or self.value < 0 or (high is not None and self.value > high):
            end = "at least 0" if high is None else f"from 0 to {high}"
            self.refuse(f"must be a whole number {end}")
        return int(self.value)

    def settings(self, settings: Mapping[str, Setting]) -> dict[str, Any]:
        """Return the values of an object that has these settings and no others."""
        values = {}
        for name, setting in settings.items():
            part = self.child(name)
            if rule := breach(setting, part.value):
                part.refuse(rule)
            is_number = setting.type is float and part.value is not None
            values[name] = float(part.value) if is_number else part.value
        for name in self.value:
            if name not in settings:
                self.child(name).refuse(f"is no setting; there are {', '.join(settings)}")
        return values


def sampling(part: Part) -> SamplingSettings:
    """Return the settings of the sampling; raises `InputError` as all functions here."""
    return SamplingSettings(**part.settings(SAMPLING))


def rules(part: Part) -> TuneRules:
    """Return the rules of tunes, which the grammar can keep."""
    names = {name.removeprefix("tune."): setting for name, setting in TUNE.items()}
    tune = TuneRules.of(part.settings(names))
    try:
        Grammar(tune)
    except ConfigError as error:
        problems = [
            str(problem).replace("generation.tune", part.key, 1) for problem in error.problems
        ]
        raise InputError(f"{part.path} cannot be loaded: {'; '.join(problems)}") from None
    return tune


def system_and_turns(part: Part) -> tuple[str | None, list[Turn]]:
    """Return the system prompt and the turns of messages; only the last may lack an answer."""
    messages = list(part.items())
    system = None
    if messages and messages[0].child("role").value == "system":
        system = messages.pop(0).child("content").text()
    result = turns(messages)
    users = [message.child("role") for message in messages if message.child("role").value == "user"]
    for turn, role in zip(result[:-1], users[1:], strict=True):
        if turn.answer is None:
            role.refuse("must not follow a user message without an answer")
    return system, result


def turns(messages: list[Part]) -> list[Turn]:
    """Return the turns of messages, of which each may lack an answer."""
    result = list[Turn]()
    for message in messages:
        role, content = message.child("role"), message.child("content").text()
        if role.value == "user":
            result.append(Turn(content))
        elif role.value != "assistant":
            role.refuse("must be user or assistant; the first message may be of the role system")
        elif not result or result[-1].answer is not None:
            role.refuse("must follow a user message")
        else:
            result[-1] = Turn(result[-1].message, _answer(message, content))
    return result


def _answer(message: Part, content: str) -> Answer:
    end, length = message.child("end"), message.child("num_new_tokens")
    if end.value not in get_args(End):
        end.refuse(f"must be one of {', '.join(get_args(End))}")
    num_new_tokens = None if length.value is None else length.whole()
    seed = message.child("seed").whole(MAX_SEED)
    return Answer(content, seed, end.value, num_new_tokens, _steps(message))


def _steps(message: Part) -> tuple[Message, ...]:
    """Return the calls of an answer and their results; none where the file has none."""
    if "steps" not in message.value:
        return ()
    return tuple(
        {name: step.child(name).text() for name in ("role", "content")}
        for step in message.child("steps").items()
    )
