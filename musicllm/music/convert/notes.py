"""Writes the notes of a bar as MusicXML: pitches, values, ties, tuplets, beams, slurs, graces."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from musicllm.music.convert.harmony import harmonies
from musicllm.music.convert.lengths import Value, beams, values
from musicllm.music.convert.signature import key_element
from musicllm.music.convert.written import Pitch, WrittenBar, WrittenNote, shown_accidentals

_ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_ARTICULATIONS = {
    ".": "staccato", ">": "accent", "accent": "accent", "emphasis": "accent", "L": "accent",
    "tenuto": "tenuto", "breath": "breath-mark",
}  # fmt: skip
_ORNAMENTS = {
    "T": "trill-mark", "trill": "trill-mark", "~": "turn", "turn": "turn", "roll": "turn",
    "M": "mordent", "mordent": "mordent", "lowermordent": "mordent", "P": "inverted-mordent",
    "pralltriller": "inverted-mordent", "uppermordent": "inverted-mordent",
}  # fmt: skip
_BOWS = {"u": "up-bow", "upbow": "up-bow", "v": "down-bow", "downbow": "down-bow"}
_FERMATAS = {"H": "fermata", "fermata": "fermata"}
_GROUPS = {"articulations": _ARTICULATIONS, "ornaments": _ORNAMENTS, "technical": _BOWS}
"""Decorations of ABC 2.1, section 4.14, as elements of MusicXML, by the group they stand in."""


class _Piece(NamedTuple):
    """One note value of a note; a note of several is tied.

    Attributes:
        note: the note.
        value: the value.
        tuplet: p notes in the time of q.
        held: MIDI numbers of the note that are tied to the next note.
        shown: for each pitch of the note, whether an accidental is drawn.
        beams: by level.
        is_first: first value of the note.
        is_last: last value of the note.
        is_whole: the note is the whole bar.
    """

    note: WrittenNote
    value: Value
    tuplet: tuple[int, int]
    held: frozenset[int]
    shown: Sequence[bool]
    beams: Sequence[str]
    is_first: bool
    is_last: bool
    is_whole: bool

    @property
    def length(self) -> Fraction:
        """Duration as a fraction of a whole note."""
        p, q = self.tuplet
        is_bar_rest = self.is_whole and not self.note.pitches
        return self.note.note.duration if is_bar_rest else self.value.length * q / p


class NoteWriter:
    """Writes the notes of a voice, bar after bar.

    Args:
        divisions: of a quarter note.
    """

    def __init__(self, divisions: int) -> None:
        self.divisions = divisions
        self.tied: frozenset[int] = frozenset()
        self.open_slurs: list[int] = []

    def add_bar(self, measure: Element, bar: WrittenBar, following: WrittenBar | None) -> None:
        """Append the notes of a bar to its measure; `following` is where a tie may lead.

        Raises:
            AbcError: a note has no value in MusicXML.
        """
        divided = [values(note.note.duration, note.tuplet) for note in bar.notes]
        flags = [
            parts[0].num_beams if note.pitches and len(parts) == 1 else 0
            for note, (parts, _) in zip(bar.notes, divided, strict=True)
        ]
        beamed = beams([note.joined for note in bar.notes], flags)
        brackets = _brackets(bar.notes)
        successors = [*bar.notes[1:], *(following.notes[:1] if following else ())]
        for place, (note, shown) in enumerate(zip(bar.notes, shown_accidentals(bar), strict=True)):
            if note.key:
                SubElement(measure, "attributes").append(key_element(note.key))
            measure.extend(harmonies(note.note.chord_symbol))
            for pitch in note.grace:
                _add_grace(measure, pitch)
            parts, tuplet = divided[place]
            after = successors[place].note.pitches if place < len(successors) else ()
            held = frozenset(note.note.pitches) & frozenset(after if note.note.tie else ())
            notations = [*self._slurs(note), *brackets.get(place, ()), *_decorations(note)]
            is_whole = len(bar.notes) == 1 and note.note.duration == bar.bar.metre
            if is_whole and not note.pitches:
                parts = parts[:1]
            for number, value in enumerate(parts):
                is_first, is_last = number == 0, number == len(parts) - 1
                elements = self._elements(
                    _Piece(
                        note, value, tuplet, held, shown, beamed[place], is_first, is_last, is_whole
                    )
                )
                if is_first and notations:
                    _notations(elements[0]).extend(notations)
                measure.extend(elements)
            self.tied = held

    def _elements(self, piece: _Piece) -> list[Element]:
        """Return the `note` elements of one value: one for a rest, one for each pitch else."""
        note = piece.note
        if not note.pitches:
            element = Element("note", {"print-object": "no"} if note.hidden else {})
            SubElement(element, "rest", {"measure": "yes"} if piece.is_whole else {})
            self._add_value(element, piece)
            return [element]
        elements = []
        pairs = zip(note.pitches, note.note.pitches, piece.shown, strict=True)
        for number, (pitch, height, is_shown) in enumerate(pairs):
            element = Element("note")
            if number:
                SubElement(element, "chord")
            _add_pitch(element, pitch)
            stops = not piece.is_first or height in self.tied
            starts = not piece.is_last or height in piece.held
            ties = ["stop"] * stops + ["start"] * starts
            mark = _ACCIDENTALS[pitch.alter] if is_shown and piece.is_first else ""
            self._add_value(element, piece, mark, ties)
            for level, beam in enumerate(() if number else piece.beams, start=1):
                SubElement(element, "beam", number=str(level)).text = beam
            for kind in ties:
                SubElement(_notations(element), "tied", type=kind)
            elements.append(element)
        return elements

    def _add_value(
        self, element: Element, piece: _Piece, accidental: str = "", ties: Sequence[str] = ()
    ) -> None:
        """Append duration, ties, voice, type, dots, accidental and tuplet, in this order."""
        units = piece.length * 4 * self.divisions
        assert units.denominator == 1, "divisions are a multiple of every duration"
        SubElement(element, "duration").text = str(units.numerator)
        for kind in ties:
            SubElement(element, "tie", type=kind)
        SubElement(element, "voice").text = "1"
        if piece.is_whole and not piece.note.pitches:
            return
        SubElement(element, "type").text = piece.value.type
        for _ in range(piece.value.num_dots):
            SubElement(element, "dot")
        if accidental:
            SubElement(element, "accidental").text = accidental
        if piece.tuplet != (1, 1):
            change = SubElement(element, "time-modification")
            SubElement(change, "actual-notes").text = str(piece.tuplet[0])
            SubElement(change, "normal-notes").text = str(piece.tuplet[1])

    def _slurs(self, note: WrittenNote) -> list[Element]:
        """Return the slurs that end and begin at a note: `(c(d)e)` is c to d and d to e."""
        result = []
        for _ in range(min(note.slur_stops, len(self.open_slurs))):
            number = str(self.open_slurs.pop())
            result.append(Element("slur", number=number, type="stop"))
        for _ in range(note.slur_starts):
            free = next((n for n in range(1, 7) if n not in self.open_slurs), None)
            if free is not None:
                self.open_slurs.append(free)
                result.append(Element("slur", number=str(free), type="start"))
        return result


def _notations(element: Element) -> Element:
    present = element.find("notations")
    return SubElement(element, "notations") if present is None else present


def _add_pitch(element: Element, pitch: Pitch) -> None:
    inner = SubElement(element, "pitch")
    SubElement(inner, "step").text = pitch.step
    if pitch.alter:
        SubElement(inner, "alter").text = str(pitch.alter)
    SubElement(inner, "octave").text = str(pitch.octave)


def _add_grace(measure: Element, pitch: Pitch) -> None:
    element = SubElement(measure, "note")
    SubElement(element, "grace")
    _add_pitch(element, pitch)
    SubElement(element, "voice").text = "1"
    SubElement(element, "type").text = "16th"
    if pitch.is_marked:
        SubElement(element, "accidental").text = _ACCIDENTALS[pitch.alter]


def _brackets(notes: Sequence[WrittenNote]) -> dict[int, list[Element]]:
    """Return the ends of the tuplets that begin and end in a bar, by the place of their note."""
    result: dict[int, list[Element]] = {}
    start: int | None = None
    for place, note in enumerate(notes):
        start = place if note.tuplet_starts else start
        if note.tuplet_stops and start is not None:
            result.setdefault(start, []).append(Element("tuplet", type="start", number="1"))
            result.setdefault(place, []).append(Element("tuplet", type="stop", number="1"))
            start = None
    return result


def _decorations(note: WrittenNote) -> list[Element]:
    """Return ornaments, articulations, bows and fermatas of a note."""
    result = []
    for group, names in _GROUPS.items():
        members = [names[name] for name in note.decorations if name in names]
        if members and note.pitches:
            element = Element(group)
            element.extend(Element(member) for member in dict.fromkeys(members))
            result.append(element)
    if any(name in _FERMATAS for name in note.decorations):
        result.append(Element("fermata"))
    return result
