"""Clefs, `octave=` and `transpose=`: how far from the written pitch notes sound.

Follows ABC 2.1, section 4.6, as abc2midi and abcjs play it. A clef with `+8` or `-8` (`+15`, `-15`)
sounds one octave (two) higher or lower, a later clef without it as written again; `octave=` moves
by octaves and `transpose=` by semitones until they are set again; the three add up. `^8` and `_8`
after a clef and `middle=` change where notes are drawn, not how they sound. `score=` of the drafts
of ABC 2.2 changes neither; their `sound=`, `shift=` and `instrument=`, which do, are rejected.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from musicllm.music.abc.keys import CLEFS, Key, parse_key
from musicllm.music.abc.limits import AbcError, shorten

_PROPERTY = re.compile(
    rf"(?<!\S)(?:(octave|transpose|sound|shift|instrument)=(\S*)"
    rf"|(?:clef=)?(?:{CLEFS}|(?<=clef=)[GFCP])[1-5]?([+\-^_](?:8|15))?(?!\S))",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"[^"]*"')
_SIGNS = ("-8", "+8", "-15", "+15", "octave=", "transpose=", "sound=", "shift=", "instrument=")
_NUMBER = re.compile(r"[+-]?[0-9]{1,2}")
_MOST = {"octave": 4, "transpose": 48}


class Shift(NamedTuple):
    """How far the notes of a voice sound from the written pitch.

    Attributes:
        clef: octaves from its clef.
        octave: octaves from `octave=`.
        semitones: from `transpose=`.
    """

    clef: int = 0
    octave: int = 0
    semitones: int = 0

    @property
    def total(self) -> int:
        """The sum in semitones."""
        return 12 * (self.clef + self.octave) + self.semitones


NO_SHIFT = Shift()


def may_shift(text: str) -> bool:
    """Return whether a tune may have notes that do not sound as written; fast, never misses one."""
    return any(sign in text for sign in _SIGNS)


@lru_cache(maxsize=4096)
def read_shift(value: str, before: Shift = NO_SHIFT) -> Shift:
    """Return the shift in force after a `K:` field, or after the properties of a `V:` field.

    Raises:
        AbcError: `octave=` or `transpose=` is not a number, or out of range; or a property is not
            supported.
    """
    shift = before
    for name, number, octave in _PROPERTY.findall(_QUOTED.sub('""', value)):
        if not name:
            octaves = {"8": 1, "15": 2}.get(octave[1:], 0)
            shift = shift._replace(clef={"+": octaves, "-": -octaves}.get(octave[:1], 0))
        elif name.lower() == "octave":
            shift = shift._replace(octave=_number("octave", number))
        elif name.lower() == "transpose":
            shift = shift._replace(semitones=_number("transpose", number))
        else:
            raise AbcError(f'"{name}=" of a draft of ABC 2.2 is not supported; use "transpose="')
    return shift


def voice_shift(value: str, before: Shift) -> Shift:
    """Return the shift in force after a `V:` field: a name and properties."""
    _, _, properties = value.strip().partition(" ")
    return read_shift(properties, before) if properties else before


def _number(name: str, text: str) -> int:
    most = _MOST[name]
    if not _NUMBER.fullmatch(text) or abs(int(text)) > most:
        raise AbcError(f'"{name}={shorten(text)}" is no number from -{most} to {most}')
    return int(text)


class Staves:
    """Key and shift of each voice while a tune is written.

    Args:
        key: of the tune's `K:` field.
        shift: of that field, for every voice.
        declared: voice -> its shift in the header.
    """

    def __init__(self, key: Key, shift: Shift, declared: dict[str, Shift]) -> None:
        self.key = key
        self._new = (key, shift)
        self._voices = {name: (key, declared[name]) for name in declared}
        self._name = "1"
        self._marked: dict[str, tuple[Key, int]] = {}

    def apply(self, letter: str, value: str) -> None:
        """Apply a `K:` or `V:` field of the body."""
        if letter == "V":
            self._name = value.split(maxsplit=1)[0]
        key, shift = self._voices.get(self._name, self._new)
        if letter == "V":
            shift = voice_shift(value, shift)
        else:
            key, shift = parse_key(value, key), read_shift(value, shift)
        self._voices[self._name] = (key, shift)

    def markers(self, voice: str) -> list[str]:
        """Return a field with the current key and shift, or none if this voice has it already."""
        key, shift = self._voices.get(self._name, self._new)
        if self._marked.get(voice) == (key, shift.total):
            return []
        self._marked[voice] = (key, shift.total)
        return [f"[K:{key.name} transpose={shift.total}]"]
