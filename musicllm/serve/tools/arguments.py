"""Arguments of a call, read as the schema of a tool says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.errors import InputError

MAX_CHARS = 64_000
"""Longest text of an argument; a tune of that length takes seconds to read."""


def read_arguments(
    parameters: Mapping[str, Mapping[str, Any]], required: Sequence[str], arguments: object
) -> dict[str, Any]:
    """Return the arguments of a call, with numbers as numbers.

    A whole number may be written as a text (`"2"`) or with a zero fraction (`2.0`), as small models
    do. `null` is an argument that is left out.

    Args:
        parameters: see `Tool`.
        required: likewise.
        arguments: as the model wrote them.

    Raises:
        InputError: one is unknown, missing, of another type or outside its range.
    """
    if not isinstance(arguments, Mapping):
        raise InputError(f"arguments must be an object with {', '.join(parameters) or 'nothing'}")
    stated = {name: value for name, value in arguments.items() if value is not None}
    for name in stated:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise InputError(f"there is no argument {name!r}; there are {known}")
    for name in required:
        if name not in stated:
            raise InputError(f"the argument {name} is missing: {parameters[name]['description']}")
    return {name: _value(name, parameters[name], value) for name, value in stated.items()}


def _value(name: str, schema: Mapping[str, Any], value: Any) -> Any:
    if schema["type"] == "string":
        if not isinstance(value, str):
            raise InputError(f"the argument {name} must be a text")
        if len(value) > MAX_CHARS:
            raise InputError(f"the argument {name} has more than {MAX_CHARS:,} characters")
        choices = schema.get("enum")
        if choices and value not in choices:
            raise InputError(f"the argument {name}={value!r} is none of {', '.join(choices)}")
        return value
    assert schema["type"] == "integer", f"no such type of an argument: {schema['type']}"
    number = _whole(value)
    low, high = schema.get("minimum"), schema.get("maximum")
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        raise InputError(f"the argument {name} must be a whole number from {low} to {high}")
    return number


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip().removeprefix("+")
        digits = text.removeprefix("-")
        return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e9 else None
    return value if isinstance(value, int) else None
