"""Reads the JSON object that a request carries, field by field; what is wrong is said by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import orjson
from fastapi import Request

from musicllm.schema.keys import Setting
from musicllm.serve.api.errors import BadRequestError
from musicllm.serve.chat.settings import breach

MAX_SHOWN = 40
"""Characters of a value in a message."""


class Unserved(NamedTuple):
    """A field of the protocol that is not followed.

    Attributes:
        reason: why, and what to do instead.
        neutral: values that demand nothing, and so are accepted.
    """

    reason: str
    neutral: tuple[Any, ...] = ()


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        BadRequestError: the body is no JSON, or no object.
    """
    try:
        value = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        reason = error.msg.partition(": line")[0]
        raise BadRequestError(
            f"the body is not JSON: {reason} (line {error.lineno}, column {error.colno}); send an "
            f"object such as {{...}} in UTF-8"
        ) from None
    if not isinstance(value, dict):
        raise BadRequestError(f"the body is {kind_of(value)}, and must be an object {{...}}")
    return value


def check_names(
    body: Mapping[str, Any], followed: Collection[str], unserved: Mapping[str, Unserved]
) -> None:
    """Refuse fields that would be ignored.

    Args:
        body: of a request.
        followed: names of the fields that are read.
        unserved: other fields of the protocol.

    Raises:
        BadRequestError: with the first such field.
    """
    for name, value in body.items():
        if name in followed:
            continue
        if name not in unserved:
            raise BadRequestError(f"{name} is no field of this request{near(name, followed)}", name)
        reason, neutral = unserved[name]
        if value is not None and not _is_one_of(value, neutral):
            raise BadRequestError(f"{name}={shown(value)} is not served: {reason}", name)


class Fields:
    """The fields of an object, each read with its type and range."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        """Hold them.

        Args:
            values: the object.
            prefix: of the names in messages, such as `tune.`.
        """
        self._values = values
        self._prefix = prefix

    def has(self, name: str) -> bool:
        """Return whether a field is there and not null."""
        return self._values.get(name) is not None

    def names(self) -> Iterable[str]:
        """Return the names of all fields, also of those that are null."""
        return self._values.keys()

    def raw(self, name: str) -> Any:
        """Return a value as it is; None without one."""
        return self._values.get(name)

    def of(self, name: str, setting: Setting, default: Any) -> Any:
        """Return a value that a setting of the schema could have.

        Raises:
            BadRequestError: it could not.
        """
        if not self.has(name):
            return default
        value = self._values[name]
        if rule := breach(setting, value):
            raise self.error(name, rule)
        return setting.type(value) if setting.type in (int, float) else value

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        """Return a whole number of a range; raises as `of`."""
        if not self.has(name):
            return default
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(name, f"must be a whole number from {low:,} to {high:,}")
        return value

    def flag(self, name: str) -> bool:
        """Return true or false, which is the default; raises as `of`."""
        value = self._values.get(name) or False
        if not isinstance(value, bool):
            raise self.error(name, "must be true or false")
        return value

    def text(self, name: str) -> str | None:
        """Return a text; None without one; raises as `of`."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error(name, "must be a string")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Return one of some words; raises as `of`."""
        value = self._values.get(name, default) or default
        if value not in choices:
            raise self.error(name, f"must be {' or '.join(choices)}")
        return str(value)

    def child(self, name: str) -> Fields | None:
        """Return the fields of an object; None without one; raises as `of`."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.error(name, "must be an object {...}")
        return Fields(value, f"{self._prefix}{name}.")

    def error(self, name: str, rule: str) -> BadRequestError:
        """Return the error of a value that breaks a rule."""
        full = f"{self._prefix}{name}"
        return BadRequestError(f"{full}={shown(self._values.get(name))} {rule}", full)


def near(name: str, names: Collection[str]) -> str:
    """Return which name may be meant, as the end of a sentence."""
    matches = get_close_matches(name, names, 1)
    return f"; {matches[0]}?" if matches else f"; there are {', '.join(sorted(names))}"


def shown(value: object) -> str:
    """Return a value as JSON, cut to a readable length."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # nested too deeply
        return kind_of(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def kind_of(value: object) -> str:
    """Return what a value of JSON is."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")


def _is_one_of(value: object, choices: Iterable[object]) -> bool:
    return any(
        value == choice and isinstance(value, bool) == isinstance(choice, bool)
        for choice in choices
    )
