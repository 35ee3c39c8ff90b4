"""Tunes as text: a one-line description, and a staff for terminals.

The staff has a line for each step from the highest to the lowest note, note heads in time order,
and the five lines of the treble clef. It shows the first voice, as an overview of the tune, not as
notation to play from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from musicllm.music.abc import Bar, Key, Note, Score, check
from musicllm.music.abc.keys import ALTERATIONS, LETTERS, NATURALS, sharps_of
from musicllm.music.analysis import form

WIDTH = 96
"""Columns of a staff, without the note names."""

NAMES = 5
"""Columns of the note names, with a blank."""

HEAD, HELD, BAR_LINE = "●", "━", "│"
STAFF_LINES = frozenset((2, 4, 6, 8, 10))
"""E, G, B, D and F above middle C, which is place 0."""

_SIGNS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
_HEADS = {-2: "♭", -1: "♭", 0: "♮", 1: "♯", 2: "x"}
_SHORTEST = Fraction(1, 32)

Column = Mapping[int, str] | None
"""Place on the staff -> character of one column; None is a bar line."""


def describe(score: Score) -> str:
    """Return one line: title, rhythm, key, metre, bars, share of bars that fit, form and range."""
    parts = [
        *([title] if (title := score.header.get("T", "")) else []),
        score.header.get("R", "").lower() or "tune",
        f"{score.key.tonic} {score.key.mode}" if score.key.tonic else "no key",
        "free metre" if score.metre is None else score.metre_text,
        *([f"{len(score.voices)} voices"] if len(score.voices) > 1 else []),
        _bars(score),
        f"form {form(score)}",
        *_range(score),
    ]
    return ", ".join(parts)


def staff(score: Score, num_bars: int, width: int = WIDTH) -> list[str]:
    """Draw the first bars of the first voice as lines of text, highest note first.

    A column is as long as the shortest note (apart from tuplets and notes below 1/32),
    and every note has at least one column. Notes outside the key show their accidental.

    Args:
        score: a tune with notes.
        num_bars: maximum number of bars; fewer if they do not fit.
        width: columns; a wider first bar is cut.

    Returns:
        Lines without line endings; empty if there is nothing to draw.
    """
    columns = _columns(score.voice()[:num_bars], width) if score.bars else []
    places = [place for column in columns if column is not None for place in column]
    if not places:
        return []
    return [
        f"{_name(place, score.key.signature[place % 7]):>4} {''.join(_cells(columns, place))}"
        for place in range(max(places), min(places) - 1, -1)
    ]


def spell(pitch: int, key: Key) -> tuple[int, int]:
    """Return the place of a MIDI pitch on the staff (0 is middle C) and its alteration.

    A pitch outside the key is spelled as musicians mostly do: on the line of fifths, at most four
    to the flat side of the tonic and seven to the sharp side (F sharp in G minor, C natural in D).
    """
    for letter, alter in enumerate(key.signature):
        octave, rest = divmod(pitch - 60 - NATURALS[letter] - alter, 12)
        if rest == 0:
            return 7 * octave + letter, alter
    tonic = key.tonic or "C"
    pitch_class = NATURALS[LETTERS.index(tonic[0])] + ALTERATIONS[tonic[1:]]
    from_tonic = (7 * pitch - 7 * pitch_class + 4) % 12 - 4
    alter, step = divmod(sharps_of(tonic, "major") + from_tonic + 1, 7)
    letter = LETTERS.index("FCGDAEB"[step])
    return 7 * ((pitch - 60 - NATURALS[letter] - alter) // 12) + letter, alter


def _bars(score: Score) -> str:
    report = check(score)
    bars = "1 bar" if report.num_bars == 1 else f"{report.num_bars} bars"
    if not report.faults:
        return f"{bars}, all fit"
    return f"{bars}, {report.share_fitting:.0%} fit"


def _range(score: Score) -> list[str]:
    pitches = [pitch for bar in score.bars for note in bar.notes for pitch in note.pitches]
    if not pitches:
        return []
    return [" to ".join(_name(*spell(end(pitches), score.key)) for end in (min, max))]


def _name(place: int, alteration: int) -> str:
    octave, letter = divmod(place, 7)
    return f"{LETTERS[letter]}{_SIGNS[alteration]}{octave + 4}"


def _columns(bars: Sequence[Bar], width: int) -> list[Column]:
    unit = _unit([note for bar in bars for note in bar.notes])
    columns: list[Column] = []
    for bar in bars:
        new = [column for note in bar.notes for column in _note(note, bar.key, unit)]
        if columns and len(columns) + len(new) > width:
            break
        columns += [*new, None]
    return columns[:width]


def _unit(notes: Sequence[Note]) -> Fraction:
    """Return the shortest duration that is a plain fraction of a whole note."""
    durations = [note.duration for note in notes]
    plain = [d for d in durations if d >= _SHORTEST and 32 % d.denominator == 0]
    return min(plain, default=_SHORTEST)


def _note(note: Note, key: Key, unit: Fraction) -> Iterator[Column]:
    """Yield the columns of a note, a chord or a rest."""
    spelled = [spell(pitch, key) for pitch in note.pitches]
    yield {
        place: HEAD if alter == key.signature[place % 7] else _HEADS[alter]
        for place, alter in spelled
    }
    for _ in range(1, round(note.duration / unit)):
        yield {place: HELD for place, _ in spelled}


def _cells(columns: Sequence[Column], place: int) -> Iterator[str]:
    is_line = place in STAFF_LINES
    for column in columns:
        if column is None:
            yield "┼" if is_line else BAR_LINE
        else:
            yield column.get(place, "─" if is_line else " ")
