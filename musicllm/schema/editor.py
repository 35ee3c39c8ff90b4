"""The configuration as a JSON Schema (draft 2020-12), for editors of recipes and options.

No key is required, since a file states a part of the configuration; what is missing after
composition is reported by `musicllm.config`.
"""

from __future__ import annotations

import typing
from typing import Any, Literal

from musicllm.schema import Config
from musicllm.schema.keys import Setting, settings

TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def json_schema() -> dict[str, Any]:
    """Return the schema of a composed configuration."""
    schema = _group(Config)
    schema["properties"] |= {"defaults": {"type": "array"}, "hydra": {"type": "object"}}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "musicllm"}
    return head | schema


def _group(cls: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": cls.__doc__,
        "properties": {name: _setting(part) for name, part in settings(cls).items()},
        "additionalProperties": False,
    }


def _setting(setting: Setting) -> dict[str, Any]:
    if setting.group is not None:
        group = _group(setting.group)
        return {"type": "object", "additionalProperties": group} if setting.named else group
    schema = _type(setting.type)
    innermost = schema["items"] if setting.is_list else schema
    if setting.key.low is not None:
        innermost["minimum"] = setting.key.low
    if setting.key.high is not None:
        innermost["maximum"] = setting.key.high
    if setting.key.kinds:
        innermost["examples"] = list(setting.choices)
    if setting.key.single:
        schema = {"anyOf": [schema, innermost]}
    if setting.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {"description": setting.comment} | schema


def _type(kind: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    return {} if kind is Any else {"type": TYPES[kind]}
