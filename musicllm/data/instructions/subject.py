"""A tune as the subject of questions: text, score, and cached analysis."""

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
"""Minimum `chord_cover` of computed chords."""
MIN_OWN_CHORDS = 0.25
"""Minimum chord symbols per bar for a tune with chords of its own to count as harmonised."""

_HEADER = re.compile(r".*?^K:[^\n]*", re.MULTILINE | re.DOTALL)
_RHYTHM_LINE = re.compile(r"^R:.*\n", re.MULTILINE)


class Subject:
    """A tune with lazily computed properties.

    Attributes:
        score: the parsed tune.
        text: the tune, one field per line.

    Raises:
        AbcError: the text is not a valid tune.
    """

    def __init__(self, text: str) -> None:
        self.score: Score = parse(text)
        self.text = self.score.source
        self._parsed: dict[str, Subject] = {}

    def parse_again(self, text: str) -> Subject:
        """Return an answer parsed from its text alone; cached."""
        if text not in self._parsed:
            self._parsed[text] = Subject(text)
        return self._parsed[text]

    @cached_property
    def header(self) -> str:
        """The lines up to `K:`."""
        match = _HEADER.match(self.text)
        assert match is not None, "a tune that parses has a K: line"
        return match[0]

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
        """The motif of `find_motif`."""
        return find_motif(self.score)

    @cached_property
    def melody(self) -> str:
        """The tune without chord symbols."""
        return without_chords(self.text)

    @cached_property
    def unreadable_chords(self) -> tuple[str, ...]:
        """Texts over its notes that are not supported chord symbols."""
        return unreadable_chords(self.score)

    @cached_property
    def harmonised(self) -> str | None:
        """The tune with chord symbols: its own, else computed ones; None if neither suffices.

        Also None if a chord symbol is not supported, since the chord is unknown.
        Computed chords are checked in the resulting text: without them it is the melody, they
        have the intended positions, and a cover of at least `MIN_COVER`.
        """
        own = chords(self.score)
        if self.unreadable_chords:
            return None
        if own:
            return self.text if len(own) >= MIN_OWN_CHORDS * len(self.score.bars) else None
        placements = harmonize(self.score)
        text = with_chords(self.text, placements)
        if not placements or without_chords(text) != self.text:
            return None
        result = self.parse_again(text).score
        fits = placed_chords(result) == placements and chord_cover(result) >= MIN_COVER
        return text if fits else None

    def opening(self, num_bars: int) -> str | None:
        """Return the text up to the end of a bar; None if a section ends there or before."""
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
    """Return a tune without its `R:` field."""
    return _RHYTHM_LINE.sub("", text)


def key_in_words(key: Key) -> str:
    """Return a key in words: `D major`, `A dorian`, `no key`."""
    if key.mode in ("none", "highland"):
        return "no key" if key.mode == "none" else "the key of the Highland pipes"
    return f"{key.tonic} {key.mode}"
