"""Parses ABC 2.1 into a `Score`; errors give line and column.

Accepted: header and inline fields, repeats and endings, tuplets, broken rhythm, ties, slurs,
chords, grace notes, chord symbols, annotations, decorations, rests, several voices, all keys and
metres of the standard; clefs, `octave=` and `transpose=` move the pitches. Ignored: lyrics,
comments, directives, layout, and the characters that ABC 2.1 reserves (section 8.1). Rejected with
a reason: characters that are not ABC, voice overlays (`&`), microtones, and everything above
`Limits`. Time is linear in the text; repeats are not expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from typing import TypeVar

from musicllm.music.abc.chord_symbols import symbol_over_note
from musicllm.music.abc.clefs import Shift, read_shift, voice_shift
from musicllm.music.abc.keys import NO_KEY, parse_key
from musicllm.music.abc.limits import DEFAULT_LIMITS, AbcError, Limits, shorten
from musicllm.music.abc.model import Bar, Score
from musicllm.music.abc.mover import move_key, move_symbol
from musicllm.music.abc.notes import rest
from musicllm.music.abc.rhythm import TICKS, read_broken, read_tuplet
from musicllm.music.abc.source import (
    PART_FIELD,
    BodyLine,
    Source,
    alternating,
    default_unit_length,
    parse_metre,
    parse_unit_length,
    read_source,
)
from musicllm.music.abc.tokens import (
    GRACE,
    IGNORED,
    SEGMENT,
    TOKEN,
    BarLine,
    read_bar_line,
)
from musicllm.music.abc.voice import Voice

_REASONS = {
    "&": 'voice overlays ("&") are not supported; use a second "V:"',
    "^": '"^" stands before no note; microtones ("^/c") are not supported',
    "_": '"_" stands before no note; microtones ("_/c") are not supported',
}
"""First character of an invalid token -> reason; other characters get a general one."""
_END = BarLine(closes_repeat=False, opens_repeat=False, section=True, ending="", final=True)
_MAX_SYMBOL_CHARS = 200
_T = TypeVar("_T")
_INLINE = re.compile(r"\[[A-Za-z]:")
_NOT_CACHED = re.compile(r"\[[A-Za-z]:|[ZX]")
_LEADING_VOICE = re.compile(r"\s*\[V:([^\]]*)\]\s*")


def parse(text: str, limits: Limits = DEFAULT_LIMITS) -> Score:
    """Parse one tune.

    Args:
        text: from `X:` to the end of the tune; the single-line form is unfolded first. Lines in
            errors and bars count from 1 in the unfolded text, which the score keeps as `source`.
        limits: sizes above which a tune is rejected.

    Raises:
        AbcError: the text is not valid ABC, has no notes, or exceeds a limit.
    """
    return Parser(read_source(text, limits), limits).read()


class Parser:
    """The state of one tune while it is parsed."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.bars: list[Bar] = []
        self.key = self._header_value("K", lambda value: parse_key(value, NO_KEY))
        self.shift = self._header_value("K", read_shift)
        self.metre, self.metre_text, self.compound = self._header_value("M", parse_metre)
        self.metres = alternating(source.header["M"][0]) if " " in self.metre_text else ()
        self.declared: dict[str, Shift] = {}
        for value, line in source.voices:
            self._declare(value, line)
        self.unit_length: Fraction = (
            self._header_value("L", parse_unit_length)
            if "L" in source.header
            else default_unit_length(self.metre)
        )
        self.part = ""
        self.voices: dict[str, Voice] = {}
        self.unnamed: Voice | None = None
        self.voice = self.unnamed = self._enter_voice("1", 1)

    def read(self) -> Score:
        """Parse the body."""
        for line in self.source.body:
            if line.field == PART_FIELD:
                self.part = line.text
                for voice in self.voices.values():
                    voice.mark(line.text)
            elif line.field:
                self._field(line.field, line.text, line.number)
            else:
                self._music(line)
        for voice in self.voices.values():
            voice.close(_END, self.bars)
        if not any(note.pitches for bar in self.bars for note in bar.notes):
            raise AbcError("the tune has no notes")
        return Score(
            {letter: value for letter, (value, _) in self.source.header.items()},
            self.metre,
            self.metre_text,
            self.unit_length,
            move_key(self.key, self.voices[self.bars[0].voice].start)[0],
            tuple(self.bars),
            self.source.text,
        )

    def _header_value(self, letter: str, read: Callable[[str], _T]) -> _T:
        value, line = self.source.header.get(letter, ("", 0))
        try:
            return read(value)
        except AbcError as error:
            raise AbcError(error.reason, line) from None

    def _declare(self, value: str, line: int) -> None:
        """Store the shift that the header sets for a voice."""
        name = value.split(maxsplit=1)[0] if value else ""
        try:
            before = self.declared.get(name, self.shift)
            self.declared[name] = voice_shift(value, before)
        except AbcError as error:
            raise AbcError(error.reason, line) from None

    def _enter_voice(self, value: str, line: int) -> Voice:
        name = (value.split() or [""])[0]
        if not name or len(name) > 32:
            raise AbcError(f'"V:{shorten(value)}" names no voice', line)
        if name == "1":
            self.unnamed = None
        if name not in self.voices:
            if self.unnamed and self._is_untouched(self.unnamed):
                self.voices.clear()
            self.unnamed = None
            if len(self.voices) >= self.limits.max_voices:
                raise AbcError(f"more than {self.limits.max_voices} voices", line)
            self.voices[name] = Voice(
                name,
                self.key,
                self.unit_length,
                self.metre,
                self.compound,
                self.limits,
                self.declared.get(name, self.shift),
                self.metres,
                part_of_bar=self.part,
            )
        voice = self.voices[name]
        voice.shift = voice_shift(value, voice.shift)
        return voice

    @staticmethod
    def _is_untouched(voice: Voice) -> bool:
        return voice.last_bar < 0 and not voice.notes

    def _field(self, letter: str, value: str, line: int) -> None:
        """Apply a field of the body; fields that change no note are ignored."""
        voice = self.voice
        try:
            if letter == "V":
                voice.settle()
                self.voice = voice = self._enter_voice(value, line)
            elif letter == "K":
                voice.key = parse_key(value, voice.key)
                voice.shift = read_shift(value, voice.shift)
            elif letter == "L":
                voice.unit_length = parse_unit_length(value)
            elif letter == "M":
                voice.metre, _, voice.compound = parse_metre(value)
                voice.metres = alternating(value)
            elif letter == PART_FIELD:
                voice.mark(value)
        except AbcError as error:
            raise AbcError(error.reason, line) from None
        voice.retune()

    def _music(self, line: BodyLine) -> None:
        """Parse a line of music, bar by bar."""
        for segment in SEGMENT.finditer(line.text):
            content, stroke = segment.groups()
            start = segment.start()
            if "[V:" in content and (named := _LEADING_VOICE.match(content)):
                self._field("V", named[1], line.number)
                content, start = content[named.end() :], start + named.end()
            if text := content.strip():
                start += len(content) - len(content.lstrip())
                self._segment(text, line, start, bool(stroke))
            if stroke:
                self._close(stroke, line.number, segment.start(2) + 1)

    def _close(self, stroke: str, line: int, column: int) -> None:
        try:
            bar_line = read_bar_line(stroke, self.limits.max_ending)
        except AbcError as error:
            raise AbcError(error.reason, line, column) from None
        self.voice.close(bar_line, self.bars)
        if len(self.bars) > self.limits.max_bars:
            raise AbcError(f"more than {self.limits.max_bars:,} bars", line)

    def _segment(self, text: str, line: BodyLine, start: int, closed: bool) -> None:
        """Parse the music between two bar lines, or the part of it on this line."""
        voice = self.voice
        voice.text = f"{voice.text} {text}" if voice.text else text
        voice.line = voice.line or line.number
        alone = closed and voice.is_plain
        if alone and (bar := voice.cache.bars.get(text)) is not None:
            voice.take(bar.notes, bar.ticks)
            return
        cache = voice.cache
        notes, ticks = voice.plain_notes(tokens := TOKEN.findall(text))
        if notes:
            voice.take(notes, ticks)
        else:
            self._tokens(tokens, text, line.number, start)
            notes, ticks = self.voice.settle()
        if closed:
            voice.accidentals.clear()
        if alone and voice.is_plain and not _NOT_CACHED.search(text):
            cache.remember(text, notes, ticks)

    def _tokens(self, tokens: list[str], text: str, line: int, start: int) -> None:
        index = 0
        try:
            for index, token in enumerate(tokens):  # noqa: B007
                cache = self.voice.cache
                atom = cache.atoms.get(token)
                if atom is not None:
                    self.voice.add(atom)
                elif token not in cache.silent:
                    self._token(token, text, line)
        except AbcError as error:
            if error.line is not None:
                raise
            match = next(islice(TOKEN.finditer(text), index, None))
            raise AbcError(error.reason, line, start + match.start(1) + 1) from None

    def _token(self, token: str, text: str, line: int) -> None:
        """Apply a token that is not a cached note."""
        first = token[0]
        if first in "^_=ABCDEFGabcdefgzx" and len(token.strip("^_=")) > 0:
            self.voice.add(self.voice.cache.atom(token))
        elif first == "[":
            self._bracket(token, text, line)
        elif first == '"':
            self._quoted(token, text)
        elif first in "<>" or (first == "(" and len(token) > 1):
            self._rhythm(token)
        elif first == "{":
            self._grace(token, text)
        elif first in "ZX":
            self._rest_bars(token, line)
        elif first == "-":
            self.voice.tie_last()
        elif first in IGNORED:
            self.voice.cache.ignore(token)
        else:
            raise AbcError(_REASONS.get(first, f'"{first}" is not an ABC character here'))

    def _bracket(self, token: str, text: str, line: int) -> None:
        if token == "[":
            raise AbcError(f'chord "{shorten(text[text.rindex("[") :])}" is never closed')
        if _INLINE.match(token):
            self._field(token[1], token[3:-1].strip(), line)
        else:
            self.voice.add(self.voice.cache.atom(token))

    def _quoted(self, token: str, text: str) -> None:
        if len(token) < 2:
            raise AbcError(f"quoted text {shorten(text[text.rindex(chr(34)) :])} is never closed")
        symbol, before = symbol_over_note(token), self.voice.chord_symbol
        if symbol is None:
            self.voice.cache.ignore(token)
        else:
            symbol = move_symbol(symbol, self.voice.key, self.voice.shift.total)
            both = f"{before};{symbol}" if before else symbol
            self.voice.chord_symbol = both[:_MAX_SYMBOL_CHARS]

    def _grace(self, token: str, text: str) -> None:
        if token == "{":
            raise AbcError(f'grace notes "{shorten(text[text.rindex("{") :])}" are never closed')
        if not GRACE.fullmatch(token):
            raise AbcError(f'"{shorten(token)}" holds no grace notes')
        self.voice.cache.ignore(token)

    def _rhythm(self, token: str) -> None:
        """Start a tuplet, or apply broken rhythm to the notes before and after."""
        voice = self.voice
        if token[0] == "(":
            if voice.tuplet:
                raise AbcError(f'tuplet "{token}" starts inside another')
            voice.tuplet = read_tuplet(token, voice.compound, self.limits)
        else:
            before, after, divisor = read_broken(token)
            voice.lengthen_last(before, divisor)
            voice.broken = (after, divisor)

    def _rest_bars(self, token: str, line: int) -> None:
        """Append the bars of a rest such as `Z4`; the next bar line closes the last."""
        voice = self.voice
        if len(token) > 5 or token[1:] == "0" or int(token[1:] or 1) > self.limits.max_bars:
            raise AbcError(f'"{shorten(token)}" rests for an absurd number of bars')
        ticks = int((voice.metre or Fraction(1)) * TICKS)
        for remaining in range(int(token[1:] or 1), 0, -1):
            voice.add(rest(ticks))
            if remaining > 1:
                voice.settle()
                self._close("|", line, 1)
                voice.text, voice.line = token, line
