"""Quotes values of settings for the command line and the shell.

Two parsers process an argument: the shell removes quotes and backslashes, and
Hydra's grammar parses the rest, where characters outside ASCII and `( ) [ ] { } , = ' "`
need quotes. Every value that the program passes on or prints in a command goes through here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.{1,2}/)[\w./:+@%-]*", re.ASCII)
"""What Hydra parses as a string without quotes."""

_OTHER_TYPES = ("null", "true", "false", "nan", "inf")
"""Words that Hydra, in any case, does not parse as a string."""

_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)


def quoted(text: str) -> str:
    r"""Quote a text for Hydra's grammar if needed: `runs` stays, `läufe` becomes `'läufe'`.

    `${` would be an interpolation, so it becomes `\${`; backslashes escape only before
    it and before a quote (Hydra 1.3, "Basic override syntax"; OmegaConf 2.3, "Escaping").
    """
    return literal(re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text))


def literal(text: str) -> str:
    """Quote a text for Hydra's grammar where interpolations are not resolved."""
    if _PLAIN.fullmatch(text) and text.lower() not in _OTHER_TYPES:
        return text
    text = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{text}'"


def unquoted(value: str) -> str:
    """Return the text of a command-line value that may be quoted."""
    if not _QUOTED.fullmatch(value):
        return value
    quote = value[0]
    inner = re.sub(rf"(\\*)\\({quote})", lambda m: m[1][::2] + m[2], value[1:-1])
    inner = re.sub(r"(\\+)\Z", lambda m: m[1][::2], inner)
    return re.sub(r"(\\*)\\\$\{", lambda m: m[1][::2] + "${", inner)


def argument(key: str, value: object) -> str:
    """Return the command-line argument `key=value`."""
    return f"{key}={quoted(str(value))}"


def list_argument(key: str, values: Iterable[object]) -> str:
    """Return the command-line argument `key=[value,...]`."""
    return f"{key}=[{','.join(quoted(str(value)) for value in values)}]"


def in_shell(argument: str) -> str:
    """Quote an argument for the shell, with the quotes around its value."""
    if shlex.quote(argument) == argument:
        return argument
    key, equals, value = argument.partition("=")
    if not equals or shlex.quote(key) != key or "!" in value:
        return shlex.quote(argument)
    value = re.sub(r'\\(?=[\\"$`]|\Z)|["$`]', r"\\\g<0>", value)
    return f'{key}="{value}"'


def command(*arguments: str) -> str:
    """Return a command as typed in a shell."""
    return " ".join(["python -m musicllm", *map(in_shell, arguments)])


def typed(key: str, value: object) -> str:
    """Return `key=value` as typed in a shell."""
    return in_shell(argument(key, value))
