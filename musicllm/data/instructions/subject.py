"""A tune as the subject of questions: its text, its score, and what is found out about it, once."""

from __future__ import annotations

import re
from functools import cached_property

from musicllm.music.abc import Key, Score, parse
from musicllm.music.abc.tokens import SEGMENT
from musicllm.music.analysis import (
    Motif,
    chord_cover,
    chords,
    find_motif,
    form,
    harmonize,
    placed_chords,
    terms,
    unreadable_chords,
    with_chords,
    without_chords,
)
from musicllm.music.analysis.chords import music_lines

MIN_COVER = 0.6
"""Least share of a tune's sounding time that belongs to the chords computed for it."""
MIN_OWN_CHORDS = 0.25
"""Least chord symbols a bar of a tune that brings its own, if it is to count as harmonised."""

_HEADER = re.compile(r".*?^K:[^\n]*", re.MULTILINE | re.DOTALL)
_RHYTHM_LINE = re.compile(r"^R:.*\n", re.MULTILINE)


class Subject:
    """A tune. Everything is worked out when it is first asked for.

    Attributes:
        score: what the text means.
        text: the tune, one field a line.

    Raises:
        AbcError: the text is no valid tune.
    """

    def __init__(self, text: str) -> None:
        self.score: Score = parse(text)
        self.text = self.score.source
        self._read_again: dict[str, Subject] = {}

    def read_again(self, text: str) -> Subject:
        """Return what an answer says, read from its text alone; equal answers are read once."""
        if text not in self._read_again:
            self._read_again[text] = Subject(text)
        return self._read_again[text]

    @cached_property
    def header(self) -> str:
        """The lines up to `K:`."""
        found = _HEADER.match(self.text)
        assert found is not None, "a tune that parses has a K: line"
        return found[0]

    @cached_property
    def form(self) -> str:
        """Sections as letters."""
        return form(self.score)

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """Terms of its form."""
        return terms(self.score)

    @cached_property
    def motif(self) -> Motif:
        """The figure that it is built on."""
        return find_motif(self.score)

    @cached_property
    def melody(self) -> str:
        """The tune without chord symbols."""
        return without_chords(self.text)

    @cached_property
    def unreadable_chords(self) -> tuple[str, ...]:
        """Texts over its notes that may be chords but cannot be read."""
        return unreadable_chords(self.score)

    @cached_property
    def harmonised(self) -> str | None:
        """The tune with chord symbols: its own, else computed ones; None when neither will do.

        None as well where a symbol cannot be read: nobody knows which chord stands there.
        Computed ones are checked in the text that was written: without them it is the melody, they
        stand where they were meant to, and they cover at least `MIN_COVER` of its time.
        """
        own = chords(self.score)
        if self.unreadable_chords:
            return None
        if own:
            return self.text if len(own) >= MIN_OWN_CHORDS * len(self.score.bars) else None
        placed = harmonize(self.score)
        text = with_chords(self.text, placed)
        if not placed or without_chords(text) != self.text:
            return None
        written = self.read_again(text).score
        fits = placed_chords(written) == placed and chord_cover(written) >= MIN_COVER
        return text if fits else None

    def opening(self, num_bars: int) -> str | None:
        """Return the text up to the end of a bar; None when a section ends before or there."""
        for line, start, in_music in music_lines(self.text):
            for segment in SEGMENT.finditer(line) if in_music else ():
                if not segment[1].strip():
                    continue
                num_bars -= 1
                if segment[2] != "|":
                    return None
                if num_bars == 0:
                    return self.text[: start + segment.end()]
        return None


def without_type(text: str) -> str:
    """Return a tune without the line that says which type it is."""
    return _RHYTHM_LINE.sub("", text)


def key_in_words(key: Key) -> str:
    """Return a key as people say it: `D major`, `A dorian`, `no key`."""
    if key.mode in ("none", "highland"):
        return "no key" if key.mode == "none" else "the key of the Highland pipes"
    return f"{key.tonic} {key.mode}"
