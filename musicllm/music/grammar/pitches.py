"""Pitches, for the rules that ask for them: the range, and the share of notes foreign to the key.

Accidentals and ties are followed as the parser does: an accidental applies to its letter in every
octave until the bar line, a tie carries it over. A note counts as foreign when it is not in the
scale of the key in force; in minor keys the raised sixth and seventh belong to it, as in
`analysis.key_fit`. At every note the share so far stays within the limit.
"""

from __future__ import annotations

from typing import NamedTuple

from musicllm.music.abc.keys import LETTERS, NATURALS, Key, height_of, letter_at, place_of
from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.lengths import MAX_OCTAVES

_ALTER = {"": None, "=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}
UNHEARD, RESTED = -2, -1
MIDDLE = 71
"""The pitch near which a tune is ended, as MIDI number."""


class Ear(NamedTuple):
    """What has been heard.

    Attributes:
        signature: alteration of C, D, E, F, G, A, B by the key.
        scale: pitch classes of the key.
        accidentals: alteration of each letter by accidentals of this bar; None without.
        tied: height of a natural note -> alteration that a tie carries over.
        altered: the same for the note in progress, should a tie follow it.
        alter: written accidental of the note in progress; None without.
        letter: of that note.
        num_notes: notes so far.
        num_foreign: of them, those outside the scale.
        first: the first pitch of this bar, `RESTED` for a rest, `UNHEARD` before it.
        barred: what it must not be.
    """

    signature: tuple[int, ...]
    scale: frozenset[int]
    accidentals: tuple[int | None, ...] = (None,) * 7
    tied: tuple[tuple[int, int], ...] = ()
    altered: tuple[tuple[int, int], ...] = ()
    alter: int | None = None
    letter: str = "C"
    num_notes: int = 0
    num_foreign: int = 0
    first: int = UNHEARD
    barred: frozenset[int] = frozenset()


def scale_of(key: Key) -> frozenset[int]:
    """Return the pitch classes of a key, with the raised sixth and seventh in minor."""
    scale = {(natural + alter) % 12 for natural, alter in zip(NATURALS, key.signature, strict=True)}
    tonic = key.tonic_pitch_class
    if key.mode == "minor" and tonic is not None:
        scale |= {(tonic + 9) % 12, (tonic + 11) % 12}
    return frozenset(scale)


class Pitches:
    """The rules about pitches; stores what it hears in `Cursor.pitch`.

    Args:
        lowest: MIDI number.
        highest: MIDI number.
        max_foreign_share: of the notes.
    """

    def __init__(self, lowest: int, highest: int, max_foreign_share: float) -> None:
        self.lowest, self.highest = lowest, highest
        self.max_foreign_share = max_foreign_share

    def start(self, c: Cursor, key: Key) -> None:
        """Start a tune in a key."""
        c.pitch = Ear(key.signature, scale_of(key))

    def change_key(self, c: Cursor, key: Key) -> None:
        """Change the key."""
        c.pitch = c.pitch._replace(signature=key.signature, scale=scale_of(key))

    def letter(self, c: Cursor, sign: str, letter: str) -> bool:
        """Start a note; return whether it may stand in some octave."""
        c.pitch = c.pitch._replace(alter=_ALTER[sign], letter=letter)
        return self.octave(c, "") or self.octave(c, "," if letter.isupper() else "'")

    def octave(self, c: Cursor, marks: str) -> bool:
        """Return whether the note may stand with these octave marks, or more of them."""
        more = range(MAX_OCTAVES - len(marks) + 1) if marks else (0,)
        return any(self._fits(c.pitch, marks + marks[:1] * num) for num in more)

    def _fits(self, ear: Ear, marks: str) -> bool:
        height, alter = _heard(ear, marks)
        if not self.lowest <= height + alter <= self.highest:
            return False
        if ear.first == UNHEARD and height + alter in ear.barred:
            return False
        foreign = (height + alter) % 12 not in ear.scale
        most = self.max_foreign_share * (ear.num_notes + 1)
        return not foreign or ear.num_foreign + 1 <= most

    def sound(self, c: Cursor, marks: str) -> bool:
        """Hear the note with these octave marks; return whether it may stand."""
        ear = c.pitch
        if not self._fits(ear, marks):
            return False
        height, alter = _heard(ear, marks)
        step = LETTERS.index(ear.letter.upper())
        if ear.alter is not None:
            before, after = ear.accidentals[:step], ear.accidentals[step + 1 :]
            ear = ear._replace(accidentals=(*before, ear.alter, *after))
        if alter != ear.signature[step]:
            ear = ear._replace(altered=(*ear.altered, (height, alter)))
        foreign = (height + alter) % 12 not in ear.scale
        c.pitch = ear._replace(
            num_notes=ear.num_notes + 1,
            num_foreign=ear.num_foreign + foreign,
            alter=None,
            first=height + alter if ear.first == UNHEARD else ear.first,
        )
        return True

    def begin(self, c: Cursor) -> None:
        """Start a note or chord."""
        c.pitch = c.pitch._replace(altered=())

    def rest(self, c: Cursor) -> bool:
        """Start a rest; return whether it may stand."""
        ear = c.pitch
        if ear.first != UNHEARD:
            c.pitch = ear._replace(altered=())
            return True
        c.pitch = ear._replace(altered=(), first=RESTED)
        return RESTED not in ear.barred

    def end(self, c: Cursor) -> None:
        """End it."""
        c.pitch = c.pitch._replace(tied=())

    def tie(self, c: Cursor) -> None:
        """Tie the note or chord before."""
        c.pitch = c.pitch._replace(tied=c.pitch.altered)

    def bar(self, c: Cursor) -> None:
        """End a bar."""
        c.pitch = c.pitch._replace(accidentals=(None,) * 7, first=UNHEARD)

    def candidates(self) -> tuple[str, ...]:
        """Return notes in the range; in any key and bar one of them may stand."""
        places = [place for place in range(-21, 28) if self.lowest <= height_of(place) - 1]
        places = [place for place in places if height_of(place) + 1 <= self.highest]
        places.sort(key=lambda place: abs(height_of(place) - MIDDLE))
        texts = [letter_at(place) for place in places]
        return tuple(sign + text for sign in ("", "=", "^", "_") for text in texts)


def _heard(ear: Ear, marks: str) -> tuple[int, int]:
    """Return the height of a natural note, and its alteration."""
    height = height_of(place_of(ear.letter, marks))
    if ear.alter is not None:
        return height, ear.alter
    for tied, alter in ear.tied:
        if tied == height:
            return height, alter
    step = LETTERS.index(ear.letter.upper())
    accidental = ear.accidentals[step]
    return height, ear.signature[step] if accidental is None else accidental
