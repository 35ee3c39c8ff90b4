"""What note tokens mean under one key and one unit length, remembered.

A tune repeats itself and tunes resemble each other, so the meaning of a token, and the notes of a
whole bar, are worked out once per key and unit length. Time is counted in integer ticks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from musicllm.music.abc.keys import Key, height_of, place_of
from musicllm.music.abc.limits import AbcError, Limits, shorten
from musicllm.music.abc.model import Note
from musicllm.music.abc.rhythm import TICKS, read_length
from musicllm.music.abc.tokens import CHORD, NOTE, bare_chord

_MAX_REMEMBERED = 50_000
_ALTER = {"": None, "=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}

Head = tuple[int, int, int | None]
"""Step 0 to 6 from C, MIDI number without accidental, written accidental."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One note, chord or rest token.

    Attributes:
        heads: its letters; none for a rest.
        ticks: its length before tuplets and broken rhythm.
        tie: a `-` follows it.
        note: what it is while nothing but the key matters; None when more does.
    """

    heads: tuple[Head, ...]
    ticks: int
    tie: bool
    note: Note | None


@dataclass(slots=True)
class Phrase:
    """The notes of a bar's text, when nothing before or after the bar matters to them."""

    notes: tuple[Note, ...]
    ticks: int


@dataclass(slots=True)
class Reader:
    """The memory for one key, unit length and kind of metre.

    Attributes:
        key: signature that notes without accidental follow.
        unit: ticks of a note without a number.
        compound: metre in which `(5`, `(7` and `(9` mean 3 beats' worth.
        limits: what to refuse.
        semitones: how far notes sound from where they are written.
        atoms: token -> its meaning.
        phrases: text of a bar -> its notes.
        silent: tokens that are checked and change nothing, such as slurs and grace notes.
    """

    key: Key
    unit: int
    compound: bool
    limits: Limits
    semitones: int = 0
    atoms: dict[str, Atom] = field(default_factory=dict)
    phrases: dict[str, Phrase] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def atom(self, token: str) -> Atom:
        """Work out a token that starts as a note, rest or chord does.

        Raises:
            AbcError: it is none, or its length or octave is absurd.
        """
        atom = self._chord(token) if token[0] == "[" else self._note(token)
        if len(self.atoms) >= _MAX_REMEMBERED:
            self.atoms.clear()
        self.atoms[token] = atom
        return atom

    def remember(self, text: str, notes: tuple[Note, ...], ticks: int) -> None:
        """Keep the notes of a bar's text."""
        if len(self.phrases) >= _MAX_REMEMBERED:
            self.phrases.clear()
        self.phrases[text] = Phrase(notes, ticks)

    def ignore(self, token: str) -> None:
        """Remember that a token changes nothing."""
        if len(self.silent) >= _MAX_REMEMBERED:
            self.silent.clear()
        self.silent.add(token)

    def _note(self, token: str) -> Atom:
        found = NOTE.fullmatch(token)
        if found is None or found[1] not in _ALTER:
            raise AbcError(f'"{shorten(token)}" is no note')
        sign, letter, octave, length, tie = found.groups()
        ticks = self._ticks(length, self.unit, token)
        if letter in "zx":
            return rest(ticks)
        if len(octave) > self.limits.max_octave_marks:
            raise AbcError(
                f'"{shorten(token)}" has more than {self.limits.max_octave_marks} octave marks'
            )
        place = place_of(letter, octave)
        heads = ((place % 7, height_of(place), _ALTER[sign]),)
        return self._sounding(heads, ticks, bool(tie))

    def _chord(self, token: str) -> Atom:
        found = CHORD.fullmatch(token)
        if found is None:
            raise AbcError(f'"{shorten(token)}" is no chord')
        inner = [self._note(note[0]) for note in NOTE.finditer(bare_chord(found[1]))]
        if not inner:
            raise AbcError(f'chord "{shorten(token)}" has no notes')
        heads = tuple(head for atom in inner for head in atom.heads)
        tie = bool(found[3]) or any(atom.tie for atom in inner)
        return self._sounding(heads, self._ticks(found[2], inner[0].ticks, token), tie)

    def _sounding(self, heads: tuple[Head, ...], ticks: int, tie: bool) -> Atom:
        signature, semitones = self.key.signature, self.semitones
        pitches = tuple(height + signature[step] + semitones for step, height, _ in heads)
        is_written = any(accidental is not None for _, _, accidental in heads)
        is_plain = not is_written and 0 <= min(pitches) <= max(pitches) <= 127
        return Atom(heads, ticks, tie, make_note(pitches, ticks, None, tie) if is_plain else None)

    def _ticks(self, length: str, unit: int, token: str) -> int:
        """Multiply a unit by a note's length."""
        if not length:
            return unit
        try:
            multiple, divisor = read_length(length)
        except AbcError as error:
            raise AbcError(f'"{shorten(token)}" {error.reason}') from None
        ticks, rest = divmod(unit * multiple, divisor)
        if rest:
            raise AbcError(f'"{shorten(token)}" divides a note by {divisor}')
        if ticks > self.limits.max_note_wholes * TICKS:
            wholes = self.limits.max_note_wholes
            raise AbcError(f'"{shorten(token)}" is longer than {wholes} whole notes')
        return ticks


@lru_cache(maxsize=256)
def reader_for(
    key: Key, unit_length: Fraction, compound: bool, limits: Limits, semitones: int = 0
) -> Reader:
    """Return the shared memory for this key, unit length, kind of metre and shift."""
    return Reader(key, int(unit_length * TICKS), compound, limits, semitones)


@lru_cache(maxsize=65_536)
def make_note(pitches: tuple[int, ...], ticks: int, chord_symbol: str | None, tie: bool) -> Note:
    """Return the note; equal notes are one object."""
    return Note(pitches, duration_of(ticks), chord_symbol, tie)


def rest(ticks: int) -> Atom:
    """Return a rest."""
    return Atom((), ticks, False, make_note((), ticks, None, False))


@lru_cache(maxsize=65_536)
def duration_of(ticks: int) -> Fraction:
    """Return ticks as a fraction of a whole note."""
    return Fraction(ticks, TICKS)
