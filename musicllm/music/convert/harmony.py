"""Chord symbols as `harmony` elements of MusicXML: root, kind, added and altered degrees, bass."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement

from musicllm.music.abc.chord_symbols import Chord, read_chord
from musicllm.music.abc.keys import ALTERATIONS

KINDS = {
    "": "major", "m": "minor", "dim": "diminished", "aug": "augmented",
    "7": "dominant", "maj7": "major-seventh", "m7": "minor-seventh", "dim7": "diminished-seventh",
    "aug7": "augmented-seventh", "m7b5": "half-diminished", "mmaj7": "major-minor",
    "6": "major-sixth", "m6": "minor-sixth", "9": "dominant-ninth", "maj9": "major-ninth",
    "m9": "minor-ninth", "11": "dominant-11th", "maj11": "major-11th", "m11": "minor-11th",
    "13": "dominant-13th", "maj13": "major-13th", "m13": "minor-13th", "sus2": "suspended-second",
    "sus4": "suspended-fourth", "5": "power",
}  # fmt: skip
"""Quality in our spelling -> `kind` of MusicXML 4.0."""

_DEGREES = re.compile(r"(?P<type>add|no)?(?P<sign>[b#]?)(?P<degree>[0-9]+)")
_JOINED = {
    "7sus4": ("sus4", ("add7",)), "maj7sus4": ("sus4", ("add#7",)),
    "9sus4": ("sus4", ("add7", "add9")), "13sus4": ("sus4", ("add7", "add13")),
    "7sus2": ("sus2", ("add7",)),
    "69": ("6", ("add9",)), "m69": ("m6", ("add9",)), "7alt": ("7", ("b5", "#5", "b9", "#9")),
    "mmaj9": ("mmaj7", ("add9",)), "mmaj11": ("mmaj7", ("add9", "add11")),
}  # fmt: skip
"""Qualities without a kind of their own -> the kind and the degrees that are added to it."""


def harmonies(symbol: str | None) -> list[Element]:
    """Return the elements of the chord symbols over a note (joined by `;`).

    A text that is no supported chord becomes words above the staff.
    """
    return [_harmony(text) for text in (symbol or "").split(";") if text]


def _harmony(text: str) -> Element:
    chord = read_chord(text)
    if chord is None:
        direction = Element("direction", placement="above")
        SubElement(SubElement(direction, "direction-type"), "words").text = text
        return direction
    element = Element("harmony")
    if not chord.root:
        _root(element, "root", "C")
        SubElement(element, "kind", text=chord.symbol).text = "none"
        return element
    _root(element, "root", chord.root)
    kind, degrees = _kind(chord)
    SubElement(element, "kind", text=chord.quality).text = kind
    if chord.bass:
        _root(element, "bass", chord.bass)
    for value, alter, change in degrees:
        degree = SubElement(element, "degree")
        SubElement(degree, "degree-value").text = value
        SubElement(degree, "degree-alter").text = str(alter)
        SubElement(degree, "degree-type").text = change
    return element


def _root(parent: Element, name: str, note: str) -> None:
    root = SubElement(parent, name)
    SubElement(root, f"{name}-step").text = note[0]
    if note[1:]:
        SubElement(root, f"{name}-alter").text = str(ALTERATIONS[note[1:]])


def _kind(chord: Chord) -> tuple[str, list[tuple[str, int, str]]]:
    """Return the kind, and (degree, alteration, add | alter | subtract) of what differs from it."""
    name = chord.quality.strip("()")
    whole = next((size for size in range(len(name), -1, -1) if name[:size] in KINDS | _JOINED), 0)
    base, rest = name[:whole], name[whole:]
    base, joined = _JOINED.get(base, (base, ()))
    degrees = []
    for match in _DEGREES.finditer(" ".join((*joined, rest))):
        change = {"add": "add", "no": "subtract"}.get(match["type"] or "", "alter")
        if change == "alter" and match["degree"] not in ("5",):
            change = "add"  # no kind without the degree has it yet
        alter = {"b": -1, "#": 1}.get(match["sign"], 0)
        if match["degree"] == "7" and change == "add":
            alter -= 1  # a seventh is minor unless it is raised
        degrees.append((match["degree"], alter, change))
    return KINDS[base], degrees
