"""Rewrites ABC so that the engravers' readers, which know only part of ABC 2.1, get it right.

verovio 6.4's reader, by experiment: it drops a last bar that no bar line closes, drops the note
after `[1` without a space, loses the bar line of `::`, does not draw endings, and writes voices
one after another instead of below each other. music21 10's reader makes a new staff whenever a
voice comes back. Tempo marks are left out of scores. Nothing here changes how a note sounds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from musicllm.music.abc import AbcError, Bar, canonical, parse
from musicllm.music.abc.clefs import may_shift

MIDDLE_C = 60
"""Voices whose notes lie below on average are drawn with a bass clef."""

_FIELD = re.compile(r"[A-Za-z+]:")
_KEY = re.compile(r"K:")
_FIELDS = ("X", "T", "R", "C", "Q", "L", "M", "K")
_TEMPO = re.compile(r"^Q:.*\n|\[Q:[^\]]*\]", re.MULTILINE)
_VOICE_LINE = re.compile(r"V:\s*(\S+)\s*(.*)")
_INLINE_VOICE = re.compile(r"\[V:\s*([^\s\]]+)\s*([^\]]*)\]\s*")
_ENDING = re.compile(r'(?:(?<=\|)\s*|(?<=\|)\s*\[|\[)(\d[\d,-]*)\s*("[\^_<>@]?)?')
_CLOSED = re.compile(r"\|\]?$")


def at_sounding_pitch(abc: str) -> str:
    """Return a tune whose voices are written as they sound; most are, and come back as they are.

    abc2midi misreads some octaves of clefs, and neither engraver knows them, `octave=` or
    `transpose=`. Lyrics and texts above the staff are left out of such a tune, and each voice gets
    the clef that suits its notes. A tune that cannot be read comes back as it is.
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


def for_verovio(abc: str) -> str:
    """Return a tune of one voice with closed bars, and endings as text above the staff."""
    lines = [
        line if _FIELD.match(line) else _for_verovio(line)
        for line in _TEMPO.sub("", abc).splitlines()
    ]
    music = [i for i, line in enumerate(lines) if not _FIELD.match(line)]
    if music and not _CLOSED.search(lines[music[-1]]):
        last = lines[music[-1]].rstrip(":\\ ")
        lines[music[-1]] = last if _CLOSED.search(last) else f"{last}|"
    return "\n".join(lines) + "\n"


def _for_verovio(music: str) -> str:
    return _ENDING.sub(_ending, music.replace("::", ":|:"))


def _ending(found: re.Match[str]) -> str:
    """Return an ending's number as text, together with the text that follows: only one shows."""
    return f'"{found[1]}. ' if found[2] else f'"^{found[1]}."'


def num_voices(abc: str) -> int:
    """Count the voices that have lines of their own."""
    return max(1, len(_split(abc)[1]))


def by_voice(abc: str) -> str:
    """Return a tune with all lines of a voice together, as music21's reader needs them."""
    header, voices = _split(abc)
    blocks = [line for name, lines in voices.items() for line in (f"V:{name}", *lines)]
    return "\n".join([*header, *blocks]) + "\n"


def _split(abc: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the header without voices, and each voice (`id properties`) with its lines."""
    header: list[str] = []
    properties: dict[str, str] = {}
    lines_of: dict[str, list[str]] = {}
    voice, in_header = "1", True
    for line in _INLINE_VOICE.sub(r"\nV:\1 \2\n", _TEMPO.sub("", abc)).splitlines():
        found = _VOICE_LINE.match(line)
        if found:
            voice = found[1]
            properties[voice] = found[2].strip() or properties.get(voice, "")
        elif in_header:
            header.append(line)
            if _KEY.match(line):
                in_header = False
                voice = next(iter(properties), voice)
        elif line:
            lines_of.setdefault(voice, []).append(line)
    named = {f"{v} {properties.get(v, '')}".strip(): lines for v, lines in lines_of.items()}
    return header, named
