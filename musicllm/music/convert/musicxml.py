"""Writes a parsed tune as MusicXML 4.0, one part for each voice.

Written are pitches as spelled, durations with tuplets and ties, keys and metres with their changes,
repeats, endings, chord symbols, slurs, grace notes, beams, the usual decorations, parts, title,
composer and tempo. Not written: lyrics, annotations and unusual decorations. Source: MusicXML 4.0,
https://www.w3.org/2021/06/musicxml40/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from musicllm.music.abc import Bar, Key, Score
from musicllm.music.convert.notes import NoteWriter
from musicllm.music.convert.signature import key_element
from musicllm.music.convert.written import WrittenBar, written

MIDDLE_C = 60
"""Voices whose mean pitch is below are written in the bass clef."""

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN"
  "http://www.musicxml.org/dtds/partwise.dtd">
"""
_TEMPO = re.compile(r'(?:"[^"]*"\s*)?(\d+)/(\d+)\s*=\s*(\d+)(?:\s*"[^"]*")?')
_UNITS = {1: "whole", 2: "half", 4: "quarter", 8: "eighth", 16: "16th", 32: "32nd", 64: "64th"}


def to_musicxml(score: Score, *, program: int | None = None) -> str:
    """Return a tune as a document of MusicXML 4.0, partwise.

    A score whose notes do not sound as written (clefs with octaves, `transpose=`) has to be
    rewritten first (`render.notation.at_sounding_pitch`).

    Args:
        score: a tune.
        program: General MIDI number of the instrument that plays it, from 0; None states none.

    Raises:
        AbcError: a voice changes within a bar, or a note has no value in MusicXML.
    """
    root = Element("score-partwise", version="4.0")
    if title := score.header.get("T"):
        SubElement(SubElement(root, "work"), "work-title").text = title
    identification = SubElement(root, "identification")
    if composer := score.header.get("C"):
        SubElement(identification, "creator", type="composer").text = composer
    SubElement(SubElement(identification, "encoding"), "software").text = "musicllm"
    parts = SubElement(root, "part-list")
    for number, name in enumerate(score.voices, start=1):
        part = SubElement(parts, "score-part", id=f"P{number}")
        SubElement(part, "part-name", {"print-object": "no"}).text = f"Voice {name}"
        if program is not None:
            _add_instrument(part, f"P{number}-I1", program)
    for number, name in enumerate(score.voices, start=1):
        bars = written(score, name)
        part = SubElement(root, "part", id=f"P{number}")
        _Part(part, bars, score.header.get("Q", "") if number == 1 else "").write()
    indent(root)
    return _HEAD + tostring(root, encoding="unicode") + "\n"


def _add_instrument(part: Element, name: str, program: int) -> None:
    """State the instrument of a part; MusicXML counts programs from 1."""
    SubElement(SubElement(part, "score-instrument", id=name), "instrument-name")
    SubElement(SubElement(part, "midi-instrument", id=name), "midi-program").text = str(program + 1)


def is_low(bars: Sequence[Bar]) -> bool:
    """Return whether the mean pitch of a voice is below middle C."""
    pitches = [pitch for bar in bars for note in bar.notes for pitch in note.pitches]
    return bool(pitches) and sum(pitches) < MIDDLE_C * len(pitches)


class _Part:
    """Writes the bars of a voice."""

    def __init__(self, element: Element, bars: Sequence[WrittenBar], tempo: str) -> None:
        self.element = element
        self.bars = bars
        self.tempo = tempo
        quarters = (4 * note.duration for bar in bars for note in bar.bar.notes)
        self.divisions = lcm(*(length.denominator for length in quarters), 8)
        self.notes = NoteWriter(self.divisions)
        self.key: Key | None = None
        self.metre: tuple[int, int] | None = (0, 0)
        self.ending = ""

    def write(self) -> None:
        """Write all bars."""
        is_pickup = _is_short(self.bars[0].bar)
        for place, bar in enumerate(self.bars):
            measure = SubElement(self.element, "measure", number=str(place + (not is_pickup)))
            if _is_short(bar.bar):
                measure.set("implicit", "yes")
            self._attributes(measure, bar, place)
            self._left(measure, bar.bar)
            if place == 0:
                _add_tempo(measure, self.tempo)
            if bar.bar.part:
                direction = SubElement(measure, "direction", placement="above")
                SubElement(SubElement(direction, "direction-type"), "rehearsal").text = bar.bar.part
            following = self.bars[place + 1] if place + 1 < len(self.bars) else None
            self.notes.add_bar(measure, bar, following)
            changed = [note.key for note in bar.notes if note.key]
            self.key = changed[-1] if changed else self.key
            self._right(measure, bar.bar, following.bar if following else None)

    def _attributes(self, measure: Element, bar: WrittenBar, place: int) -> None:
        attributes = Element("attributes")
        if place == 0:
            SubElement(attributes, "divisions").text = str(self.divisions)
        if bar.bar.key != self.key:
            attributes.append(key_element(bar.bar.key))
            self.key = bar.bar.key
        if bar.metre != self.metre:
            time = SubElement(attributes, "time")
            if bar.metre is None:
                SubElement(time, "senza-misura")
            else:
                SubElement(time, "beats").text = str(bar.metre[0])
                SubElement(time, "beat-type").text = str(bar.metre[1])
            self.metre = bar.metre
        if place == 0:
            clef = SubElement(attributes, "clef")
            low = is_low([bar.bar for bar in self.bars])
            SubElement(clef, "sign").text = "F" if low else "G"
            SubElement(clef, "line").text = "4" if low else "2"
        if len(attributes):
            measure.append(attributes)

    def _left(self, measure: Element, bar: Bar) -> None:
        if not bar.opens_repeat and not bar.ending:
            return
        line = SubElement(measure, "barline", location="left")
        if bar.opens_repeat:
            SubElement(line, "bar-style").text = "heavy-light"
        if bar.ending:
            self.ending = _numbers(bar.ending)
            SubElement(line, "ending", number=self.ending, type="start").text = f"{self.ending}."
        if bar.opens_repeat:
            SubElement(line, "repeat", direction="forward")

    def _right(self, measure: Element, bar: Bar, following: Bar | None) -> None:
        """Write the bar line after a bar, unless it is a plain one."""
        leads_on = following is not None and bool(following.ending)
        ends_ending = bool(self.ending) and (bar.closes_section or following is None)
        style = ""
        if bar.closes_repeat or following is None:
            style = "light-heavy"
        elif bar.closes_section and not leads_on and not following.opens_repeat:
            style = "light-light"
        if not style and not ends_ending:
            return
        line = SubElement(measure, "barline", location="right")
        if style:
            SubElement(line, "bar-style").text = style
        if ends_ending:
            kind = "stop" if bar.closes_repeat else "discontinue"
            SubElement(line, "ending", number=self.ending, type=kind)
            self.ending = ""
        if bar.closes_repeat:
            SubElement(line, "repeat", direction="backward")


def _numbers(ending: str) -> str:
    """Return the numbers of an ending as MusicXML lists them: `1-3` is `1, 2, 3`."""
    numbers: list[int] = []
    for part in ending.split(","):
        first, _, last = part.partition("-")
        if first and (last or "-" not in part):
            numbers += range(int(first), int(last or first) + 1)
    return ", ".join(map(str, numbers)) or "1"


def _is_short(bar: Bar) -> bool:
    return bar.metre is not None and bar.duration < bar.metre


def _add_tempo(measure: Element, value: str) -> None:
    """Write the value of a `Q:` field, such as `3/8=120`; other forms have no effect."""
    match = _TEMPO.fullmatch(value.strip())
    if match is None:
        return
    unit = Fraction(int(match[1]), max(1, int(match[2])))
    dotted = unit.numerator == 3
    name = _UNITS.get(unit.denominator // 2 if dotted else unit.denominator)
    quarters_per_minute = float(unit * 4 * int(match[3]))
    if not 1 <= quarters_per_minute <= 1000:
        return
    direction = SubElement(measure, "direction", placement="above")
    kind = SubElement(direction, "direction-type")
    if name and unit.numerator in (1, 3):
        metronome = SubElement(kind, "metronome")
        SubElement(metronome, "beat-unit").text = name
        if dotted:
            SubElement(metronome, "beat-unit-dot")
        SubElement(metronome, "per-minute").text = match[3]
    else:
        SubElement(kind, "words").text = value.strip()
    SubElement(direction, "sound", tempo=f"{quarters_per_minute:g}")
