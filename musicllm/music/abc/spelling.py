"""How notes, and whole phrases of them, are written in the canonical form; remembered.

No state of the tune is kept here: what depends on it (ties to other pitches, bar lines, fields) is
the writer's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from musicllm.music.abc.chord_symbols import symbol_over_note
from musicllm.music.abc.keys import letter_at, place_of
from musicllm.music.abc.rhythm import shortest_length
from musicllm.music.abc.tokens import NOTE, SPACED_TOKEN

_MAX_REMEMBERED = 50_000


class Spelling(NamedTuple):
    """A note in its shortest spelling."""

    text: str
    sign: str
    head: str
    tie: str


@lru_cache(_MAX_REMEMBERED)
def spell(token: str) -> Spelling | None:
    """Return how a token is written when it is a note or a rest."""
    note = NOTE.fullmatch(token)
    return written(*note.groups()) if note else None


class Phrase(NamedTuple):
    """Notes with what belongs to them, written; it starts and ends with these notes."""

    text: str
    first: Spelling
    last: Spelling
    blank_before: bool
    blank_behind: bool


@lru_cache(_MAX_REMEMBERED)
def join(text: str) -> Phrase | None:
    """Write music that has no chords, fields, rests of whole bars, or ties but at its end.

    Remembered, since tunes repeat themselves; None for other music.
    """
    words: list[str] = []
    notes: list[Spelling] = []
    blank, blank_before, glue = False, False, True
    for space, token in SPACED_TOKEN.findall(text):
        blank = blank or bool(space)
        note = spell(token)
        word = (note.text, False, False) if note else joint(token)
        if word is None:
            if token[0] in "[ZX-":
                return None
            continue
        if note:
            if notes and notes[-1].tie:
                return None
            notes.append(note)
        if not words:
            blank_before = blank and not word[2]
        elif blank and not glue and not word[2]:
            words.append(" ")
        words.append(word[0])
        blank, glue = False, word[1]
    if glue:
        return None
    return Phrase("".join(words), notes[0], notes[-1], blank_before, blank or text[-1].isspace())


def joint(token: str) -> tuple[str, bool, bool] | None:
    """Return how a chord symbol, tuplet or broken rhythm is written, and if it forbids blanks.

    They are forbidden behind it, and before it.
    """
    first = token[0]
    if first == '"':
        symbol = symbol_over_note(token)
        return (f'"{symbol}"', True, False) if symbol else None
    if first in "<>":
        return token, True, True
    if first == "(" and len(token) > 1:
        return token.rstrip(":"), True, False
    return None


def written(sign: str, letter: str, marks: str, length: str, tie: str) -> Spelling:
    """Return how the parts of a note that `NOTE` found are written; every rest is `z`."""
    head = "z" if letter in "zx" else letter_at(place_of(letter, marks))
    return Spelling(f"{sign}{head}{shortest_length(length)}{tie}", sign, head, tie)
