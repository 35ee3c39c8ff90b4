"""Rewrites ABC for the readers of the engravers, which support only part of ABC 2.1.

The reader of verovio 6.4, by experiment: it drops a last bar without a bar line, drops the note
after `[1` without a space, loses the bar line of `::`, does not draw endings, and places voices one
after another instead of below each other. The reader of music21 10 starts a new staff whenever a
voice comes back. Tempo marks are removed from scores. Nothing here changes how a note sounds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from musicllm.music.abc import AbcError, Bar, canonical, parse
from musicllm.music.abc.clefs import may_shift

MIDDLE_C = 60
"""Voices whose mean pitch is below are drawn with a bass clef."""

_FIELD = re.compile(r"[A-Za-z+]:")
_KEY = re.compile(r"K:")
_FIELDS = ("X", "T", "R", "C", "Q", "L", "M", "K")
_TEMPO = re.compile(r"^Q:.*\n|\[Q:[^\]]*\]", re.MULTILINE)
_VOICE_LINE = re.compile(r"V:\s*(\S+)\s*(.*)")
_INLINE_VOICE = re.compile(r"\[V:\s*([^\s\]]+)\s*([^\]]*)\]\s*")
_ENDING = re.compile(r'(?:(?<=\|)\s*|(?<=\|)\s*\[|\[)(\d[\d,-]*)\s*("[\^_<>@]?)?')
_QUOTED = re.compile(r'"([^"]*)"')
_PLACE = re.compile(r"@(?:\s*-?[\d.]+\s*,\s*-?[\d.]+)?\s*")
_CLOSED = re.compile(r"\|\]?$")


def at_sounding_pitch(abc: str) -> str:
    """Return a tune with its voices written as they sound; most are, and are returned unchanged.

    abc2midi misreads some octaves of clefs, and neither engraver supports them, `octave=` or
    `transpose=`. Such a tune loses its lyrics and the texts above the staff, and each voice gets
    the clef that suits its notes. A tune that does not parse is returned unchanged.
    """
    if not may_shift(abc):
        return abc
    try:
        score = parse(abc)
        tune = canonical(score, _FIELDS, keep_grace=True, keep_slurs=True, keep_decorations=True)
    except AbcError:
        return abc
    head, key, body = tune.partition("\nK:")
    clefs = {name: _clef(score.voice(name)) for name in score.voices}
    if len(clefs) == 1:
        name, _, music = body.partition("\n")
        return f"{head}{key}{name} clef={clefs.popitem()[1]}\n{music}"
    voices = "".join(f"\nV:{name} clef={clef}" for name, clef in clefs.items())
    return f"{head}{voices}{key}{body}"


def _clef(bars: Sequence[Bar]) -> str:
    pitches = [pitch for bar in bars for note in bar.notes for pitch in note.pitches]
    return "bass" if pitches and sum(pitches) < MIDDLE_C * len(pitches) else "treble"


def placed_above(abc: str) -> str:
    """Return a tune whose texts at places of their own, such as `"@1,2 hi"`, are above the staff.

    Neither engraver knows such places (ABC 2.1, section 4.19); verovio would print the numbers.
    """
    lines = abc.splitlines()
    placed = [line if _FIELD.match(line) else _QUOTED.sub(_above, line) for line in lines]
    return "\n".join(placed) + "\n"


def _above(match: re.Match[str]) -> str:
    place = _PLACE.match(match[1])
    return f'"^{match[1][place.end() :]}"' if place else match[0]


def without_tempo(abc: str) -> str:
    """Return a tune without tempo marks."""
    return _TEMPO.sub("", abc)


def for_verovio(abc: str) -> str:
    """Return a tune of one voice with a final bar line, and endings as text above the staff."""
    lines = [
        line if _FIELD.match(line) else _ENDING.sub(_ending, line.replace("::", ":|:"))
        for line in _TEMPO.sub("", abc).splitlines()
    ]
    music = [i for i, line in enumerate(lines) if not _FIELD.match(line)]
    if music and not _CLOSED.search(lines[music[-1]]):
        last = lines[music[-1]].rstrip(":\\ ")
        lines[music[-1]] = last if _CLOSED.search(last) else f"{last}|"
    return "\n".join(lines) + "\n"


def _ending(match: re.Match[str]) -> str:
    """Return an ending as text, joined with the text that follows: only one is drawn."""
    return f'"{match[1]}. ' if match[2] else f'"^{match[1]}."'


def num_voices(abc: str) -> int:
    """Count the voices that have lines of their own."""
    return max(1, len(_split(abc)[1]))


def by_voice(abc: str) -> str:
    """Return a tune with all lines of a voice together, as the reader of music21 needs them."""
    header, voices = _split(abc)
    blocks = [line for name, lines in voices.items() for line in (f"V:{name}", *lines)]
    return "\n".join([*header, *blocks]) + "\n"


def _split(abc: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the header without voices, and the lines of each voice (`id properties`)."""
    header: list[str] = []
    properties: dict[str, str] = {}
    lines_of: dict[str, list[str]] = {}
    voice, in_header = "1", True
    for line in _INLINE_VOICE.sub(r"\nV:\1 \2\n", _TEMPO.sub("", abc)).splitlines():
        match = _VOICE_LINE.match(line)
        if match:
            voice = match[1]
            properties[voice] = match[2].strip() or properties.get(voice, "")
        elif in_header:
            header.append(line)
            if _KEY.match(line):
                in_header = False
                voice = next(iter(properties), voice)
        elif line:
            lines_of.setdefault(voice, []).append(line)
    named = {f"{v} {properties.get(v, '')}".strip(): lines for v, lines in lines_of.items()}
    return header, named
