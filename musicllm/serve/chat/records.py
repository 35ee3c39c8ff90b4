"""A conversation as JSON, to be saved and continued.

`messages` is what training reads: roles and contents, with the system prompt first. An answer also
has its `seed`, its `end` and its length; `replaced` holds what was retried or edited.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from musicllm import artifacts
from musicllm.errors import InputError
from musicllm.inference.requests import SamplingSettings
from musicllm.music.grammar import TuneRules
from musicllm.serve.chat.conversation import Answer, Conversation, End, Manner, Turn

FORMAT = "musicllm conversation 1"


def save(conversation: Conversation, model: str, path: Path) -> None:
    """Write a conversation; a file that holds none is never overwritten.

    Args:
        conversation: with all its turns and settings.
        model: its name, for people.
        path: of the file; missing folders are made.

    Raises:
        InputError: the path is a folder, or a file of another kind.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file, such as {path / 'conversation.json'}")
    if path.exists():
        try:
            _read(path)
        except InputError:
            raise InputError(
                f"{path} exists and is no saved conversation, so it is not overwritten; choose "
                "another name"
            ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(path, _record(conversation, model))


def load(conversation: Conversation, path: Path) -> str:
    """Replace turns and settings by those of a file; after an error nothing has changed.

    Returns:
        The name of the model that it was held with.

    Raises:
        InputError: there is no such file, it is no saved conversation, or this model takes no
            system prompt and it has one.
    """
    record = _read(path)
    try:
        manner = Manner(
            None,
            SamplingSettings(**record["settings"]),
            _rules(record["rules"]),
            _rules(record["spare_rules"]) or TuneRules(),
        )
        system, turns = _turns(record["messages"])
        replaced = _turns(record["replaced"])[1]
        seed, model = int(record["seed"]), str(record["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no saved conversation that can be read: {error!r}") from None
    old = conversation.manner
    conversation.manner = manner
    try:
        conversation.set_system(system)
    except InputError:
        conversation.manner = old
        raise
    conversation.clear()
    conversation.turns, conversation.replaced, conversation.seed = turns, replaced, seed
    return model


def _record(conversation: Conversation, model: str) -> dict[str, Any]:
    manner = conversation.manner
    system = [{"role": "system", "content": manner.system}] if manner.system else []
    return {
        "format": FORMAT,
        "model": model,
        "settings": asdict(manner.settings),
        "rules": None if manner.rules is None else asdict(manner.rules),
        "spare_rules": asdict(manner.spare_rules),
        "seed": conversation.seed,
        "messages": [*system, *_messages(conversation.turns)],
        "replaced": _messages(conversation.replaced),
    }


def _messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    messages = []
    for turn in turns:
        messages.append({"role": "user", "content": turn.message})
        if turn.answer is not None:
            answer = asdict(turn.answer)
            messages.append({"role": "assistant", "content": answer.pop("text"), **answer})
    return messages


def _turns(messages: Sequence[Mapping[str, Any]]) -> tuple[str | None, list[Turn]]:
    system, turns = None, list[Turn]()
    for number, message in enumerate(messages, start=1):
        role, content = message["role"], message["content"]
        if not isinstance(content, str):
            raise TypeError(f"the content of message {number} is no text")
        if role == "system" and number == 1:
            system = content
        elif role == "user":
            turns.append(Turn(content))
        elif role == "assistant" and turns and turns[-1].answer is None:
            if message["end"] not in get_args(End):
                raise ValueError(f"message {number} has the end {message['end']}")
            answer = Answer(content, message["seed"], message["end"], message["num_new_tokens"])
            turns[-1] = Turn(turns[-1].message, answer)
        else:
            raise ValueError(f"message {number} is of the role {role}")
    return system, turns


def _rules(record: Mapping[str, Any] | None) -> TuneRules | None:
    if record is None:
        return None
    tuples = {key: tuple(value) for key, value in record.items() if isinstance(value, list)}
    return TuneRules(**{**record, **tuples})


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; /save writes such a file") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path} is no saved conversation: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f'{path} is no saved conversation: it lacks "format": "{FORMAT}"')
    return record
