"""One line of a jsonl file of prompts: which fields it may have, and what they must be.

The names, types and ranges of settings are those of `schema.GenerationConfig`.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from musicllm.errors import InputError
from musicllm.schema import GenerationConfig
from musicllm.schema.keys import Setting, settings, type_name

if TYPE_CHECKING:
    from musicllm.data.records import Message

CONTENTS = ("prompt", "messages", "text")
"""A line has one of these: a user message, a conversation that ends with one, or the beginning of a
text."""

OTHERS = ("id", "settings", "tune", "task", "conditions", "source")
SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty", "max_new_tokens")
"""Settings that a line may have for its own prompt."""

ROLES = ("system", "user", "assistant")


class Content(NamedTuple):
    """What a line says; `messages` or `text` is None."""

    id: str | None
    messages: tuple[Message, ...] | None
    text: str | None
    settings: Mapping[str, Any]
    tune: Mapping[str, Any]
    task: str
    conditions: Mapping[str, str]


def read(raw: object) -> Content:
    """Return the content of one line.

    Args:
        raw: the JSON value of the line.

    Raises:
        InputError: it is no prompt; the text says why, without file and line.
    """
    if not isinstance(raw, dict):
        raise InputError(f"is {_kind(raw)}, and an object with one of {_either(CONTENTS)} is due")
    if unknown := [name for name in raw if name not in (*CONTENTS, *OTHERS)]:
        raise InputError(f"has a field {unknown[0]}, {_instead(unknown[0], (*CONTENTS, *OTHERS))}")
    given = [name for name in CONTENTS if raw.get(name) is not None]
    if len(given) != 1:
        rule = f"has both {' and '.join(given)}" if given else "has none of its contents"
        raise InputError(f"{rule}; write one of {_either(CONTENTS)}")
    text = None if raw.get("text") is None else filled("text", raw["text"])
    return Content(
        _id(raw.get("id")),
        None if text is not None else _messages(raw),
        text,
        _settings("settings", raw.get("settings"), _sampling()),
        _settings("tune", raw.get("tune"), tune_settings()),
        _text("task", raw.get("task")),
        _conditions(raw.get("conditions")),
    )


def filled(name: str, value: object) -> str:
    """Return a text that is not blank.

    Raises:
        InputError: it is blank, or no text.
    """
    if not isinstance(value, str):
        raise InputError(f"has a {name} that is {_kind(value)}, not a string")
    if not value.strip():
        raise InputError(f"has an empty {name}: there is nothing to answer or continue")
    return value


def tune_settings() -> Mapping[str, Setting]:
    """Return the settings of the group `generation.tune`."""
    group = settings(GenerationConfig)["tune"].group
    return settings(group)


def _sampling() -> Mapping[str, Setting]:
    return {name: settings(GenerationConfig)[name] for name in SAMPLING}


def _id(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError(f"has an id that is {_kind(value)}; write a string or a whole number")
    return str(value)


def _messages(raw: Mapping[str, Any]) -> tuple[Message, ...]:
    if raw.get("prompt") is not None:
        return ({"role": "user", "content": filled("prompt", raw["prompt"])},)
    turns = raw["messages"]
    if not isinstance(turns, list) or not turns:
        raise InputError("has messages that are no list of {role, content}")
    messages = tuple(_message(turn, number) for number, turn in enumerate(turns, start=1))
    if messages[-1]["role"] != "user":
        raise InputError(
            f"ends with a message of the {messages[-1]['role']}, and a prompt ends with one of "
            "the user; leave it out, or write the conversation as text"
        )
    return messages


def _message(turn: object, number: int) -> Message:
    if not isinstance(turn, dict) or not {"role", "content"} <= turn.keys():
        raise InputError(f"has a message {number} without role or content")
    if turn["role"] not in ROLES:
        raise InputError(f"has a message {number} of {turn['role']!r}; roles are {_either(ROLES)}")
    content = filled(f"message {number}", turn["content"])
    return {"role": turn["role"], "content": content}


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"has a {name} that is {_kind(value)}, not a string")
    return value


def _conditions(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    if not texts:
        raise InputError("has conditions that are no object of texts")
    return typing.cast(Mapping[str, str], value)


def _settings(name: str, values: object, known: Mapping[str, Setting]) -> Mapping[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"has {name} that are {_kind(values)}, not an object")
    for key, value in values.items():
        if key not in known:
            raise InputError(f"has {name}.{key}, {_instead(key, known)}")
        if rule := _breach(known[key], value):
            raise InputError(f"has {name}.{key}={value}, which {rule}")
    return values


def _breach(setting: Setting, value: Any) -> str:
    """Return the rule that a value breaks; empty when it breaks none."""
    if value is None:
        return "" if setting.nullable else "must be set"
    is_list = setting.is_list
    kind = typing.get_args(setting.type)[0] if is_list else setting.type
    if is_list and not isinstance(value, list):
        return f"must be of type {type_name(setting.type)}"
    for item in value if is_list else [value]:
        if not _is_of(item, kind):
            return f"must be of type {type_name(setting.type)}"
        if rule := setting.breach(item):
            return rule
    return ""


def _is_of(value: object, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    return not isinstance(kind, type) or isinstance(value, kind)


def _instead(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"which is none of {_either(list(known))}" + (f"; {near[0]}?" if near else "")


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")
