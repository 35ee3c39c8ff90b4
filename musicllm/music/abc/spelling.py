"""The canonical spelling of notes and of whole phrases, cached.

Nothing here depends on the state of the tune (ties to other pitches, bar lines, fields); that is
handled by `writer`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from musicllm.music.abc.chord_symbols import symbol_over_note
from musicllm.music.abc.keys import letter_at, place_of
from musicllm.music.abc.rhythm import shortest_length
from musicllm.music.abc.tokens import NOTE, SPACED_TOKEN

_MAX_CACHED = 50_000


class Spelling(NamedTuple):
    """The shortest spelling of a note."""

    text: str
    sign: str
    head: str
    tie: str


@lru_cache(_MAX_CACHED)
def spell(token: str) -> Spelling | None:
    """Return the spelling of a note or a rest; None for other tokens."""
    note = NOTE.fullmatch(token)
    return spell_note(*note.groups()) if note else None


class Phrase(NamedTuple):
    """The spelling of consecutive notes with their chord symbols and rhythm signs."""

    text: str
    first: Spelling
    last: Spelling
    blank_before: bool
    blank_after: bool


@lru_cache(_MAX_CACHED)
def spell_phrase(text: str) -> Phrase | None:
    """Spell music without chords, fields, rests of whole bars, or ties except at its end.

    Cached, since tunes repeat themselves; None for other music.
    """
    words: list[str] = []
    notes: list[Spelling] = []
    blank, blank_before, glue = False, False, True
    for space, token in SPACED_TOKEN.findall(text):
        blank = blank or bool(space)
        note = spell(token)
        word = (note.text, False, False) if note else spell_sign(token)
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


def spell_sign(token: str) -> tuple[str, bool, bool] | None:
    """Return the spelling of a chord symbol, tuplet or broken rhythm; None for other tokens.

    With it: whether it forbids a blank after it, and before it.
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


def spell_note(sign: str, letter: str, marks: str, length: str, tie: str) -> Spelling:
    """Return the spelling of a note from the groups of `NOTE`; every rest is `z`."""
    head = "z" if letter in "zx" else letter_at(place_of(letter, marks))
    return Spelling(f"{sign}{head}{shortest_length(length)}{tie}", sign, head, tie)
