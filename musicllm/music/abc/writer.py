"""Writes the body of a tune in the canonical form (`canonical`), word by word.

The input must have passed the parser.
"""

from __future__ import annotations

import re
from collections import defaultdict

from musicllm.music.abc.clefs import Staves
from musicllm.music.abc.keys import names_key, parse_key
from musicllm.music.abc.limits import DEFAULT_LIMITS
from musicllm.music.abc.rhythm import shortest_length
from musicllm.music.abc.source import BodyLine, parse_metre, parse_unit_length
from musicllm.music.abc.spelling import (
    Phrase,
    Spelling,
    spell,
    spell_note,
    spell_phrase,
    spell_sign,
)
from musicllm.music.abc.tokens import (
    CHORD,
    NOTE,
    SEGMENT,
    SPACED_TOKEN,
    BarLine,
    bare_chord,
    read_bar_line,
)

_WRAP_CHARS = 2_000
_DECORATION = re.compile(r"[.~H-Wh-w]|!.+!|\+.+\+")


class CanonicalWriter:
    """Writes the body of a tune, bar by bar."""

    def __init__(
        self,
        keep_grace: bool = False,
        keep_slurs: bool = False,
        keep_decorations: bool = False,
        name_voices: bool = False,
        staves: Staves | None = None,
    ) -> None:
        self.keep_grace = keep_grace
        self.keep_slurs = keep_slurs
        self.keep_decorations = keep_decorations
        self.keeps_more = keep_grace or keep_slurs or keep_decorations
        self.name_voices = name_voices
        self.staves = staves
        self.out: list[str] = []
        self.line_chars = 0
        self.in_bar = False
        self.blank = False
        self.glue = True
        self.pending: BarLine | None = None
        self.fields: defaultdict[str, list[str]] = defaultdict(list)
        self.voice = self.named_voice = ""
        self.last_note: tuple[int, str, str] | None = None
        self.tied: dict[str, tuple[int, str, str]] = {}

    def line(self, line: BodyLine) -> None:
        """Write a line of the body."""
        if line.field:
            self.field(line.field, line.text)
            return
        for segment in SEGMENT.finditer(line.text):
            if segment[1].strip():
                self.content(segment[1])
            if segment[2]:
                self.bar_line(read_bar_line(segment[2], DEFAULT_LIMITS.max_ending))
        self.blank = True

    def finish(self) -> str:
        """Write the final bar line and return the body."""
        for position, _, _ in self.tied.values():
            self.out[position] = self.out[position].removesuffix("-")
        end = self.pending
        self.pending = None
        text = "".join(self.out).rstrip()
        return text + (" :|" if end is not None and end.closes_repeat else " |]")

    def bar_line(self, bar_line: BarLine) -> None:
        """Add a bar line; it is written with the next word, so that neighbours are merged."""
        self.pending = bar_line if self.pending is None else self.pending.joined(bar_line)
        self.last_note = None

    def field(self, letter: str, value: str) -> None:
        """Write a field of the body, from a line or from brackets."""
        if letter == "V":
            self._switch_voice(value.split(maxsplit=1)[0])
        if self.staves is not None and letter in "KV":
            self.staves.apply(letter, value)
        elif letter == "K" and not value:
            self.fields[self.voice].append("[K:none]")
        elif letter == "K" and names_key(value):
            self.fields[self.voice].append(f"[K:{parse_key(value).name}]")
        elif letter == "M":
            self.fields[self.voice].append(f"[M:{parse_metre(value)[1]}]")
        elif letter == "L":
            self.fields[self.voice].append(f"[L:{parse_unit_length(value)}]")

    def content(self, text: str) -> None:
        """Write music without bar lines."""
        phrase = None if self.keeps_more else spell_phrase(text)
        if phrase is not None:
            self._phrase(phrase)
            return
        for space, token in SPACED_TOKEN.findall(text):
            self.blank = self.blank or bool(space)
            self._token(token)
        self.blank = self.blank or text[-1:].isspace()

    def _switch_voice(self, name: str) -> None:
        """Change the voice; its name is written with its next word."""
        if name == self.voice or not self.name_voices:
            return
        self._flush()
        self.voice = name

    def _name_voice(self) -> None:
        if self.voice == self.named_voice:
            return
        self.named_voice = self.voice
        if self.line_chars:
            self._newline()
        self._put(f"[V:{self.voice}] ")
        self.glue = True

    def _phrase(self, phrase: Phrase) -> None:
        """Write a phrase as one word."""
        if self.tied:
            self._resolve_tie(phrase.first.sign, phrase.first.head)
        self.blank = self.blank or phrase.blank_before
        self._word(phrase.text)
        self._remember_note(phrase.last)
        self.blank = phrase.blank_after

    def _token(self, token: str) -> None:
        note = spell(token)
        if note is not None:
            self._note(note)
        elif word := spell_sign(token):
            self._word(*word)
        elif token[0] == "[":
            self._bracket(token)
        elif token[0] in "ZX":
            self._word("Z" + (token[1:].lstrip("0") if token[1:] != "1" else ""))
        elif token[0] == "-":
            self._late_tie()
        else:
            self._ornament(token)

    def _note(self, note: Spelling) -> None:
        if self.tied:
            self._resolve_tie(note.sign, note.head)
        self._word(note.text)
        self._remember_note(note)

    def _remember_note(self, note: Spelling) -> None:
        if note.head != "z":
            self.last_note = (len(self.out) - 1, note.sign, note.head)
            if note.tie and not self.keep_slurs:
                self.tied[self.voice] = self.last_note

    def _late_tie(self) -> None:
        """Tie the last note to the next at a separate `-`."""
        if self.last_note and not self.out[self.last_note[0]].endswith("-"):
            self.out[self.last_note[0]] += "-"
            if not self.keep_slurs:
                self.tied[self.voice] = self.last_note

    def _resolve_tie(self, sign: str, head: str) -> None:
        """Remove a tie to another pitch."""
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
        notes = (spell_note(*note).text for note in NOTE.findall(bare_chord(chord[1])))
        self._word(f"[{''.join(notes)}]{shortest_length(chord[2])}{chord[3]}")

    def _ornament(self, token: str) -> None:
        """Write grace notes, slurs and decorations that are kept."""
        first = token[0]
        if first == "{" and self.keep_grace:
            self._word("".join(token.split()), glue=True)
        elif token in ("(", ")") and self.keep_slurs:
            self._word(token, glue=token == "(", attach=token == ")")
        elif self.keep_decorations and _DECORATION.fullmatch(token):
            self._word(token, glue=True)

    def _word(self, text: str, glue: bool = False, attach: bool = False) -> None:
        """Write a word; `glue` forbids a blank after it, `attach` before it."""
        if self.pending is not None:
            self._flush()
        self._name_voice()
        if self.staves is not None:
            self.fields[self.voice] += self.staves.markers(self.voice)
        if self.blank and not self.glue and not attach:
            self._put(" ")
        if fields := self.fields[self.voice]:
            self._put("".join(fields))
            fields.clear()
        self._put(text)
        self.blank, self.glue, self.in_bar = False, glue, True

    def _flush(self) -> None:
        """Write the bar line before the next word."""
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
