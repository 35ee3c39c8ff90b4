"""Reads JSON out of an answer, and holds it against a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from musicllm.errors import InputError, NotAvailableError
from musicllm.synthesis.kind import Rejected

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL | re.IGNORECASE)
_BEGINS = re.compile(r"[{\[]")

Check = Callable[[Any], Rejected | None]
"""Returns why a value does not fit; None where it does."""


def json_in(answer: str) -> Any:
    """Return the JSON object or list in an answer, or `Rejected`.

    It may be the whole answer, stand in a fence of Markdown, or in the middle of other words; of
    several the first counts.
    """
    fence = _FENCE.search(answer)
    text = (fence.group(1) if fence else answer).strip()
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    problem = "it has neither { nor ["
    for begin in _BEGINS.finditer(text):
        try:
            return decoder.raw_decode(text, begin.start())[0]
        except ValueError as error:
            problem = str(error)
        except RecursionError:
            problem = "it is nested too deep"
        break
    return Rejected("is no JSON", problem)


def schema_check(path: Path) -> Check:
    """Return a check by a JSON Schema file.

    Raises:
        InputError: the file cannot be read or is no JSON Schema.
        NotAvailableError: the package jsonschema is not installed.
    """
    try:
        import jsonschema
    except ImportError:
        raise NotAvailableError(
            "synthesis.json_schema needs jsonschema: pip install 'musicllm[synthesis]'"
        ) from None
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
    except (OSError, ValueError) as error:
        raise InputError(f"synthesis.json_schema={path} cannot be read: {error}") from None
    except jsonschema.SchemaError as error:
        raise InputError(
            f"synthesis.json_schema={path} is no JSON Schema: {error.message}"
        ) from None
    validator = kind(schema)

    def check(value: Any) -> Rejected | None:
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error is None:
            return None
        return Rejected("does not fit the JSON schema", f"{error.json_path}: {error.message}")

    return check


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
