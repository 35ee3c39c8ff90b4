"""How a text is written as the value of a setting, in a command and in a shell.

Two programs read a word before it is a value: the shell takes quotes and backslashes away, and
Hydra's grammar reads what is left, in which letters outside ASCII and `( ) [ ] { } , = ' "`
need quotes of their own. Every value that the program passes on or shows goes through here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.{1,2}/)[\w./:+@%-]*", re.ASCII)
"""What Hydra reads as a text without quotes."""

_OTHER_TYPES = ("null", "true", "false", "nan", "inf")
"""Words that Hydra, in whatever case, reads as something else than a text."""

_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)


def quoted(text: str) -> str:
    r"""Return a text as Hydra's grammar writes it: `runs` as it is, `läufe` as `'läufe'`.

    `${` would refer to another setting, so it is written `\${`; backslashes count only before
    that and before a quote (Hydra 1.3, "Basic override syntax"; OmegaConf 2.3, "Escaping").
    """
    return literal(re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text))


def literal(text: str) -> str:
    """Return a text as Hydra's grammar writes it where nothing refers to other settings."""
    if _PLAIN.fullmatch(text) and text.lower() not in _OTHER_TYPES:
        return text
    text = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{text}'"


def unquoted(value: str) -> str:
    """Return the text of a value of a command that may stand in quotes."""
    if not _QUOTED.fullmatch(value):
        return value
    quote = value[0]
    inner = re.sub(rf"(\\*)\\({quote})", lambda m: m[1][::2] + m[2], value[1:-1])
    inner = re.sub(r"(\\+)\Z", lambda m: m[1][::2], inner)
    return re.sub(r"(\\*)\\\$\{", lambda m: m[1][::2] + "${", inner)


def word(key: str, value: object) -> str:
    """Return `key=value` as an argument of the command."""
    return f"{key}={quoted(str(value))}"


def words(key: str, values: Iterable[object]) -> str:
    """Return `key=[value,...]` as an argument of the command."""
    return f"{key}=[{','.join(quoted(str(value)) for value in values)}]"


def in_shell(argument: str) -> str:
    """Return an argument of the command as it is typed in a shell; quotes go round the value."""
    if shlex.quote(argument) == argument:
        return argument
    key, equals, value = argument.partition("=")
    if not equals or shlex.quote(key) != key or "!" in value:
        return shlex.quote(argument)
    value = re.sub(r'\\(?=[\\"$`]|\Z)|["$`]', r"\\\g<0>", value)
    return f'{key}="{value}"'


def command(*arguments: str) -> str:
    """Return a whole command as it is typed in a shell."""
    return " ".join(["python -m musicllm", *map(in_shell, arguments)])


def shown(key: str, value: object) -> str:
    """Return `key=value` as it is typed in a shell."""
    return in_shell(word(key, value))
