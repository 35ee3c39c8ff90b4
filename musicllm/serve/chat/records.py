"""A conversation as JSON, to be saved and continued.

`messages` is what training reads: roles and contents, with the system prompt first. An answer also
has its `seed`, its `end` and its length, and `steps` where the model called tools: the messages
with its calls and their results. `replaced` holds what was retried or edited.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.errors import InputError, MusicLLMError
from musicllm.serve.chat import parts
from musicllm.serve.chat.answering import MAX_SEED, Manner
from musicllm.serve.chat.conversation import Conversation, Turn
from musicllm.serve.chat.parts import Part

FORMAT = "musicllm conversation 1"


def save(conversation: Conversation, model: str, path: Path) -> None:
    """Write a conversation; a file that holds none is never overwritten.

    Args:
        conversation: with all its turns and settings.
        model: its name, for people.
        path: of the file; missing folders are made.

    Raises:
        InputError: the path is a folder or a file of another kind, or it cannot be written.
    """
    try:
        if path.exists():
            _check_is_ours(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        artifacts.write_json(path, _record(conversation, model))
    except (OSError, ValueError) as error:  # a null byte in a path is a ValueError
        raise InputError(
            f"{path} cannot be written: {reason(error)}; choose another name"
        ) from None


def reason(error: Exception) -> str:
    """Return what a file system says, without the path."""
    if isinstance(error, FileExistsError):
        return "a file is where a folder should be"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def load(conversation: Conversation, path: Path) -> str:
    """Replace turns and settings by those of a file; after an error nothing has changed.

    Returns:
        The name of the model that it was held with.

    Raises:
        InputError: there is no such file, it is no saved conversation, a value breaks a rule, or
            this model takes no system prompt and it has one.
    """
    record = _read(path)
    sampling, rules = parts.sampling(record.child("settings")), record.child("rules")
    manner = Manner(
        None,
        sampling,
        None if rules.value is None else parts.rules(rules),
        parts.rules(record.child("spare_rules")),
    )
    system, turns = parts.system_and_turns(record.child("messages"))
    replaced = parts.turns(list(record.child("replaced").items()))
    seed, model = record.child("seed").whole(MAX_SEED), record.child("model").text()
    old = conversation.manner
    conversation.manner = manner
    try:
        conversation.set_system(system)
    except MusicLLMError:
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
            answer["steps"] = [dict(step) for step in answer["steps"]]
            if not answer["steps"]:
                del answer["steps"]
            messages.append({"role": "assistant", "content": answer.pop("text"), **answer})
    return messages


def _check_is_ours(path: Path) -> None:
    text = _text(path)
    try:
        _parsed(path, text)
    except InputError:
        raise InputError(
            f"{path} exists and is no saved conversation, so it is not overwritten; choose "
            "another name"
        ) from None


def _read(path: Path) -> Part:
    """Return what a saved conversation holds."""
    return _parsed(path, _text(path))


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise InputError(
                f"{path} is a folder; name a file, such as {path / 'conversation.json'}"
            )
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no regular file; name another")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; /save writes such a file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no saved conversation: {error}") from None
    except (OSError, ValueError) as error:  # a null byte in a path is a ValueError
        raise InputError(f"{path} cannot be read: {reason(error)}; name another file") from None


def _parsed(path: Path, text: str) -> Part:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is no saved conversation: {error}") from None
    except RecursionError:
        raise InputError(f"{path} is no saved conversation: it is nested too deeply") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f'{path} is no saved conversation: it lacks "format": "{FORMAT}"')
    return Part(path, "", record)
