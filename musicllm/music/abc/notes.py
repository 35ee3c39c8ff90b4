"""Parsed note tokens for one key and unit length, cached.

Tunes repeat themselves and resemble each other, so each token, and the notes of each
bar, are parsed once per key and unit length. Time is counted in integer ticks.
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

_MAX_CACHED = 50_000
_ALTER = {"": None, "=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}

Head = tuple[int, int, int | None]
"""Step 0 to 6 from C, MIDI number without accidental, written accidental."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One note, chord or rest token.

    Attributes:
        heads: its letters; empty for a rest.
        ticks: duration before tuplets and broken rhythm.
        tie: a `-` follows it.
        note: the note if only the key decides it; None if it has accidentals.
    """

    heads: tuple[Head, ...]
    ticks: int
    tie: bool
    note: Note | None


@dataclass(slots=True)
class CachedBar:
    """The notes of a bar that depends on nothing before it."""

    notes: tuple[Note, ...]
    ticks: int


@dataclass(slots=True)
class NoteCache:
    """The cache for one key, unit length and kind of metre.

    Attributes:
        key: signature that notes without accidental follow.
        unit: ticks of a note without a length.
        compound: in this metre `(5`, `(7` and `(9` take the time of 3 notes.
        limits: of note lengths and octaves.
        semitones: how far notes sound from the written pitch.
        atoms: token -> parsed note.
        bars: text of a bar -> its notes.
        silent: valid tokens without effect on the notes, such as slurs and grace notes.
    """

    key: Key
    unit: int
    compound: bool
    limits: Limits
    semitones: int = 0
    atoms: dict[str, Atom] = field(default_factory=dict)
    bars: dict[str, CachedBar] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def atom(self, token: str) -> Atom:
        """Parse a token that starts like a note, rest or chord.

        Raises:
            AbcError: it is not valid, or its length or octave is out of range.
        """
        atom = self._chord(token) if token[0] == "[" else self._note(token)
        if len(self.atoms) >= _MAX_CACHED:
            self.atoms.clear()
        self.atoms[token] = atom
        return atom

    def remember(self, text: str, notes: tuple[Note, ...], ticks: int) -> None:
        """Cache the notes of a bar's text."""
        if len(self.bars) >= _MAX_CACHED:
            self.bars.clear()
        self.bars[text] = CachedBar(notes, ticks)

    def ignore(self, token: str) -> None:
        """Cache a token as silent."""
        if len(self.silent) >= _MAX_CACHED:
            self.silent.clear()
        self.silent.add(token)

    def _note(self, token: str) -> Atom:
        match = NOTE.fullmatch(token)
        if match is None or match[1] not in _ALTER:
            raise AbcError(f'"{shorten(token)}" is no note')
        sign, letter, octave, length, tie = match.groups()
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
        match = CHORD.fullmatch(token)
        if match is None:
            raise AbcError(f'"{shorten(token)}" is no chord')
        inner = [self._note(note[0]) for note in NOTE.finditer(bare_chord(match[1]))]
        if not inner:
            raise AbcError(f'chord "{shorten(token)}" has no notes')
        heads = tuple(head for atom in inner for head in atom.heads)
        tie = bool(match[3]) or any(atom.tie for atom in inner)
        return self._sounding(heads, self._ticks(match[2], inner[0].ticks, token), tie)

    def _sounding(self, heads: tuple[Head, ...], ticks: int, tie: bool) -> Atom:
        signature, semitones = self.key.signature, self.semitones
        pitches = tuple(height + signature[step] + semitones for step, height, _ in heads)
        is_written = any(accidental is not None for _, _, accidental in heads)
        is_plain = not is_written and 0 <= min(pitches) <= max(pitches) <= 127
        return Atom(heads, ticks, tie, make_note(pitches, ticks, None, tie) if is_plain else None)

    def _ticks(self, length: str, unit: int, token: str) -> int:
        """Multiply a unit by the length of a note."""
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
def note_cache(
    key: Key, unit_length: Fraction, compound: bool, limits: Limits, semitones: int = 0
) -> NoteCache:
    """Return the shared cache for a key, unit length, kind of metre and shift."""
    return NoteCache(key, int(unit_length * TICKS), compound, limits, semitones)


@lru_cache(maxsize=65_536)
def make_note(pitches: tuple[int, ...], ticks: int, chord_symbol: str | None, tie: bool) -> Note:
    """Return a note; equal notes share one object."""
    return Note(pitches, duration_of(ticks), chord_symbol, tie)


def rest(ticks: int) -> Atom:
    """Return a rest of this length."""
    return Atom((), ticks, False, make_note((), ticks, None, False))


@lru_cache(maxsize=65_536)
def duration_of(ticks: int) -> Fraction:
    """Return ticks as a fraction of a whole note."""
    return Fraction(ticks, TICKS)
