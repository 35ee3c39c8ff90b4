"""A voice as it is written: the notes of the parser with letters, tuplets and slurs of the text.

The parser gives what sounds (MIDI numbers and durations); a score also needs how it is spelled. The
tokens of each bar are therefore walked beside its parsed notes. Pitch and duration are always the
parser's. Annotations, lyrics and most decorations are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from musicllm.music.abc import DEFAULT_LIMITS, AbcError, Bar, Key, Note, Score, parse_key
from musicllm.music.abc.keys import LETTERS, height_of, place_of
from musicllm.music.abc.rhythm import read_tuplet
from musicllm.music.abc.source import parse_metre, read_source
from musicllm.music.abc.tokens import CHORD, GRACE, NOTE, SPACED_TOKEN, bare_chord

_NOTE_STARTS = frozenset("^_=ABCDEFGabcdefgzx")
_INLINE = re.compile(r"\[([A-Za-z]):\s*([^\]]*)\]")
_ALTER = {"^": 1, "_": -1, "=": 0}
_METRE_NAME = re.compile(r"([0-9]+)/([0-9]+)")


@dataclass(frozen=True)
class Pitch:
    """A pitch as it is written.

    Attributes:
        step: letter C to B.
        alter: semitones, -2 to 2.
        octave: 4 starts at middle C.
        is_marked: an accidental stands before it.
    """

    step: str
    alter: int
    octave: int
    is_marked: bool = False


@dataclass
class WrittenNote:
    """A note, chord or rest as it is written.

    Attributes:
        note: the parser's.
        pitches: its spelling, in the order of `note.pitches`; empty for a rest.
        tuplet: p and q of `(p:q:r`: p notes in the time of q; (1, 1) outside of tuplets.
        tuplet_starts: first note of its tuplet.
        tuplet_stops: last note of its tuplet.
        joined: no blank stands before it, so it shares a beam with the note before.
        hidden: a rest that is not drawn (`x`).
        grace: grace notes before it.
        slur_starts: number of slurs that begin at it.
        slur_stops: number of slurs that end at it.
        decorations: names such as `fermata` and single letters such as `.`.
        key: key from this note on, if it changes within the bar.
    """

    note: Note
    pitches: tuple[Pitch, ...] = ()
    tuplet: tuple[int, int] = (1, 1)
    tuplet_starts: bool = False
    tuplet_stops: bool = False
    joined: bool = False
    hidden: bool = False
    grace: tuple[Pitch, ...] = ()
    slur_starts: int = 0
    slur_stops: int = 0
    decorations: tuple[str, ...] = ()
    key: Key | None = None


@dataclass(frozen=True)
class WrittenBar:
    """A bar as it is written.

    Attributes:
        bar: the parser's.
        notes: one for each of `bar.notes`.
        metre: beats and unit, such as (6, 8); None in free metre.
    """

    bar: Bar
    notes: tuple[WrittenNote, ...]
    metre: tuple[int, int] | None


def written(score: Score, voice: str) -> list[WrittenBar]:
    """Return the bars of a voice as they are written.

    Raises:
        AbcError: the text of a bar has other notes than the parser read, as when a voice changes
            within it, or its notes do not sound as written (clefs with octaves, `transpose=`).
    """
    walk = _Walk(score, voice)
    bars = [walk.bar(bar) for bar in score.voice(voice)]
    _drop_open_slurs([note for bar in bars for note in bar.notes])
    return bars


def _drop_open_slurs(notes: Sequence[WrittenNote]) -> None:
    """Drop slurs that never end, and ends of slurs that never began."""
    open_slurs: list[WrittenNote] = []
    for note in notes:
        note.slur_stops = min(note.slur_stops, len(open_slurs) + note.slur_starts)
        stops_here = note.slur_stops
        for _ in range(min(stops_here, len(open_slurs))):
            open_slurs.pop()
            stops_here -= 1
        note.slur_stops -= stops_here  # a slur of one note
        note.slur_starts -= stops_here
        open_slurs += [note] * note.slur_starts
    for note in open_slurs:
        note.slur_starts -= 1


@dataclass
class _Marks:
    """What stands before the next note."""

    grace: tuple[Pitch, ...] = ()
    slur_starts: int = 0
    decorations: list[str] = field(default_factory=list)
    blank: bool = True
    key: Key | None = None


class _Walk:
    """The state of one voice while its bars are walked."""

    def __init__(self, score: Score, voice: str) -> None:
        self.metre = score.metre_text
        self.key = score.key
        self.changes = _metre_lines(score, voice)
        self.tuplet: tuple[int, int, int, bool] | None = None

    def bar(self, bar: Bar) -> WrittenBar:
        """Walk one bar."""
        while self.changes and self.changes[0][0] <= bar.line:
            self.metre = self.changes.pop(0)[1]
        self.key = bar.key
        marks, name = _Marks(), self.metre
        notes: list[WrittenNote] = []
        for space, token in SPACED_TOKEN.findall(bar.text):
            marks.blank = marks.blank or bool(space)
            inline = _INLINE.fullmatch(token)
            if inline is not None:
                self._field(inline[1], inline[2], marks, in_music=bool(notes))
                name = name if notes else self.metre
            elif _is_note(token):
                if len(notes) == len(bar.notes):
                    raise _differs(bar)
                notes.append(self._note(token, bar.notes[len(notes)], marks))
                marks = _Marks(blank=False)
            elif token[0] == "(" and len(token) > 1:
                compound = parse_metre(self.metre)[2]
                self.tuplet = (*read_tuplet(token, compound, DEFAULT_LIMITS), True)
            elif token == ")" and notes:
                notes[-1].slur_stops += 1
            elif token[0] not in "<>-":
                self._mark(token, marks)
        if len(notes) != len(bar.notes):
            raise _differs(bar)
        return WrittenBar(bar, tuple(notes), _named_metre(name, bar.metre))

    def _field(self, letter: str, value: str, marks: _Marks, *, in_music: bool) -> None:
        if letter == "M":
            self.metre = parse_metre(value)[1]
        elif letter == "K":
            self.key = parse_key(value.strip(), self.key)
            marks.key = self.key if in_music else None

    def _mark(self, token: str, marks: _Marks) -> None:
        """Remember what belongs to the next note."""
        if token == "(":
            marks.slur_starts += 1
        elif token[0] == "{":
            marks.grace = _grace(token, self.key)
        elif token[0] in "!+" and len(token) > 2:
            marks.decorations.append(token[1:-1])
        elif token in (".", "~", "H", "L", "M", "P", "T", "u", "v"):
            marks.decorations.append(token)

    def _note(self, token: str, note: Note, marks: _Marks) -> WrittenNote:
        result = WrittenNote(
            note,
            _pitches(token, note),
            joined=not marks.blank,
            hidden=token[0] == "x",
            grace=marks.grace,
            slur_starts=marks.slur_starts,
            decorations=tuple(marks.decorations),
            key=marks.key,
        )
        if self.tuplet is None:
            return result
        p, q, remaining, is_first = self.tuplet
        self.tuplet = (p, q, remaining - 1, False) if remaining > 1 else None
        return replace(result, tuplet=(p, q), tuplet_starts=is_first, tuplet_stops=remaining == 1)


def _is_note(token: str) -> bool:
    """Return whether the parser reads a note, chord or rest from a token."""
    if token[0] in "ZX":
        return True
    return token[0] == "[" or (token[0] in _NOTE_STARTS and len(token.strip("^_=")) > 0)


def _pitches(token: str, note: Note) -> tuple[Pitch, ...]:
    """Return the spelling of a token's notes.

    Raises:
        AbcError: they cannot be spelled with the letters of the token.
    """
    if not note.pitches:
        return ()
    chord = CHORD.fullmatch(token) if token[0] == "[" else None
    heads = [
        match.groups()
        for match in NOTE.finditer(bare_chord(chord[1]) if chord else token)
        if match[2] not in "zx"
    ]
    spelled = tuple(
        _pitch(place_of(letter, marks), height, bool(sign))
        for (sign, letter, marks, _, _), height in zip(heads, note.pitches, strict=True)
    )
    if any(abs(pitch.alter) > 2 for pitch in spelled):
        raise AbcError(f'"{token}" does not sound as written')
    return spelled


def _pitch(place: int, height: int, is_marked: bool) -> Pitch:
    octave, step = divmod(place, 7)
    return Pitch(LETTERS[step], height - height_of(place), octave + 4, is_marked)


def _grace(token: str, key: Key) -> tuple[Pitch, ...]:
    """Return grace notes; their accidentals apply to themselves alone, as in the parser."""
    inner = GRACE.fullmatch(token)
    pitches: list[Pitch] = []
    for sign, letter, marks, _, _ in NOTE.findall(inner[1] if inner else ""):
        if letter in "zx":
            continue
        place = place_of(letter, marks)
        alter = _ALTER[sign[0]] * len(sign) if sign else key.signature[place % 7]
        pitches.append(_pitch(place, height_of(place) + alter, bool(sign)))
    return tuple(pitches)


def _metre_lines(score: Score, voice: str) -> list[tuple[int, str]]:
    """Return (line, metre) of the `M:` lines in the body that apply to a voice."""
    current = score.voices[0]
    changes = []
    for line in read_source(score.source, DEFAULT_LIMITS).body:
        if line.field == "V":
            current = line.text.split(maxsplit=1)[0]
        elif line.field == "M" and current == voice:
            changes.append((line.number, parse_metre(line.text)[1]))
    return changes


def _named_metre(name: str, length: Fraction | None) -> tuple[int, int] | None:
    """Return beats and unit of a bar: of the metre in force that has its length."""
    if length is None:
        return None
    for match in _METRE_NAME.finditer(name):
        if Fraction(int(match[1]), int(match[2])) == length:
            return int(match[1]), int(match[2])
    unit = max(4, length.denominator)
    return int(length * unit), unit


def _differs(bar: Bar) -> AbcError:
    return AbcError(
        "a bar changes its voice in the middle; begin each voice at a bar line", bar.line
    )


def shown_accidentals(bar: WrittenBar) -> Iterator[list[bool]]:
    """Yield for each note whether an accidental must be drawn before each of its pitches."""
    shown: dict[tuple[str, int], int] = {}
    key = bar.bar.key
    for note in bar.notes:
        key = note.key or key
        marks = []
        for pitch in note.pitches:
            place = (pitch.step, pitch.octave)
            before = shown.get(place, key.signature[LETTERS.index(pitch.step)])
            marks.append(pitch.is_marked or pitch.alter != before)
            shown[place] = pitch.alter
        yield marks
