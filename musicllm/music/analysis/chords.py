"""Chord symbols over a tune: which there are, what they mean, and how to write or remove them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from musicllm.music.abc import Score
from musicllm.music.abc.chord_symbols import is_chord, read_chord, symbol_over_note
from musicllm.music.abc.keys import ALTERATIONS, LETTERS, NATURALS
from musicllm.music.abc.rhythm import TICKS
from musicllm.music.abc.tokens import SEGMENT, TOKEN

_QUOTED = re.compile(r'"[^"]*"')
_FIELD_LINE = re.compile(r"[A-Za-z+]:(?![|:])|%")
_NOTES = frozenset("^_=ABCDEFGabcdefgzxZX")
_PREFIXES = frozenset('({"!+.~HIJKLMNOPQRSTUVWhijklmnopqrstuvw')
"""First characters of what belongs to the note behind it."""


@dataclass(frozen=True, slots=True)
class PlacedChord:
    """A chord symbol and the note that it stands over.

    Attributes:
        bar: index into the bars of the tune.
        note: index into the notes of the bar.
        symbol: such as `Am`.
    """

    bar: int
    note: int
    symbol: str


def placed_chords(score: Score) -> tuple[PlacedChord, ...]:
    """Return the chords in order, all voices, as they are written (repeats once).

    Text that cannot be read as a chord is left out; `unreadable_chords` has it.
    """
    return tuple(
        PlacedChord(i, j, note.chord_symbol)
        for i, bar in enumerate(score.bars)
        for j, note in enumerate(bar.notes)
        if note.chord_symbol and is_chord(note.chord_symbol)
    )


def chords(score: Score) -> tuple[str, ...]:
    """Return the names of `placed_chords`."""
    return tuple(chord.symbol for chord in placed_chords(score))


def unreadable_chords(score: Score) -> tuple[str, ...]:
    """Return the texts over notes that are neither annotations nor chords that can be read."""
    symbols = (note.chord_symbol for bar in score.bars for note in bar.notes)
    return tuple(symbol for symbol in symbols if symbol and not is_chord(symbol))


@lru_cache(maxsize=1024)
def root_pitch_class(symbol: str) -> int | None:
    """Return the pitch class of a chord's root; None for `N.C.` and text that is no chord."""
    chord = read_chord(symbol)
    if chord is None or not chord.root:
        return None
    return (NATURALS[LETTERS.index(chord.root[0])] + ALTERATIONS[chord.root[1:]]) % 12


@lru_cache(maxsize=1024)
def chord_tones(symbol: str) -> frozenset[int]:
    """Return the pitch classes of a chord, bass note aside; none for `N.C.` and for no chord."""
    chord, root = read_chord(symbol), root_pitch_class(symbol)
    if chord is None or root is None:
        return frozenset()
    return frozenset((root + step) % 12 for step in chord.steps)


def chord_cover(score: Score) -> float:
    """Return the share of sounding time that belongs to the chord in force, in the first voice.

    A chord holds until the next symbol; time before the first, under `N.C.`, and under a symbol
    that cannot be read is not counted. 0 without symbols.
    """
    inside = total = 0
    tones: frozenset[int] | None = None
    for bar in score.voice():
        for note in bar.notes:
            if note.chord_symbol:
                tones = chord_tones(note.chord_symbol) or None
            if tones is None or not note.pitches:
                continue
            ticks = note.duration.numerator * (TICKS // note.duration.denominator)
            total += ticks
            inside += ticks * (max(note.pitches) % 12 in tones)
    return inside / total if total else 0.0


def with_chords(text: str, placed: Sequence[PlacedChord]) -> str:
    """Write chord symbols into a tune of one voice; nothing else changes.

    A symbol stands before its note and what belongs to that, such as grace notes or `(3`. Text in
    canonical form stays canonical.

    Args:
        text: a tune that `parse` reads, without rests of several bars (`Z2`).
        placed: chords over notes that `parse` finds in it.
    """
    symbols = {(chord.bar, chord.note): chord.symbol for chord in placed}
    pieces: list[str] = []
    done = 0
    for bar, note, offset in _note_places(text):
        if (bar, note) in symbols:
            pieces += [text[done:offset], f'"{symbols[bar, note]}"']
            done = offset
    return "".join([*pieces, text[done:]])


def without_chords(text: str) -> str:
    """Remove the chord symbols of a tune, those that cannot be read too; annotations stay."""
    if '"' not in text:
        return text
    return "".join(
        without_symbols(line) if in_music else line for line, _, in_music in music_lines(text)
    )


def without_symbols(music: str) -> str:
    """Remove the chord symbols of a line or a bar of music."""
    return _QUOTED.sub(lambda found: "" if symbol_over_note(found[0]) else found[0], music)


def written_symbols(text: str) -> Iterator[str]:
    """Yield what `symbol_over_note` says of each quoted text in the music of a tune's text."""
    for line, _, in_music in music_lines(text) if '"' in text else ():
        for quoted in _QUOTED.findall(line.partition("%")[0]) if in_music else ():
            if symbol := symbol_over_note(quoted):
                yield symbol


def music_lines(text: str) -> Iterator[tuple[str, int, bool]]:
    """Yield each line with its end, where it starts, and whether it holds music."""
    offset, in_body = 0, False
    for line in text.splitlines(keepends=True):
        yield line, offset, in_body and not _FIELD_LINE.match(line)
        in_body = in_body or line.startswith("K:")
        offset += len(line)


def _note_places(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield bar, note and offset of every note and rest; the offset is that of its prefixes."""
    bar = note = 0
    for line, start, in_music in music_lines(text):
        if not in_music:
            continue
        for segment in SEGMENT.finditer(line.partition("%")[0].rstrip()):
            for offset in _notes_of(segment[1]):
                yield bar, note, start + segment.start() + offset
                note += 1
            if segment[2] and note:
                bar, note = bar + 1, 0


def _notes_of(content: str) -> Iterator[int]:
    """Yield the offset of each note of a bar, prefixes included."""
    prefix: int | None = None
    for found in TOKEN.finditer(content):
        token = found[1]
        is_chord = token[0] == "[" and token[2:3] != ":"
        if is_chord or (token[0] in _NOTES and len(token.strip("^_=")) > 0):
            yield found.start(1) if prefix is None else prefix
            prefix = None
        elif token[0] in _PREFIXES:
            prefix = found.start(1) if prefix is None else prefix
        else:
            prefix = None
