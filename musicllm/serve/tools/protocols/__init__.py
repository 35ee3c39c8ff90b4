"""How a model is told of tools, writes a call, and reads its result; one module each.

A model was trained with one form, that of its chat template. Templates that take `tools` are
rendered with them, so that the model sees what its makers show it; for the others there is a fixed
form, `plain`, which any model can be told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.data.records import Message
from musicllm.inference.engines import ChatForm
from musicllm.registry import Registry
from musicllm.serve.tools import Call, Tool


@dataclass(frozen=True)
class Written:
    """An answer, divided.

    Attributes:
        text: for the user, before the calls.
        calls: in order; none in an answer that ends the turn.
        content: what counts as written: nothing behind the last call, such as results that the
            model makes up.
    """

    text: str
    calls: tuple[Call, ...]
    content: str


Results = Callable[[Sequence[Call], Sequence[Mapping[str, Any]]], Sequence[Message]]
"""(calls, what each gave) -> the messages that show it."""


@dataclass(frozen=True)
class Protocol:
    """A form of calls.

    Attributes:
        name: value of `tools.protocol`.
        speaks: says of the source of a chat template, and the special tokens of its tokenizer,
            whether they are of this form.
        told: returns a conversation that tells of tools, and how they are called. `has_system` is
            whether the template shows a system prompt.
        read: finds the calls in an answer.
        results: returns the messages that show results, in the order of the calls.
        by_template: the template tells of the tools; an engine without one cannot.
    """

    name: str
    speaks: Callable[[str, Sequence[str]], bool]
    told: Callable[[Sequence[Message], Sequence[Tool], bool], Sequence[Message]]
    read: Callable[[str], Written]
    results: Results
    by_template: bool


PROTOCOLS: Registry[Protocol] = Registry("protocol of calls", __name__)

FIXED = "plain"
"""The protocol of templates that have none."""


def protocol_of(form: ChatForm | None) -> Protocol:
    """Return the protocol of a chat template; the fixed one where it has none.

    Args:
        form: what an engine renders conversations with; None where that is not known.
    """
    for name in PROTOCOLS:
        if form is not None and PROTOCOLS[name].speaks(form.template, form.special_tokens):
            return PROTOCOLS[name]
    return PROTOCOLS[FIXED]


def takes_tools(template: str) -> bool:
    """Return whether a chat template is rendered with `tools`."""
    return "tools" in template


def by_template(
    messages: Sequence[Message], tools: Sequence[Tool], _has_system: bool
) -> Sequence[Message]:
    """Return messages of which the template tells the tools; see `data.records.Message`."""
    first, *others = messages
    return [{**first, "tools": [tool.schema for tool in tools]}, *others]


def call_of(source: str, arguments: str, example: str) -> Call:
    """Read a call that is an object of JSON with `name` and its arguments.

    Args:
        source: of the object.
        arguments: name of the field with the arguments.
        example: of a call, for the message to the model.
    """
    try:
        value = json.loads(source, strict=False)  # line feeds in a tune are often not escaped
    except (ValueError, RecursionError) as error:
        text = str(error).split(":")[0]
        return Call("", problem=f"the call is no valid JSON ({text}); write such as {example}")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return Call("", problem=f"the call has no name; write such as {example}")
    own = value.get(arguments, value.get("arguments", value.get("parameters", {})))
    if isinstance(own, str):
        try:
            own = json.loads(own, strict=False)
        except (ValueError, RecursionError):
            own = None
    if not isinstance(own, dict):
        rule = f"the {arguments} of {value['name']} are no object"
        return Call(value["name"], problem=f"{rule}; write such as {example}")
    return Call(value["name"], own)


def shown_as(role: str) -> Results:
    """Return what shows each result in a message of its own."""

    def results(_calls: Sequence[Call], values: Sequence[Mapping[str, Any]]) -> Sequence[Message]:
        return [{"role": role, "content": compact(value)} for value in values]

    return results


def compact(value: object) -> str:
    """Return a value as JSON for a model."""
    return json.dumps(value, ensure_ascii=False)
