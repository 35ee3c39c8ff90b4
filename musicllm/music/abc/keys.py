"""Keys: parsing `K:` fields, and writing them in the shortest spelling.

Follows the ABC 2.1 standard, section 3.1.14. Clefs and other properties of a staff in the field
are ignored here; `clefs` handles how they move the pitches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from musicllm.music.abc.limits import AbcError, shorten

LETTERS = "CDEFGAB"
NATURALS = (0, 2, 4, 5, 7, 9, 11)
"""Semitones of each letter above C."""
ALTERATIONS = {"": 0, "#": 1, "b": -1}
SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
"""ABC accidental of each alteration in semitones."""
SHARP_ORDER = tuple(LETTERS.index(letter) for letter in "FCGDAEB")
MODES = {
    "lydian": ("lyd", 1),
    "major": ("", 0),
    "mixolydian": ("mix", -1),
    "dorian": ("dor", -2),
    "minor": ("m", -3),
    "phrygian": ("phr", -4),
    "locrian": ("loc", -5),
}
"""Mode -> (suffix in ABC, number of sharps relative to the major key on the same tonic)."""

_MODE_WORDS = {
    **{mode[:3]: mode for mode in MODES},
    "": "major",
    "M": "major",
    "ion": "major",
    "m": "minor",
    "aeo": "minor",
}
_KEY = re.compile(
    r"([A-G])([#b]?)\s*((?i:maj|min|mix|dor|phr|lyd|loc|ion|aeo|exp)[A-Za-z]*|[mM](?![A-Za-z]))?(.*)"
)
_CHANGE = re.compile(r"(\^\^?|__?|=)([A-Ga-g])")
CLEFS = "treble|alto|tenor|bass|perc|none|auto|soprano|mezzosoprano|mezzo|baritone|subbass"
_STAFF = re.compile(
    r"(?<![\^_=\w])[a-z][\w-]+=(?:\"[^\"]*\"|\S+)"
    rf"|(?i:(?:{CLEFS})[0-9]?(?:[+\-^_](?:8|15))?)(?!\S)"
)


@dataclass(frozen=True)
class Key:
    """A key signature and its tonic.

    Attributes:
        tonic: letter and accidental, such as `F#`; empty for `K:none`.
        mode: a key of `MODES`, `highland` (pipes: `K:HP`) or `none`.
        signature: alteration (-2 to 2) of C, D, E, F, G, A, B.
    """

    tonic: str
    mode: str
    signature: tuple[int, ...]

    @cached_property
    def accidentals(self) -> dict[str, int]:
        """Alteration of each letter that the signature alters, such as `{"F": 1}`."""
        return {
            letter: alter for letter, alter in zip(LETTERS, self.signature, strict=True) if alter
        }

    @cached_property
    def tonic_pitch_class(self) -> int | None:
        """0 for C to 11 for B; None for `K:none`."""
        if not self.tonic:
            return None
        return (NATURALS[LETTERS.index(self.tonic[0])] + ALTERATIONS[self.tonic[1:]]) % 12

    @cached_property
    def name(self) -> str:
        """The key in canonical form: `C`, `Gm`, `Ador`, `F#m`, `D =c`, `none`."""
        if self.mode in ("none", "highland"):
            base, standard = ("HP", HIGHLAND) if self.mode == "highland" else ("none", NO_KEY)
        else:
            standard = standard_key(self.tonic, self.mode)
            base = self.tonic + MODES[self.mode][0]
        changes = [
            f" {SIGNS[alter]}{letter.lower()}"
            for letter, alter, usual in zip(
                LETTERS, self.signature, standard.signature, strict=True
            )
            if alter != usual
        ]
        return base + "".join(changes)


NO_KEY = Key("", "none", (0,) * 7)
HIGHLAND = Key("A", "highland", (1, 0, 0, 1, 0, 0, 0))


def height_of(place: int) -> int:
    """Return the MIDI number of the natural note at a place on the staff (0 is middle C)."""
    octave, step = divmod(place, 7)
    return 60 + 12 * octave + NATURALS[step]


def place_of(letter: str, marks: str) -> int:
    """Return the place on the staff of an ABC letter with octave marks; `C` is 0, `c` is 7."""
    octave = letter.islower() + marks.count("'") - marks.count(",")
    return 7 * octave + LETTERS.index(letter.upper())


def letter_at(place: int) -> str:
    """Return the ABC letter with octave marks at a place on the staff, in the shortest spelling."""
    octave, step = divmod(place, 7)
    if octave > 0:
        return LETTERS[step].lower() + "'" * (octave - 1)
    return LETTERS[step] + "," * -octave


def sharps_of(tonic: str, mode: str) -> int:
    """Return the number of sharps (negative: flats) in the signature of a key."""
    fifths = (0, 2, 4, -1, 1, 3, 5)[LETTERS.index(tonic[0])] + 7 * ALTERATIONS[tonic[1:]]
    return fifths + MODES[mode][1]


@lru_cache(maxsize=512)
def standard_key(tonic: str, mode: str) -> Key:
    """Return the key on `tonic` (such as `Bb`) in a mode of `MODES`.

    Raises:
        AbcError: its signature would need more than seven sharps or flats.
    """
    sharps = sharps_of(tonic, mode)
    if abs(sharps) > 7:
        raise AbcError(f"key {tonic} {mode} needs {abs(sharps)} accidentals; at most 7 exist")
    signature = [0] * 7
    for step in SHARP_ORDER[:sharps] if sharps >= 0 else SHARP_ORDER[sharps:]:
        signature[step] = 1 if sharps > 0 else -1
    return Key(tonic, mode, tuple(signature))


@lru_cache(maxsize=4096)
def names_key(value: str) -> bool:
    """Return whether a `K:` field names a key, and not only properties of the staff (`K:bass`)."""
    text = value.strip()
    return text.lower() == "none" or not text or bool(_STAFF.sub("", text).strip())


@lru_cache(maxsize=4096)
def parse_key(value: str, before: Key | None = None) -> Key:
    """Parse the value of a `K:` field.

    Args:
        value: of the field.
        before: key in force; a field with only a clef keeps it, and an empty field ends it.

    Raises:
        AbcError: it names no key, and none is in force.
    """
    if before is not None and not value.strip():
        return NO_KEY
    if before is not None and not names_key(value):
        return before
    text = value.strip().replace("♯", "#").replace("♭", "b")
    word = text.split(" ")[0]
    if word in ("HP", "Hp"):
        return _changed(HIGHLAND, text[2:], value)
    if word.lower() == "none":
        return _changed(NO_KEY, text[4:], value)
    match = _KEY.fullmatch(text)
    if match is None:
        raise AbcError(f'"K:{shorten(value)}" names no key')
    letter, accidental, mode_word, rest = match.groups()
    mode_word = mode_word or ""
    if mode_word.lower().startswith("exp"):
        return _changed(Key(letter + accidental, "major", (0,) * 7), rest, value)
    mode = _MODE_WORDS[mode_word if len(mode_word) == 1 else mode_word[:3].lower()]
    return _changed(standard_key(letter + accidental, mode), rest, value)


def _changed(key: Key, rest: str, value: str) -> Key:
    """Apply the explicit accidentals in the rest of a `K:` field."""
    signature = list(key.signature)
    changes = _STAFF.sub("", rest)
    for sign, letter in _CHANGE.findall(changes):
        alter = {"=": 0, "^": 1, "_": -1}[sign[0]] * len(sign)
        signature[LETTERS.index(letter.upper())] = alter
    unknown = _CHANGE.sub("", changes).strip()
    if unknown:
        raise AbcError(f'"K:{shorten(value)}" names no key: "{shorten(unknown)}" is unknown')
    return Key(key.tonic, key.mode, tuple(signature))
