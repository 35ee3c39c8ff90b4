"""Chord qualities: what follows the root in a chord symbol, in any spelling, and written in one.

`chord_symbols` parses the whole symbol and lists what is not supported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_KIND = re.compile(
    r"(?P<major>(?i:major|maj)|ma(?!dd)|Ma(?!dd)|M|\^)|(?P<minor>(?i:minor|min)|mi|m|-(?!5))"
    r"|(?P<diminished>(?i:dim)|o(?!mit))|(?P<half_diminished>h)|(?P<augmented>(?i:aug)|\+(?!1)|\#5)|"
)
_MAJOR_SEVENTH = re.compile(
    r"/?(?:(?i:maj|major)|ma|Ma|M|\^)(?=[79]|1[13]|$)|/?\((?:(?i:maj)|ma|M|\^)7\)"
)
_SUSPENDED = re.compile(r"(?i:sus)(7|9|13)")
_SIZE = re.compile(r"69|6/9|6\(9\)|9/6|6(?i:add)9|dom7|13|11|9|7|6|5|")
_MORE = re.compile(
    r"\((?P<plain>13|11|9)\)|[,(]*(?:(?i:sus)(?P<suspended>[24]?)"
    r"|(?i:add)(?P<added>[b#]?(?:13|11|9|6|4|2))|(?i:no|omit)(?P<omitted>[135])(?:rd|st|th|d)?"
    r"|(?P<altered>[b#+-](?:13|11|9|5))|(?P<raised>(?i:aug))|(?P<every>(?i:alt))|(?P<major>M))[,)]*"
)
_THIRDS = {"": 4, "m": 3, "dim": 3, "sus2": 2, "sus4": 5}
_DEGREES = {"5": 7, "6": 9, "9": 2, "11": 5, "13": 9}
_EXTENSIONS = {"6": "6", "69": "6 9", "9": "9", "11": "9 11", "13": "9 13"}
_ALTERATIONS = ("b5", "#5", "b9", "#9", "#11", "b13")
_SEVENTHS = frozenset({"7", "9", "11", "13"})


class Quality(NamedTuple):
    """The kind of a chord.

    Attributes:
        name: what follows the root, in the canonical spelling, such as `m7b5`.
        steps: sounding semitones above the root.
    """

    name: str
    steps: frozenset[int]


def read_quality(text: str) -> Quality | None:
    """Parse what follows a root; None if it is not a quality, or ambiguous."""
    text = _SUSPENDED.sub(r"\1sus4", text)
    kind = _KIND.match(text)
    assert kind is not None, "the pattern matches the empty text too"
    rest = text[kind.end() :]
    parts = _Parts(_STARTS[kind.lastgroup])
    is_triangle = kind[0] == "^"
    if kind.lastgroup == "minor" and (seventh := _MAJOR_SEVENTH.match(rest)):
        is_triangle = True
        rest = rest[seventh.end() :]
    size = _SIZE.match(rest)
    assert size is not None, "the pattern matches the empty text too"
    rest = rest[size.end() :]
    parts.size = "69" if {"6", "9"} <= set(size[0]) else size[0].removeprefix("dom")
    if is_triangle and not parts.size:
        parts.size = "7"
    has_major = is_triangle or kind.lastgroup == "major"
    parts.has_major_seventh = has_major and parts.size in _SEVENTHS
    if kind.lastgroup == "half_diminished":
        parts.size = parts.size or "7"
    if kind.lastgroup in ("half_diminished", "augmented"):
        parts.altered.add("b5" if kind.lastgroup == "half_diminished" else "#5")
    return parts.read(rest)


_STARTS = {None: "", "major": "", "minor": "m", "diminished": "dim"}
_STARTS |= {"half_diminished": "m", "augmented": ""}


@dataclass
class _Parts:
    """The parts of a chord while its symbol is parsed."""

    third: str
    size: str = ""
    has_major_seventh: bool = False
    altered: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    omitted: set[str] = field(default_factory=set)
    is_altered_dominant: bool = False

    def read(self, rest: str) -> Quality | None:
        """Parse what follows the size of the chord; None if it contradicts the rest."""
        if rest.count("(") != rest.count(")"):
            return None
        while rest:
            match = _MORE.match(rest)
            if match is None or not _TAKE[match.lastgroup or ""](self, match[match.lastgroup or 0]):
                return None
            rest = rest[match.end() :]
        if self.is_altered_dominant:
            return Quality("7alt", frozenset({0, 1, 3, 4, 6, 8, 10})) if self._is_plain() else None
        if self.size == "5":
            self.omitted.add("3")
            self.size = "" if self._is_plain() else "?"
        if self.size not in ("", "7") and (self.third == "dim" or self.size == "?"):
            return None
        self._join_added()
        name = self._name()
        name = f"({name})" if name[:1] in ("b", "#") else name  # a root would take the sign
        return Quality(name, frozenset(self._steps()))

    def suspend(self, degree: str) -> bool:
        """Replace the third by the second or the fourth."""
        if self.third != "":
            return False
        self.third = f"sus{degree or '4'}"
        return True

    def alter(self, text: str) -> bool:
        """Lower or raise a note; `+` and `-` do so only after a seventh."""
        altered = text.replace("+", "#").replace("-", "b")
        self.altered.add(altered)
        return altered in _ALTERATIONS and (text[0] in "b#" or self.size in _SEVENTHS)

    def add(self, degree: str) -> bool:
        """Add a note."""
        self.added.add({"2": "9", "4": "11"}.get(degree, degree))
        return True

    def extend(self, degree: str) -> bool:
        """Add a note that stands alone in brackets, which only seventh chords have."""
        return self.add(degree) and self.size in _SEVENTHS

    def omit(self, degree: str) -> bool:
        """Leave out a note."""
        self.omitted.add(degree)
        return True

    def alter_all(self, _: str) -> bool:
        """Make it the altered dominant."""
        self.is_altered_dominant = True
        return self.size in ("", "7")

    def make_major(self, _: str) -> bool:
        """Make the seventh a major one, as in `7M`."""
        is_new = self.size == "7" and not self.has_major_seventh and self.third in ("", "m")
        self.has_major_seventh = True
        return is_new

    def _is_plain(self) -> bool:
        return not (self.third or self.altered or self.added or self.has_major_seventh)

    def _join_added(self) -> None:
        """Merge added notes into the size where that has a name, such as `69`."""
        for size, degree, joined in (("", "6", "6"), ("6", "9", "69"), ("7", "9", "9")):
            if self.size == size and degree in self.added:
                self.added.remove(degree)
                self.size = joined

    def _name(self) -> str:
        altered = set(self.altered)
        head = self.third + ("maj" if self.has_major_seventh else "") + self.size
        if self.third.startswith("sus"):
            head = ("maj" if self.has_major_seventh else "") + self.size + self.third
        elif (head, altered) == ("m", {"b5"}):
            head, altered = "dim", set()
        elif head in ("", "7") and altered == {"#5"}:
            head, altered = f"aug{head}", set()
        elif head == "" and self.omitted == {"3"} and not (altered or self.added):
            return "5"
        signs = "".join(sign for sign in _ALTERATIONS if sign in altered)
        added = "".join(f"add{degree}" for degree in sorted(self.added))
        return head + signs + added + "".join(f"no{degree}" for degree in sorted(self.omitted))

    def _steps(self) -> set[int]:
        steps = {"1": {0}, "3": {_THIRDS[self.third]}, "5": {6 if self.third == "dim" else 7}}
        if self.size in _SEVENTHS:
            steps["7"] = {9 if self.third == "dim" else 10 + self.has_major_seventh}
        for degree in _EXTENSIONS.get(self.size, "").split():
            steps[degree] = {_DEGREES[degree]}
        for sign, degree in ((text[0], text[1:]) for text in self.altered):
            steps[degree] = steps.get(degree, set()) - {_DEGREES[degree]}
            steps[degree] |= {_DEGREES[degree] + (1 if sign == "#" else -1)}
        for text in self.added:
            degree = text.lstrip("b#")
            steps[f"add{text}"] = {_DEGREES[degree] + {"b": -1, "#": 1}.get(text[0], 0)}
        sounding = (steps[degree] for degree in steps.keys() - self.omitted)
        return set().union(*sounding)


_TAKE: Mapping[str, Callable[[_Parts, str], bool]] = {
    "plain": _Parts.extend,
    "suspended": _Parts.suspend,
    "added": _Parts.add,
    "omitted": _Parts.omit,
    "altered": _Parts.alter,
    "raised": lambda parts, _: parts.alter("#5"),
    "every": _Parts.alter_all,
    "major": _Parts.make_major,
}
"""Group of `_MORE` -> method that applies it and returns whether the chord is still valid."""
