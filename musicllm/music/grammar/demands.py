"""Which rules of a tune can be kept: what is wrong with those that cannot."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.errors import InputError, Problem
from musicllm.music.abc.chord_symbols import read_chord, symbol_over_note
from musicllm.music.abc.keys import height_of, place_of
from musicllm.music.abc.tokens import NOTE
from musicllm.music.grammar.bars import MAX_CHORDS
from musicllm.music.grammar.metres import key_words, metre, metre_words
from musicllm.music.grammar.plans import SECTION_BARS, Plan, can_fill, runs_of
from musicllm.music.grammar.rules import TuneRules
from musicllm.music.grammar.trie import Node

MAX_BARS = 200
MIN_SEMITONES = 12
_LOWEST, _HIGHEST = 36, 107


def problems(rules: TuneRules, prefix: str = "generation.tune") -> Iterator[Problem]:
    """Yield what is wrong with rules, by the keys under this prefix."""
    for name, rule, fix in (*_header(rules), *_range(rules), *_plan(rules), *_chords(rules)):
        yield Problem(f"{prefix}.{name}", getattr(rules, name), rule, fix)


Fault = tuple[str, str, str]
"""Name of the rule, what is wrong with its value, and what to write instead."""


def _header(rules: TuneRules) -> Iterator[Fault]:
    if rules.key is not None and not _is_word(key_words(), rules.key):
        yield "key", "is no key that the grammar writes", "write one such as G, Em or Ador"
    if rules.metre is not None:
        if not _is_word(metre_words(), rules.metre):
            yield "metre", "is no metre that the grammar writes", "write one such as 6/8"
        elif not metre(rules.metre).full and rules.num_bars is not None:
            yield "metre", "has no bars to count for num_bars", "name another or leave num_bars out"
    if not 0 <= rules.max_foreign_share <= 1:
        yield "max_foreign_share", "is no share", "write a number from 0 to 1"


def _is_word(root: Node, value: str) -> bool:
    node: Node | None = root
    for char in value:
        node = node.next.get(char) if node else None
    return node is not None and node.bit != 0


def _range(rules: TuneRules) -> Iterator[Fault]:
    pitches = []
    for name, note in (("lowest", rules.lowest), ("highest", rules.highest)):
        try:
            pitches.append(None if note is None else pitch_of(note))
        except InputError:
            yield name, "names no note", "write it as in ABC, such as G, or d'"
            return
    low, high = pitches
    if low is not None and low > _HIGHEST - MIN_SEMITONES:
        yield "lowest", "leaves no octave below b'''", "name a lower note"
    elif high is not None and high < _LOWEST + MIN_SEMITONES:
        yield "highest", "leaves no octave above C,,", "name a higher note"
    elif low is not None and high is not None and high - low < MIN_SEMITONES:
        yield "highest", f"is less than an octave above lowest={rules.lowest}", "name a higher note"


def pitch_of(note: str) -> int:
    """Return the MIDI number of a note such as `G,` or `^f'`.

    Raises:
        InputError: it is no note.
    """
    match = NOTE.fullmatch(note)
    if match is None or match[2] in "zx" or match[4] or match[5]:
        raise InputError(f'"{note}" names no note')
    alter = match[1].count("^") - match[1].count("_")
    return height_of(place_of(match[2], match[3])) + alter


def _plan(rules: TuneRules) -> Iterator[Fault]:
    num_bars = rules.num_bars
    if num_bars is not None and not 1 <= num_bars <= MAX_BARS:
        yield "num_bars", "is out of range", f"write a number from 1 to {MAX_BARS}"
        return
    if rules.form is None:
        return
    runs = runs_of(rules.form)
    names = "".join(dict.fromkeys(rules.form))
    if not names or names != "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(names)]:
        yield "form", "does not name sections A, B, ... in their order", "write one such as AABB"
    elif max(times for _, times in runs) > 2:
        yield "form", "names a section more than twice in a row", "write it once or twice"
    elif num_bars is not None and not can_fill(Plan(num_bars, runs)):
        yield "num_bars", f"cannot be the bars of form={rules.form}", "leave one of them out"
    elif num_bars is not None and runs == (("A", 1),) and num_bars > SECTION_BARS:
        rule = f"is more than the {SECTION_BARS} bars of one section that is played once"
        yield "num_bars", rule, "write form=AA or leave one of them out"


def _chords(rules: TuneRules) -> Iterator[Fault]:
    for chord in rules.chords:
        if read_chord(chord) is None or symbol_over_note(f'"{chord}"') is None:
            yield "chords", f'has "{chord}", which is no chord symbol', "write it such as Am7"
    if rules.chords and Plan(None, runs_of(rules.form or "")).comes_back:
        yield "chords", f"cannot be spread over form={rules.form}", "leave one of them out"
    if 0 < (rules.num_bars or 0) * MAX_CHORDS < len(rules.chords):
        rule = f"are more than {MAX_CHORDS} for each of num_bars={rules.num_bars}"
        yield "chords", rule, "write fewer"
