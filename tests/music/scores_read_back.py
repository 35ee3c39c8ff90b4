"""Reads MusicXML with music21, an implementation of its own, as the facts that must survive."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from musicllm.music.abc import Score
from musicllm.music.abc.chord_symbols import read_chord

Event = tuple[tuple[int, ...], Fraction]
"""MIDI numbers in order, and duration in whole notes; tied notes count as one."""


class Facts(NamedTuple):
    """What a voice says, as lists over its bars or events."""

    events: list[Event]
    bar_lengths: list[Fraction]
    signatures: list[tuple[int, ...]]
    metres: list[Fraction | None]
    repeats: list[tuple[bool, bool]]
    endings: list[str]
    chords: list[tuple[int, frozenset[int]]]


def of_musicxml(text: str) -> list[Facts]:
    """Read the voices of a document with music21."""
    from music21 import converter

    score = converter.parseData(text, format="musicxml")
    return [_facts(part) for part in score.parts]


def of_score(score: Score) -> list[Facts]:
    """Return the same facts of a tune as our parser reads it."""
    result = []
    for name in score.voices:
        bars = score.voice(name)
        notes = [note for bar in bars for note in bar.notes]
        symbols = [
            chord
            for note in notes
            for text in (note.chord_symbol or "").split(";")
            if (chord := read_chord(text)) and chord.root
        ]
        result.append(
            Facts(
                _merged((tuple(sorted(set(n.pitches))), n.duration, n.tie) for n in notes),
                [bar.duration for bar in bars],
                [bar.key.signature for bar in bars],
                [bar.metre for bar in bars],
                [(bar.opens_repeat, bar.closes_repeat) for bar in bars],
                [bar.ending for bar in bars],
                [(_pitch_class(chord.root), chord.steps) for chord in symbols],
            )
        )
    return result


def _merged(notes: Iterable[tuple[tuple[int, ...], Fraction, bool]]) -> list[Event]:
    events: list[Event] = []
    tied = False
    for pitches, duration, tie in notes:
        if tied and events and events[-1][0] == pitches and pitches:
            events[-1] = (pitches, events[-1][1] + duration)
        else:
            events.append((pitches, duration))
        tied = tie
    return events


def _pitch_class(name: str) -> int:
    return ({"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[name[0]]
            + {"": 0, "#": 1, "b": -1}[name[1:]]) % 12  # fmt: skip


def _whole(length: Any) -> Fraction:
    return Fraction(length).limit_denominator(100_000) / 4


def _facts(part: Any) -> Facts:
    from music21 import bar, harmony, spanner

    measures = list(part.getElementsByClass("Measure"))
    signature: tuple[int, ...] = (0,) * 7
    metre: Fraction | None = None
    signatures, metres, lengths, repeats = [], [], [], []
    notes, chords = [], []
    endings = {}
    for bracket in part.recurse().getElementsByClass(spanner.RepeatBracket):
        endings[bracket.getSpannedElements()[0].number] = bracket.number.replace(" ", "")
    for measure in measures:
        if measure.keySignature is not None:
            signature = _signature(measure.keySignature)
        if measure.timeSignature is not None:
            metre = Fraction(measure.timeSignature.ratioString)
        if measure.getElementsByClass("SenzaMisuraTimeSignature"):
            metre = None
        signatures.append(signature)
        metres.append(metre)
        inner = list(measure.recurse().notesAndRests)
        plain = [n for n in inner if not isinstance(n, harmony.Harmony) and not n.duration.isGrace]
        lengths.append(sum((_whole(n.quarterLength) for n in plain), Fraction(0)))
        left, right = measure.leftBarline, measure.rightBarline
        repeats.append((isinstance(left, bar.Repeat), isinstance(right, bar.Repeat)))
        notes += [(_pitches(n), _whole(n.quarterLength), _is_tied(n)) for n in plain]
        for symbol in inner:
            if isinstance(symbol, harmony.ChordSymbol) and symbol.chordKind != "none":
                root = symbol.root().pitchClass
                chords.append((root, frozenset((p.pitchClass - root) % 12 for p in symbol.pitches)))
        for later in list(measure.getElementsByClass("KeySignature")):
            signature = _signature(later)
    brackets = [endings.get(measure.number, "") for measure in measures]
    return Facts(_merged(notes), lengths, signatures, metres, repeats, brackets, chords)


def _signature(key: Any) -> tuple[int, ...]:
    alters = {pitch.step: int(pitch.alter) for pitch in key.alteredPitches}
    return tuple(alters.get(step, 0) for step in "CDEFGAB")


def _pitches(note: Any) -> tuple[int, ...]:
    return () if note.isRest else tuple(sorted({pitch.midi for pitch in note.pitches}))


def _is_tied(note: Any) -> bool:
    if note.isRest:
        return False
    ties = [n.tie for n in note.notes] if note.isChord else [note.tie]
    return all(tie is not None and tie.type in ("start", "continue") for tie in ties)
