"""Chord symbols of a tune: listing and interpreting them, writing and removing them."""

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
"""First characters of tokens that belong to the next note."""


@dataclass(frozen=True, slots=True)
class PlacedChord:
    """A chord symbol and its position.

    Attributes:
        bar: index into the bars of the tune.
        note: index into the notes of the bar.
        symbol: such as `Am`.
    """

    bar: int
    note: int
    symbol: str


def placed_chords(score: Score) -> tuple[PlacedChord, ...]:
    """Return the chords of all voices in order, as written (repeats once).

    Text that is not a supported chord is left out; `unreadable_chords` returns it.
    """
    return tuple(
        PlacedChord(i, j, note.chord_symbol)
        for i, bar in enumerate(score.bars)
        for j, note in enumerate(bar.notes)
        if note.chord_symbol and is_chord(note.chord_symbol)
    )


def chords(score: Score) -> tuple[str, ...]:
    """Return the symbols of `placed_chords`."""
    return tuple(chord.symbol for chord in placed_chords(score))


def unreadable_chords(score: Score) -> tuple[str, ...]:
    """Return the texts over notes that are neither annotations nor supported chords."""
    symbols = (note.chord_symbol for bar in score.bars for note in bar.notes)
    return tuple(symbol for symbol in symbols if symbol and not is_chord(symbol))


@lru_cache(maxsize=1024)
def root_pitch_class(symbol: str) -> int | None:
    """Return the pitch class of a chord's root; None for `N.C.` and text that is not a chord."""
    chord = read_chord(symbol)
    if chord is None or not chord.root:
        return None
    return (NATURALS[LETTERS.index(chord.root[0])] + ALTERATIONS[chord.root[1:]]) % 12


@lru_cache(maxsize=1024)
def chord_tones(symbol: str) -> frozenset[int]:
    """Return the pitch classes of a chord without its bass; none for `N.C.` and other text."""
    chord, root = read_chord(symbol), root_pitch_class(symbol)
    if chord is None or root is None:
        return frozenset()
    return frozenset((root + step) % 12 for step in chord.steps)


def chord_cover(score: Score) -> float:
    """Return the share of time in which the first voice sounds a note of the current chord.

    A chord lasts until the next symbol; time before the first, under `N.C.`, and under a symbol
    that is not supported is not counted. 0 without symbols.
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

    A symbol precedes its note and the tokens that belong to it, such as grace notes or `(3`. Text
    in canonical form stays canonical.

    Args:
        text: a valid tune without rests of several bars (`Z2`).
        placed: chords, at indices into the parsed tune.
    """
    symbols = {(chord.bar, chord.note): chord.symbol for chord in placed}
    parts: list[str] = []
    end = 0
    for bar, note, offset in _note_places(text):
        if (bar, note) in symbols:
            parts += [text[end:offset], f'"{symbols[bar, note]}"']
            end = offset
    return "".join([*parts, text[end:]])


def without_chords(text: str) -> str:
    """Remove the chord symbols of a tune, also unsupported ones; annotations stay."""
    if '"' not in text:
        return text
    return "".join(
        without_symbols(line) if in_music else line for line, _, in_music in music_lines(text)
    )


def without_symbols(music: str) -> str:
    """Remove the chord symbols of a line or a bar of music."""
    return _QUOTED.sub(lambda text: "" if symbol_over_note(text[0]) else text[0], music)


def quoted_symbols(text: str) -> Iterator[str]:
    """Yield the chord symbol (`symbol_over_note`) of each quoted text in the music of a tune."""
    for line, _, in_music in music_lines(text) if '"' in text else ():
        for quoted in _QUOTED.findall(line.partition("%")[0]) if in_music else ():
            if symbol := symbol_over_note(quoted):
                yield symbol


def music_lines(text: str) -> Iterator[tuple[str, int, bool]]:
    """Yield each line with its line ending, its offset, and whether it is music."""
    offset, in_body = 0, False
    for line in text.splitlines(keepends=True):
        yield line, offset, in_body and not _FIELD_LINE.match(line)
        in_body = in_body or line.startswith("K:")
        offset += len(line)


def _note_places(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield bar, note and offset, prefixes included, of every note and rest."""
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
    for match in TOKEN.finditer(content):
        token = match[1]
        is_chord = token[0] == "[" and token[2:3] != ":"
        if is_chord or (token[0] in _NOTES and len(token.strip("^_=")) > 0):
            yield match.start(1) if prefix is None else prefix
            prefix = None
        elif token[0] in _PREFIXES:
            prefix = match.start(1) if prefix is None else prefix
        else:
            prefix = None
