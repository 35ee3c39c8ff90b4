"""Rules of a grammar, written once and printed in the notations of several engines.

`gbnf` is for llama.cpp and what is built on it, `lark` for llguidance and so for vLLM and SGLang,
`regex` for Python (rules without recursion). Sources: grammars/README.md of llama.cpp, whose names
have letters, digits and hyphens, and docs/syntax.md of llguidance, whose terminals are in capitals
and are matched greedily.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class Expr:
    """A part of a rule; `+` puts one after another, `|` leaves the choice."""

    def __add__(self, other: Expr | str) -> Expr:
        return Sequence((*_parts(self, Sequence), *_parts(_expr(other), Sequence)))

    def __radd__(self, other: str) -> Expr:
        return _expr(other) + self

    def __or__(self, other: Expr | str) -> Expr:
        return Choice((*_parts(self, Choice), *_parts(_expr(other), Choice)))

    def __ror__(self, other: str) -> Expr:
        return _expr(other) | self


@dataclass(frozen=True)
class Text(Expr):
    """These characters."""

    text: str


@dataclass(frozen=True)
class Chars(Expr):
    """One character of a set: single ones, and ranges such as `A-G`."""

    members: tuple[str, ...]
    is_negated: bool


@dataclass(frozen=True)
class Rule(Expr):
    """What the rule of this name matches."""

    name: str


@dataclass(frozen=True)
class Sequence(Expr):
    """One after another."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True)
class Choice(Expr):
    """One of these."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True)
class Repeated(Expr):
    """As often as `sign` says: `?`, `*` or `+`."""

    part: Expr
    sign: str


def chars(*members: str) -> Expr:
    """Return one of these characters."""
    return Chars(members, is_negated=False)


def no_chars(*members: str) -> Expr:
    """Return any character but these."""
    return Chars(members, is_negated=True)


def either(*texts: str) -> Expr:
    """Return one of these texts."""
    return Choice(tuple(map(Text, texts)))


def maybe(part: Expr | str) -> Expr:
    """Return something or nothing."""
    return Repeated(_expr(part), "?")


def some(part: Expr | str) -> Expr:
    """Return something, as often as one likes."""
    return Repeated(_expr(part), "*")


def many(part: Expr | str) -> Expr:
    """Return something at least once."""
    return Repeated(_expr(part), "+")


def up_to(most: int, part: Expr | str) -> Expr:
    """Return something once to `most` times."""
    return _expr(part) if most == 1 else _expr(part) + maybe(up_to(most - 1, part))


def _expr(value: Expr | str) -> Expr:
    return Text(value) if isinstance(value, str) else value


def _parts(value: Expr, kind: type[Sequence] | type[Choice]) -> tuple[Expr, ...]:
    return value.parts if isinstance(value, kind) else (value,)


@dataclass(frozen=True)
class _Notation:
    """How an engine writes what is not an operator.

    Attributes:
        text: quotes characters.
        chars: writes a set.
        rule: writes a reference.
        blank: stands between the parts of a sequence.
        group: opens a group.
    """

    text: Callable[[str], str]
    chars: Callable[[Chars], str]
    rule: Callable[[str], str]
    blank: str = " "
    group: str = "("

    def write(self, expr: Expr, *, in_sequence: bool = False) -> str:
        """Return an expression in this notation."""
        if isinstance(expr, Text):
            return self.text(expr.text)
        if isinstance(expr, Chars):
            return self.chars(expr)
        if isinstance(expr, Rule):
            return self.rule(expr.name)
        if isinstance(expr, Sequence):
            return self.blank.join(self.write(part, in_sequence=True) for part in expr.parts)
        if isinstance(expr, Choice):
            bar = f"{self.blank}|{self.blank}"
            choice = bar.join(self.write(part) for part in expr.parts)
            return f"{self.group}{choice})" if in_sequence else choice
        assert isinstance(expr, Repeated), f"{expr} is no expression"
        inner = self.write(expr.part, in_sequence=True)
        is_one = isinstance(expr.part, Chars | Rule | Choice)
        return (inner if is_one else f"{self.group}{inner})") + expr.sign


def gbnf(rules: Mapping[str, Expr], start: str) -> str:
    """Return rules in the notation of llama.cpp; they begin at `root`.

    Args:
        rules: name -> rule; names have small letters and hyphens.
        start: rule that the whole text has to match.
    """
    notation = _Notation(json.dumps, _set(r"\]" + '"', "[", "]"), str)
    lines = [f"{name} ::= {notation.write(rule)}" for name, rule in rules.items()]
    return "\n".join([f"root ::= {start}", *lines]) + "\n"


def lark(tokens: Mapping[str, Expr], rules: Mapping[str, Expr], start: str) -> str:
    """Return rules in the Lark notation of llguidance; they begin at `start`.

    Args:
        tokens: rules that become terminals; they refer to each other only.
        rules: the others.
        start: rule that the whole text has to match.
    """

    def named(name: str) -> str:
        plain = name.replace("-", "_")
        return plain.upper() if name in tokens else plain

    notation = _Notation(json.dumps, _set(r"\]/^-", "/[", "]/"), named)
    every = {**rules, **tokens}
    lines = [f"{named(name)}: {notation.write(rule)}" for name, rule in every.items()]
    return "\n".join([f"start: {named(start)}", *lines]) + "\n"


def regex(rules: Mapping[str, Expr], start: str) -> re.Pattern[str]:
    """Return rules without recursion as a regular expression of Python."""

    def inlined(name: str) -> str:
        return f"(?:{notation.write(rules[name])})"

    notation = _Notation(re.escape, _set(r"\]^-", "[", "]"), inlined, blank="", group="(?:")
    return re.compile(inlined(start))


def _set(escaped: str, before: str, after: str) -> Callable[[Chars], str]:
    """Return a function that writes sets of characters, with these characters escaped."""

    def write(char: str) -> str:
        return "\\n" if char == "\n" else f"\\{char}" if char in escaped else char

    def write_set(expr: Chars) -> str:
        inner = "".join(
            f"{write(member[0])}-{write(member[2])}" if len(member) == 3 else write(member)
            for member in expr.members
        )
        return f"{before}{'^' if expr.is_negated else ''}{inner}{after}"

    return write_set
