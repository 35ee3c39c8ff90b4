"""Questions about a rendered tune whose answers are known by rule, since it was rendered here.

A kind of question reads its answer from what was rendered: the notes that begin within the clip,
with their times and pitches, the instrument, the tempo, and the key and metre of the score. Kinds
that a tune leaves open (a key that is neither major nor minor) ask nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

INSTRUMENTS = {
    "piano": 0,
    "organ": 19,
    "guitar": 24,
    "violin": 40,
    "trumpet": 56,
    "clarinet": 71,
    "flute": 73,
    "harp": 46,
}
"""Name -> program of General MIDI, from 0."""

TEMPI = {"slow": 66.0, "moderate": 108.0, "fast": 176.0}
"""Band -> quarter notes a minute, so far apart that an octave error would be needed."""

METRES = {"2/4": "in two", "4/4": "in four", "3/4": "in three", "6/8": "in six eighths"}
"""Metre of the score -> answer."""

TONICS = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
"""Pitch class -> answer."""

FEW, MANY = 16, 28
"""Notes of a clip: few are less than the one, many more than the other."""


@dataclass(frozen=True)
class Heard:
    """What is in a clip.

    Attributes:
        instrument: a key of `INSTRUMENTS`.
        tempo: a key of `TEMPI`.
        tonic: pitch class after transposition, 0 for C to 11 for B; None without a key.
        mode: of the score, such as `major`.
        metre: of the score, such as `6/8`.
        notes: onset in seconds and MIDI pitch of the melody's notes that begin in the clip, in
            time.
    """

    instrument: str
    tempo: str
    tonic: int | None
    mode: str
    metre: str
    notes: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class ListeningKind:
    """A kind of question.

    Attributes:
        name: in `task` of a record.
        choices: all answers.
        wordings: of the question, one of which is drawn.
        answer: from what is heard; None where the kind does not apply.
    """

    name: str
    choices: tuple[str, ...]
    wordings: tuple[str, ...]
    answer: Callable[[Heard], str | None]


def _mode(heard: Heard) -> str | None:
    return heard.mode if heard.mode in ("major", "minor") else None


def _number(heard: Heard) -> str:
    count = len(heard.notes)
    return "few" if count < FEW else "many" if count > MANY else "some"


def _direction(heard: Heard) -> str | None:
    first, last = heard.notes[0][1], heard.notes[-1][1]
    return None if first == last else "up" if last > first else "down"


def _register(heard: Heard) -> str:
    middle = sorted(pitch for _, pitch in heard.notes)[len(heard.notes) // 2]
    return "high" if middle >= 72 else "low"


KINDS = (
    ListeningKind(
        "instrument",
        tuple(INSTRUMENTS),
        ("Which instrument plays?", "What instrument do you hear?", "Name the instrument."),
        lambda heard: heard.instrument,
    ),
    ListeningKind(
        "tempo",
        tuple(TEMPI),
        ("How fast is the music?", "Is it slow, moderate or fast?", "What is the tempo?"),
        lambda heard: heard.tempo,
    ),
    ListeningKind(
        "register",
        ("high", "low"),
        ("Is the melody high or low?", "In which register is the tune?"),
        _register,
    ),
    ListeningKind(
        "number",
        ("few", "some", "many"),
        ("How many notes are there?", "Are there few, some or many notes?"),
        _number,
    ),
    ListeningKind(
        "tonic",
        TONICS,
        ("Which note is the tonic?", "On which note is the key built?"),
        lambda heard: None if heard.tonic is None else TONICS[heard.tonic],
    ),
    ListeningKind(
        "mode",
        ("major", "minor"),
        ("Is it major or minor?", "What is the mode?"),
        _mode,
    ),
    ListeningKind(
        "metre",
        tuple(METRES.values()),
        ("How is it counted?", "What is the metre?"),
        lambda heard: METRES.get(heard.metre),
    ),
    ListeningKind(
        "direction",
        ("up", "down"),
        ("Does the melody end above or below its first note?", "Does it go up or down?"),
        _direction,
    ),
)
"""All kinds, in order."""
