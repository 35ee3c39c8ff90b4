"""The place in a text: what was read, as far as it decides what may follow.

A cursor is copied, then moved by the steps of `prose`, `header`, `music`, `brackets` and `bars`. A
step takes the cursor and one character, changes the cursor, and returns whether the text is still
the beginning of something legal. `step` is the one that reads the next character.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from musicllm.music.abc.keys import Key
from musicllm.music.grammar.metres import Metre
from musicllm.music.grammar.rules import TuneRules
from musicllm.music.grammar.strokes import Stroke
from musicllm.music.grammar.trie import Node

Step = Callable[["Cursor", str], bool]


class Bars(NamedTuple):
    """The finished bars of a voice. Lengths are in grains; a short bar is (metre, length).

    Attributes:
        num: bars.
        first: the first bar if it is short.
        section: the bar with which the section starts, if it is short.
        last: the last bar if it is short.
        owed: length of the short bar that has to end this section, since a short one began it; 0
            if none has to.
        ending: number of the variant ending that the last bar belongs to; 0 outside.
        closes: the last bar line closes a repeat.
        open: the last bar line opens a repeat or an ending, so that music has to follow.
        repeat: a repeat is open.
        unclosed: a bar line that ends the section has to follow, since the last bar is short.
        full: full bars.
        short: grains of all short bars together.
    """

    num: int = 0
    first: tuple[int, int] | None = None
    section: tuple[int, int] | None = None
    last: tuple[int, int] | None = None
    owed: int = 0
    ending: int = 0
    closes: bool = False
    open: bool = False
    repeat: bool = False
    unclosed: bool = False
    full: int = 0
    short: int = 0


NO_BARS = Bars()


class Planner(Protocol):
    """What demands a length and a form, as `plans.Plan` does."""

    @property
    def num_bars(self) -> int | None:
        """Bars of the tune."""

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """Letters of the form, each with the number of times in a row."""

    @property
    def comes_back(self) -> bool:
        """Whether a letter comes back after another."""

    def start(self, c: Cursor) -> None:
        """Start a tune."""

    def read(self, c: Cursor, char: str) -> bool:
        """Follow the text; whether the form allows this character."""

    def allows_short(self) -> bool:
        """Whether short bars may stand."""

    def strokes(self, c: Cursor, num: int, is_full: bool) -> int:
        """Which bar lines may end this bar."""

    def strokes_between(self, c: Cursor) -> int:
        """Which bar lines may stand before the first note of a bar."""

    def open(self, c: Cursor, stroke: Stroke) -> None:
        """Take a bar line before the first note of a bar."""

    def close(self, c: Cursor, stroke: Stroke, is_full: bool) -> None:
        """Take a bar line that ends a bar."""

    def pauses(self, c: Cursor) -> bool:
        """Whether no bar may start here."""

    def is_done(self, c: Cursor) -> bool:
        """Whether the form is complete."""


class Listener(Protocol):
    """What follows the pitches of a tune, as `pitches.Pitches` does."""

    def start(self, c: Cursor, key: Key) -> None:
        """Start a tune in a key."""

    def change_key(self, c: Cursor, key: Key) -> None:
        """Change the key."""

    def begin(self, c: Cursor) -> None:
        """Start a note or chord."""

    def rest(self, c: Cursor) -> bool:
        """Start a rest; whether it may stand."""

    def letter(self, c: Cursor, sign: str, letter: str) -> bool:
        """Read a letter; whether the note may stand in some octave."""

    def octave(self, c: Cursor, marks: str) -> bool:
        """Whether the note may stand with these octave marks or more."""

    def sound(self, c: Cursor, marks: str) -> bool:
        """Hear the note; whether it may stand."""

    def end(self, c: Cursor) -> None:
        """End the note, chord or rest."""

    def tie(self, c: Cursor) -> None:
        """Tie it."""

    def bar(self, c: Cursor) -> None:
        """End a bar."""


@dataclass(frozen=True)
class Tables:
    """What all states of one grammar share: its rules, compiled, and steps to come back to.

    Attributes:
        rules: that the tunes have to keep.
        metres: mask of the accepted words of `M:`.
        keys: mask of the accepted words of `K:`.
        needs_metre: the header has to name a metre.
        pitches: follows pitches; None where no rule asks for them.
        plan: a `plans.Plan`; without rules it accepts every length and form.
        chords: symbols that the tune has to have, in this order; empty: any.
        has_plan: whether rules ask for a number of bars, a form or chords.
        notes: texts of notes, one of which may stand wherever a note may.
        item: step that reads an item of music.
        line: step that reads the start of a line of music.
        leave: ends a tune.
    """

    rules: TuneRules
    metres: int
    keys: int
    needs_metre: bool
    pitches: Listener | None
    plan: Planner
    chords: tuple[str, ...]
    has_plan: bool
    notes: tuple[str, ...]
    item: Step
    line: Step
    leave: Callable[[Cursor], None]


class Cursor:
    """See the module.

    Attributes:
        tables: the grammar.
        step: reads the next character.
        word: text of the word in progress: a length, a value, a name.
        field: letter of the field in progress.
        node: place in the set of words in progress.
        allowed: mask of what that word may become: lengths, or words of `node`.
        seen: letters of the header's fields so far.
        num_fields: fields of the header.
        num_tunes: whole tunes so far.
        metre: in force.
        unit: grains of a note without a length.
        pos: grains of the bar so far, without those of an unfinished tuplet.
        debt: grains that this bar must have, to complete the short bar before; 0 if none.
        opens: a section starts with this bar.
        variant: number of the variant ending that starts with this bar; 0 if none does.
        tuplet: (p, q, notes left, grains so far as written); None outside.
        broken: (times, divisor) of the next note after `>` or `<`; None otherwise.
        last: grains of the note before, which `>` or `<` may change; 0 if they may not follow.
        written: grains of the note before as its length says.
        can_tie: a `-` may follow.
        chord: number of notes of the chord or grace notes in progress, and the length of the first
            note of a chord; None before it.
        needs: a note must follow in this bar, for a chord symbol, a grace note or the like.
        slurs: open slurs.
        bars: finished bars.
        has_notes: a note has sounded.
        has_music: this line, or the one before its first character, has a note or a `|`, without
            which `abc.find_tunes` takes it for prose.
        num_chars: of the tune, up to this bar.
        bar_chars: of this bar.
        line_chars: of this line, up to this bar.
        form: how far the tune has come in its form (a `plans.Progress`), where rules ask for one.
        num_chords: chord symbols so far, where rules ask for them.
        pitch: what `pitches` has heard (an `Ear`), where rules ask for pitches.
    """

    __slots__ = (
        "allowed",
        "bar_chars",
        "bars",
        "broken",
        "can_tie",
        "chord",
        "debt",
        "field",
        "form",
        "has_music",
        "has_notes",
        "last",
        "line_chars",
        "metre",
        "needs",
        "node",
        "num_chars",
        "num_chords",
        "num_fields",
        "num_tunes",
        "opens",
        "pitch",
        "pos",
        "seen",
        "slurs",
        "step",
        "tables",
        "tuplet",
        "unit",
        "variant",
        "word",
        "written",
    )

    def __init__(self, tables: Tables, metre: Metre, node: Node) -> None:
        self.tables = tables
        self.step: Step = tables.item
        self.word = ""
        self.field = ""
        self.node = node
        self.allowed = 0
        self.seen = ""
        self.num_fields = 0
        self.num_tunes = 0
        self.metre = metre
        self.unit = metre.unit
        self.pos = 0
        self.debt = 0
        self.opens = True
        self.variant = 0
        self.tuplet: tuple[int, int, int, int] | None = None
        self.broken: tuple[int, int] | None = None
        self.last = 0
        self.written = 0
        self.can_tie = False
        self.chord: tuple[int, str | None] = (0, None)
        self.needs = False
        self.slurs = 0
        self.bars = NO_BARS
        self.has_notes = False
        self.has_music = False
        self.num_chars = 0
        self.bar_chars = 0
        self.line_chars = 0
        self.pitch: Any = None
        self.form: Any = None
        self.num_chords = 0

    def copy(self) -> Self:
        """Return a cursor that can be moved without moving this one."""
        new = object.__new__(type(self))
        new.tables = self.tables
        new.step = self.step
        new.word = self.word
        new.field = self.field
        new.node = self.node
        new.allowed = self.allowed
        new.seen = self.seen
        new.num_fields = self.num_fields
        new.num_tunes = self.num_tunes
        new.metre = self.metre
        new.unit = self.unit
        new.pos = self.pos
        new.debt = self.debt
        new.opens = self.opens
        new.variant = self.variant
        new.tuplet = self.tuplet
        new.broken = self.broken
        new.last = self.last
        new.written = self.written
        new.can_tie = self.can_tie
        new.chord = self.chord
        new.needs = self.needs
        new.slurs = self.slurs
        new.bars = self.bars
        new.has_notes = self.has_notes
        new.has_music = self.has_music
        new.num_chars = self.num_chars
        new.bar_chars = self.bar_chars
        new.line_chars = self.line_chars
        new.pitch = self.pitch
        new.form = self.form
        new.num_chords = self.num_chords
        return new

    def read(self, text: str) -> bool:
        """Move over a text; return whether it may follow. Moves nowhere useful if it may not."""
        for char in text:
            self.bar_chars += 1
            if not self.step(self, char):
                return False
            if self.form is not None and not self.tables.plan.read(self, char):
                return False
        return True
