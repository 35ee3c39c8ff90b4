"""The one normal form of a tune, as models read and write it.

Header: one field a line, `X:1` always, values in one spelling (`C|` is `2/2`, `E Minor` is `Em`).
Body: no titles, lyrics, comments, annotations, fingerings or layout. White space: exactly one blank
round each bar line; inside a bar one blank where the source has any, so that beams stay; none behind
what belongs to the next note (chord symbols, `(3`, `>`, fields). A line ends with each section
(repeat, double or thick bar), with `|]` at the end unless a repeat stands there. Notes: `c,` is `C`,
`A1` is `A`, `A/2` is `A/`; ties to another pitch are slurs. Writing the form of the form changes
nothing, and pitches, durations and bars are those of the source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from musicllm.music.abc.keys import parse_key
from musicllm.music.abc.limits import DEFAULT_LIMITS
from musicllm.music.abc.model import Score
from musicllm.music.abc.parser import chord_symbol, parse
from musicllm.music.abc.source import Line, parse_metre, parse_unit_length, read_source
from musicllm.music.abc.tokens import (
    CHORD,
    LENGTH,
    NOTE,
    SEGMENT,
    SPACED_TOKEN,
    BarLine,
    bare_chord,
    read_bar_line,
)

FIELDS = ("X", "R", "L", "M", "K")
_WRAP_CHARS = 2_000


def canonical(
    tune: Score | str,
    fields: Sequence[str] = FIELDS,
    *,
    keep_grace: bool = False,
    keep_slurs: bool = False,
    keep_decorations: bool = False,
) -> str:
    """Return the normal form of a tune; its last line ends with a line feed.

    Args:
        tune: a score, or text that `parse` reads.
        fields: header fields to keep, in this order, where the tune has them; L and M must be
            among them and K must be last, since the notes mean nothing without.
        keep_grace: keep grace notes.
        keep_slurs: keep slurs, also those written as ties.
        keep_decorations: keep `.`, `~`, `!trill!` and the like.

    Raises:
        AbcError: the text is not valid ABC.
        ValueError: L, M or K is missing from `fields`.
    """
    if not fields or fields[-1] != "K" or not {"L", "M"} <= set(fields):
        raise ValueError(f"fields={tuple(fields)} must hold L and M, and K at the end")
    score = parse(tune) if isinstance(tune, str) else tune
    values = {
        **{letter: " ".join(value.split()) for letter, value in score.header.items()},
        "X": "1",
        "R": " ".join(score.header.get("R", "").lower().split()),
        "L": str(score.unit_length),
        "M": score.metre_text,
        "K": score.key.name,
    }
    header = [f"{letter}:{values[letter]}" for letter in fields if values.get(letter)]
    writer = Writer(keep_grace, keep_slurs, keep_decorations, name_voices=len(score.voices) > 1)
    for line in read_source(score.source, DEFAULT_LIMITS).body:
        writer.line(line)
    return "\n".join([*header, writer.finish()]) + "\n"


def canonical_bar(text: str) -> str:
    """Return the normal form of music without bar lines, such as the text of a `Bar`."""
    writer = Writer()
    writer.content(text)
    return "".join(writer.out)


class Writer:
    """Writes the body of a tune, bar by bar."""

    def __init__(
        self,
        keep_grace: bool = False,
        keep_slurs: bool = False,
        keep_decorations: bool = False,
        name_voices: bool = False,
    ) -> None:
        self.keep_grace = keep_grace
        self.keep_slurs = keep_slurs
        self.keep_decorations = keep_decorations
        self.name_voices = name_voices
        self.out: list[str] = []
        self.line_chars = 0
        self.in_bar = False
        self.blank = False
        self.glue = True
        self.pending: BarLine | None = None
        self.fields: list[str] = []
        self.voice = ""
        self.last_note: tuple[int, str, str] | None = None
        self.tied: dict[str, tuple[int, str, str]] = {}

    def line(self, line: Line) -> None:
        """Write a line of the body."""
        if line.field:
            self.field(line.field, line.text)
            return
        for found in SEGMENT.finditer(line.text):
            if found[1].strip():
                self.content(found[1])
            if found[2]:
                self.bar_line(read_bar_line(found[2], DEFAULT_LIMITS))
        self.blank = True

    def finish(self) -> str:
        """Close the tune and return its body."""
        for position, _, _ in self.tied.values():
            self.out[position] = self.out[position].removesuffix("-")
        end = self.pending
        self.pending = None
        text = "".join(self.out).rstrip()
        return text + (" :|" if end is not None and end.closes_repeat else " |]")

    def bar_line(self, bar_line: BarLine) -> None:
        """Take a bar line; it is written with what follows, so that neighbours become one."""
        self.pending = bar_line if self.pending is None else self.pending.joined(bar_line)
        self.last_note = None

    def field(self, letter: str, value: str) -> None:
        """Write a field that stands in the body, on a line or in brackets."""
        if letter == "V":
            self._switch_voice(value.split(maxsplit=1)[0])
        elif letter == "K":
            self.fields.append(f"[K:{parse_key(value).name}]")
        elif letter == "M":
            self.fields.append(f"[M:{parse_metre(value)[1]}]")
        elif letter == "L":
            self.fields.append(f"[L:{parse_unit_length(value)}]")

    def content(self, text: str) -> None:
        """Write music without bar lines."""
        for space, token in SPACED_TOKEN.findall(text):
            self.blank = self.blank or bool(space)
            self._token(token)
        self.blank = self.blank or text[-1:].isspace()

    def _switch_voice(self, name: str) -> None:
        if name == self.voice or not self.name_voices:
            return
        self._flush()
        self.voice = name
        if self.line_chars:
            self._newline()
        self._put(f"[V:{name}] ")
        self.glue = True

    def _token(self, token: str) -> None:
        first = token[0]
        note = NOTE.fullmatch(token)
        if note is not None:
            self._note(*note.groups())
        elif first == '"':
            symbol = chord_symbol(token)
            if symbol:
                self._word(f'"{symbol}"', glue=True)
        elif first == "[":
            self._bracket(token)
        elif first in "<>":
            self._word(token, glue=True, attach=True)
        elif first == "(" and len(token) > 1:
            self._word(token.rstrip(":"), glue=True)
        elif first in "ZX":
            self._word("Z" + (token[1:].lstrip("0") if token[1:] != "1" else ""))
        elif first == "-":
            self._late_tie()
        else:
            self._ornament(token)

    def _note(self, sign: str, letter: str, octave: str, length: str, tie: str) -> None:
        head = _head(letter, octave)
        self._resolve_tie(sign, head)
        self._word(f"{sign}{head}{_length(length)}{tie}")
        if head != "z":
            self.last_note = (len(self.out) - 1, sign, head)
            if tie and not self.keep_slurs:
                self.tied[self.voice] = self.last_note

    def _late_tie(self) -> None:
        """Tie the last note to the next, where a `-` stands apart from it."""
        if self.last_note and not self.out[self.last_note[0]].endswith("-"):
            self.out[self.last_note[0]] += "-"
            if not self.keep_slurs:
                self.tied[self.voice] = self.last_note

    def _resolve_tie(self, sign: str, head: str) -> None:
        """Drop a tie before another pitch."""
        position, tied_sign, tied_head = self.tied.pop(self.voice, (0, "", ""))
        if tied_head and (tied_head != head or (sign and tied_sign and sign != tied_sign)):
            self.out[position] = self.out[position].removesuffix("-")

    def _bracket(self, token: str) -> None:
        if token[2] == ":" and token[1].isalpha():
            self.field(token[1], token[3:-1].strip())
            return
        chord = CHORD.fullmatch(token)
        assert chord is not None, f"{token} passed the parser"
        self.tied.pop(self.voice, None)
        self.last_note = None
        notes = (
            f"{sign}{_head(letter, octave)}{_length(length)}{tie}"
            for sign, letter, octave, length, tie in NOTE.findall(bare_chord(chord[1]))
        )
        self._word(f"[{''.join(notes)}]{_length(chord[2])}{chord[3]}")

    def _ornament(self, token: str) -> None:
        """Write what the caller wants kept of grace notes, slurs and decorations."""
        first = token[0]
        if first == "{" and self.keep_grace:
            self._word("".join(token.split()), glue=True)
        elif token in ("(", ")") and self.keep_slurs:
            self._word(token, glue=token == "(", attach=token == ")")
        elif self.keep_decorations and (len(token) > 2 or re.fullmatch(r"[.~H-Wh-w]", token)):
            self._word(token, glue=True)

    def _word(self, text: str, glue: bool = False, attach: bool = False) -> None:
        """Write a word; `glue` forbids a blank behind it, `attach` one before it."""
        self._flush()
        if self.blank and not self.glue and not attach:
            self._put(" ")
        self._put("".join(self.fields) + text)
        self.fields.clear()
        self.blank, self.glue, self.in_bar = False, glue, True

    def _flush(self) -> None:
        """Write the bar line that stands before the next word."""
        line, self.pending = self.pending, None
        if line is None:
            return
        if self.in_bar:
            ends = ":|" if line.closes_repeat else "|]" if line.final else "||"
            if line.ending:
                self._put(f" {':|' if line.closes_repeat else '|'}{line.ending} ")
            elif line.section:
                plain = line.opens_repeat and not line.closes_repeat and not line.final
                self._put(" |" if plain else f" {ends}")
                self._newline()
            else:
                self._put(" | ")
                if self.line_chars > _WRAP_CHARS:
                    self._newline()
        elif line.ending:
            self._put(f"|{line.ending} ")
        if line.opens_repeat and not line.ending:
            self._put("|: ")
        self.in_bar, self.blank, self.glue = False, False, True

    def _newline(self) -> None:
        self.out[-1] = self.out[-1].rstrip()
        self.out.append("\n")
        self.line_chars = 0

    def _put(self, text: str) -> None:
        self.out.append(text)
        self.line_chars += len(text)


@lru_cache(maxsize=1024)
def _head(letter: str, octave: str) -> str:
    """Return a note's letter and octave marks in the shortest spelling."""
    if letter in "zx":
        return "z"
    height = letter.islower() + octave.count("'") - octave.count(",")
    return letter.lower() + "'" * (height - 1) if height > 0 else letter.upper() + "," * -height


@lru_cache(maxsize=1024)
def _length(length: str) -> str:
    """Return a note length in the shortest spelling."""
    found = LENGTH.fullmatch(length)
    assert found is not None, f"length {length} passed the parser"
    times, slashes, parts = found.groups()
    multiple = int(times or 1)
    divisor = int(parts) if parts else 2 ** len(slashes)
    while multiple % 2 == 0 and divisor % 2 == 0:
        multiple, divisor = multiple // 2, divisor // 2
    shown = "" if divisor == 1 else "/" if divisor == 2 else f"/{divisor}"
    return (str(multiple) if multiple > 1 else "") + shown
