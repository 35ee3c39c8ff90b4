"""The state of one voice during parsing: what is in force, and the bar in progress.

Accidentals apply to their letter in every octave until the bar line (the default of ABC 2.1,
section 11.3); a tie carries them over the bar line to a note without its own. Accidentals of grace
notes apply to the grace notes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from musicllm.music.abc.clefs import NO_SHIFT, Shift
from musicllm.music.abc.keys import Key
from musicllm.music.abc.limits import AbcError, Limits
from musicllm.music.abc.model import Bar, Note
from musicllm.music.abc.mover import move_key
from musicllm.music.abc.notes import Atom, NoteCache, duration_of, make_note, note_cache
from musicllm.music.abc.rhythm import scaled
from musicllm.music.abc.tokens import BarLine

_MAX_PART_CHARS = 40


@dataclass(slots=True)
class PendingNote:
    """A note whose duration may still change."""

    pitches: tuple[int, ...]
    ticks: int
    chord_symbol: str | None
    tie: bool


@dataclass(slots=True)
class Voice:
    """One voice in progress."""

    name: str
    key: Key
    unit_length: Fraction
    metre: Fraction | None
    compound: bool
    limits: Limits
    shift: Shift = NO_SHIFT
    metres: tuple[Fraction, ...] = ()
    start: int = 0
    sounding_key: Key = field(init=False)
    cache: NoteCache = field(init=False)
    began: tuple[Fraction | None, Key] = field(init=False)
    pending: list[PendingNote] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    ticks: int = 0
    text: str = ""
    line: int = 0
    accidentals: dict[int, int] = field(default_factory=dict)
    altered: dict[int, int] = field(default_factory=dict)
    tied: dict[int, int] = field(default_factory=dict)
    chord_symbol: str | None = None
    broken: tuple[int, int] | None = None
    tuplet: tuple[int, int, int] | None = None
    opened: BarLine | None = None
    last_bar: int = -1
    part: str = ""
    part_of_bar: str = ""

    def __post_init__(self) -> None:
        self.retune()

    def retune(self) -> None:
        """Apply a change of key, unit length, metre or shift."""
        semitones = self.shift.total
        self.cache = note_cache(self.key, self.unit_length, self.compound, self.limits, semitones)
        self.sounding_key = move_key(self.key, semitones)[0] if semitones else self.key
        if not self.notes and not self.pending:
            self.began = (self.metre, self.sounding_key)
            if self.last_bar < 0:
                self.start = semitones

    def mark(self, part: str) -> None:
        """Start a section with this bar, or with the next if this one has notes."""
        if self.notes or self.pending:
            self.part = part[:_MAX_PART_CHARS]
        else:
            self.part_of_bar = part[:_MAX_PART_CHARS]

    @property
    def is_plain(self) -> bool:
        """Nothing before them affects the notes that follow."""
        return not (
            self.accidentals or self.tied or self.chord_symbol or self.broken or self.tuplet
        )

    def plain_notes(self, tokens: list[str]) -> tuple[tuple[Note, ...], int]:
        """Return the notes and ticks of tokens that depend only on the key; else none."""
        if not self.is_plain or self.pending:
            return (), 0
        cached, silent = self.cache.atoms, self.cache.silent
        atoms = [cached.get(token) for token in tokens if token not in silent]
        notes = tuple([atom.note for atom in atoms if atom and atom.note])
        if len(notes) < len(atoms):
            return (), 0
        self.altered = {}
        return notes, sum([atom.ticks for atom in atoms if atom])  # noqa: C419 - a list is quicker

    def add(self, atom: Atom) -> None:
        """Append a note, chord or rest to the bar.

        Raises:
            AbcError: it is outside MIDI's range or too short to count.
        """
        ticks = atom.ticks
        if self.broken:
            ticks = scaled(ticks, *self.broken)
            self.broken = None
        if self.tuplet:
            p, q, remaining = self.tuplet
            ticks = scaled(ticks, q, p)
            self.tuplet = (p, q, remaining - 1) if remaining > 1 else None
        self.pending.append(PendingNote(self._sound(atom), ticks, self.chord_symbol, atom.tie))
        self.chord_symbol = None

    def _sound(self, atom: Atom) -> tuple[int, ...]:
        if atom.note is not None and not self.accidentals and not self.tied:
            self.altered = {}
            return atom.note.pitches
        signature, semitones = self.cache.key.signature, self.cache.semitones
        accidentals, tied = self.accidentals, self.tied
        sounding: list[int] = []
        altered: dict[int, int] = {}
        for step, height, accidental in atom.heads:
            if accidental is not None:
                alter = accidentals[step] = accidental
            elif height in tied:
                alter = tied[height]
            else:
                alter = accidentals.get(step, signature[step])
            sounding.append(height + alter + semitones)
            if alter != signature[step]:
                altered[height] = alter
        self.altered = altered
        self.tied = altered if atom.tie else {}
        if sounding and not (min(sounding) >= 0 and max(sounding) <= 127):
            raise AbcError("the note is outside MIDI's range of 0 to 127")
        return tuple(sounding)

    def lengthen_last(self, times: int, divisor: int) -> None:
        """Apply broken rhythm to the note before the sign."""
        if not self.pending:
            raise AbcError("broken rhythm has no note before it")
        self.pending[-1].ticks = scaled(self.pending[-1].ticks, times, divisor)

    def tie_last(self) -> None:
        """Tie the note before a separate `-`; at the start of a bar it has no effect."""
        if self.pending:
            self.pending[-1].tie = True
            self.tied = self.altered

    def settle(self) -> tuple[tuple[Note, ...], int]:
        """Append the pending notes to the bar; return them and their ticks."""
        notes = tuple(make_note(d.pitches, d.ticks, d.chord_symbol, d.tie) for d in self.pending)
        ticks = sum(note.ticks for note in self.pending)
        self.pending.clear()
        self.take(notes, ticks)
        return notes, ticks

    def take(self, notes: tuple[Note, ...], ticks: int) -> None:
        """Append finished notes to the bar."""
        self.notes.extend(notes)
        self.ticks += ticks

    def close(self, bar_line: BarLine, bars: list[Bar]) -> None:
        """End the bar at a bar line and append it to `bars`, unless it is empty."""
        self.accidentals.clear()
        if self.notes:
            self._append(bar_line, bars)
        elif self.last_bar >= 0 and bar_line.section:
            last = bars[self.last_bar]
            bars[self.last_bar] = last._replace(
                closes_repeat=last.closes_repeat or bar_line.closes_repeat,
                closes_section=True,
            )
        if self.opened is None or self.notes:
            self.opened = bar_line
        else:
            self.opened = self.opened.joined(bar_line)
        self.notes.clear()
        self.ticks, self.text, self.line = 0, "", 0
        self.began = (self.metre, self.sounding_key)
        if self.part:
            self.part_of_bar, self.part = self.part, ""

    def _append(self, bar_line: BarLine, bars: list[Bar]) -> None:
        opened = self.opened
        first = self.last_bar < 0
        self.last_bar = len(bars)
        duration = duration_of(self.ticks)
        metre, key = self.began
        bars.append(
            Bar(
                tuple(self.notes),
                duration,
                self.name,
                duration if duration in self.metres else metre,
                key,
                self.line,
                self.text,
                opened is not None and opened.opens_repeat,
                bar_line.closes_repeat,
                first or (opened is not None and opened.section),
                bar_line.section,
                opened.ending if opened is not None else "",
                self.part_of_bar,
            )
        )
        self.part_of_bar = ""
