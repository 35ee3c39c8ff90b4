"""The result of parsing: notes, bars, scores, and tunes in a book.

Everything is immutable. Durations are fractions of a whole note, pitches are MIDI numbers
(middle C, ABC's `C`, is 60).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from musicllm.music.abc.keys import Key


@dataclass(frozen=True, slots=True)
class Note:
    """A note, a chord or a rest.

    Attributes:
        pitches: MIDI numbers in the order written; empty for a rest.
        duration: fraction of a whole note, tuplets and broken rhythm applied.
        chord_symbol: accompaniment chord over it in canonical spelling, such as `Am7`; text that
            `chord_symbols.read_chord` does not support is kept; several are joined by `;`.
        tie: a `-` follows it (in many books also for a slur to another pitch).
    """

    pitches: tuple[int, ...]
    duration: Fraction
    chord_symbol: str | None = None
    tie: bool = False


class Bar(NamedTuple):
    """The music between two bar lines of one voice.

    Attributes:
        notes: notes and rests in order, without grace notes.
        duration: sum of the notes' durations.
        voice: name of its voice; `1` if the tune names none.
        metre: length of a full bar at its start; None in free metre.
        key: key in force at its start.
        line: line in the tune's text where it starts, from 1.
        text: its ABC source, without the bar lines.
        opens_repeat: a `|:` precedes it.
        closes_repeat: a `:|` follows it.
        opens_section: the tune, a repeat, a double bar or an ending starts with it.
        closes_section: the tune, a repeat, a double bar or an ending ends with it.
        ending: variant ending that starts with it, such as `1` or `1,3`; else empty.
        part: value of a `P:` before it in the tune's body, such as `A`; else empty.
    """

    notes: tuple[Note, ...]
    duration: Fraction
    voice: str
    metre: Fraction | None
    key: Key
    line: int
    text: str
    opens_repeat: bool
    closes_repeat: bool
    opens_section: bool
    closes_section: bool
    ending: str
    part: str = ""


@dataclass(frozen=True)
class Score:
    """A parsed tune.

    Attributes:
        header: field letter -> value, from the lines up to `K:`; the first `T:`, the last others.
        metre: length of a full bar at the start; None in free metre.
        metre_text: `4/4`, `2/2` (also for `C` and `C|`), `none`.
        unit_length: duration of a note without a number, as a fraction of a whole note.
        key: key at the start.
        bars: bars of all voices in the order in which they end.
        source: the text that was parsed, one field per line.
    """

    header: Mapping[str, str]
    metre: Fraction | None
    metre_text: str
    unit_length: Fraction
    key: Key
    bars: tuple[Bar, ...]
    source: str

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of the voices in the order of their first bar."""
        return tuple(dict.fromkeys(bar.voice for bar in self.bars))

    def voice(self, name: str | None = None) -> tuple[Bar, ...]:
        """Return the bars of a voice, by default the first."""
        voice = self.bars[0].voice if name is None else name
        return tuple(bar for bar in self.bars if bar.voice == voice)


@dataclass(frozen=True)
class Tune:
    """The text of a tune in a book, from its `X:` line to the next blank line.

    Attributes:
        text: its lines, not parsed.
        number: value of `X:` as written.
        file: the book.
        line: line of `X:` in the book, from 1.
    """

    text: str
    number: str
    file: str
    line: int


@dataclass(frozen=True)
class Rejection:
    """A part of a book that cannot be a tune; other attributes as in `Tune`.

    Attributes:
        reason: why.
        excerpt: its first 200 characters.
    """

    file: str
    number: str
    line: int
    reason: str
    excerpt: str
