"""Moves a tune to another key, letter by letter as a musician would.

The key signature moves with the notes, so the result has as few accidentals as the source. What is
written out is the canonical form; sounding pitches move by exactly the number of semitones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from musicllm.music.abc import AbcError, Key, Score, canonical, parse_key, standard_key
from musicllm.music.abc.keys import (
    ALTERATIONS,
    LETTERS,
    NATURALS,
    SIGNS,
    height_of,
    letter_at,
    place_of,
    sharps_of,
)
from musicllm.music.abc.limits import DEFAULT_LIMITS
from musicllm.music.abc.source import read_source
from musicllm.music.abc.tokens import NOTE, SEGMENT, SPACED_TOKEN

_ROOT = re.compile(r"(^|/)([A-G])([#b]?)")
_ALTERS = {sign: alter for alter, sign in SIGNS.items()}


def transpose(tune: str | Score, semitones: int) -> str:
    """Return the canonical form of a tune, `semitones` higher (negative: lower).

    The new key is the spelling with the fewest sharps or flats (at most six); of six sharps and
    six flats, the kind that the old key has. Letters move with the tonic, accidentals are
    respelled, chord symbols and keys inside the tune move too. `K:none` moves as C major does.
    0 gives the canonical form itself. Linear in the length of the tune.

    Raises:
        AbcError: the tune is not valid ABC, or a note would leave MIDI's range.
    """
    text = canonical(tune)
    if semitones == 0:
        return text
    source = read_source(text, DEFAULT_LIMITS)
    key = parse_key(source.header["K"][0])
    head = text.split("\n")[: source.header["K"][1] - 1]
    mover = _Mover(key, semitones)
    body = [mover.line(line.text) for line in source.body]
    return "\n".join([*head, f"K:{_move_key(key, semitones)[0].name}", *body]) + "\n"


@dataclass
class _Side:
    """What decides how a letter sounds, in the source or in the result."""

    key: Key
    accidentals: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)
    odd: dict[int, int] = field(default_factory=dict)

    def plain(self, step: int, height: int) -> int:
        """Return the alteration of a note without a written accidental."""
        if height in self.held:
            return self.held[height]
        return self.accidentals.get(step, self.key.signature[step])

    def next_note(self, tie: bool) -> None:
        """A tie carries alterations to the next note; anything else ends them."""
        self.held, self.odd = (self.odd if tie else {}), {}


class _Voice:
    """One voice in the source's key and in the result's."""

    def __init__(self, key: Key, semitones: int) -> None:
        self.semitones = semitones
        self.set_key(key)

    def set_key(self, key: Key) -> None:
        """Start in a key, or change to it."""
        new_key, self.steps = _move_key(key, self.semitones)
        self.old, self.new = _Side(key), _Side(new_key)

    def bar_line(self) -> None:
        """Forget the bar's accidentals."""
        self.old.accidentals.clear()
        self.new.accidentals.clear()

    def end_note(self, tie: bool) -> None:
        """A note or chord is complete."""
        self.old.next_note(tie)
        self.new.next_note(tie)

    def head(self, sign: str, letter: str, marks: str) -> str:
        """Return a note's accidental, letter and octave marks, moved."""
        if letter == "z":
            return letter
        old_place = place_of(letter, marks)
        step, height = old_place % 7, height_of(old_place)
        alter = _ALTERS[sign] if sign else self.old.plain(step, height)
        if sign:
            self.old.accidentals[step] = alter
        self.old.odd[height] = alter
        pitch = height + alter + self.semitones
        place = old_place + self.steps
        while pitch - height_of(place) > 2:
            place += 1
        while pitch - height_of(place) < -2:
            place -= 1
        return self._write(place, pitch, bool(sign))

    def _write(self, place: int, pitch: int, explicit: bool) -> str:
        if not 12 <= pitch <= 127:
            raise AbcError(f"transposing by {self.semitones} semitones leaves MIDI's range")
        step, height = place % 7, height_of(place)
        alter = pitch - height
        sign = ""
        if explicit or self.new.plain(step, height) != alter:
            self.new.accidentals[step] = alter
            sign = SIGNS[alter]
        self.new.odd[height] = alter
        return sign + letter_at(place)


class _Mover:
    """Moves the body of a canonical tune, line by line."""

    def __init__(self, key: Key, semitones: int) -> None:
        self.key = key
        self.semitones = semitones
        self.voices = {"": _Voice(key, semitones)}
        self.voice = self.voices[""]

    def line(self, text: str) -> str:
        """Return a line of the body, moved."""
        pieces = []
        for found in SEGMENT.finditer(text):
            pieces.append(SPACED_TOKEN.sub(lambda m: m[1] + self._token(m[2]), found[1]))
            if found[2]:
                self.voice.bar_line()
                pieces.append(found[2])
        return "".join(pieces)

    def _token(self, token: str) -> str:
        if NOTE.fullmatch(token):
            return self._notes(token)
        if token[0] == '"':
            return _ROOT.sub(self._root, token[1:-1]).join('""')
        if token[0] != "[":
            return token
        if token[2] == ":":
            return self._field(token)
        return self._notes(token)

    def _notes(self, token: str) -> str:
        """Move a note, or every note of a chord."""
        if token[0] == "z":
            self.voice.end_note(tie=False)
            return token
        voice = self.voice
        moved = NOTE.sub(lambda m: voice.head(m[1], m[2], m[3]) + m[4] + m[5], token)
        voice.end_note(tie="-" in token)
        return moved

    def _field(self, token: str) -> str:
        value = token[3:-1]
        if token[1] == "V":
            self.voice = self.voices.setdefault(value, _Voice(self.key, self.semitones))
        elif token[1] == "K":
            self.voice.set_key(parse_key(value))
            return f"[K:{self.voice.new.key.name}]"
        return token

    def _root(self, found: re.Match[str]) -> str:
        """Move the root or the bass of a chord symbol."""
        step = LETTERS.index(found[2])
        pitch_class = NATURALS[step] + ALTERATIONS[found[3]] + self.semitones
        new_step = (step + self.voice.steps) % 7
        for candidate in (new_step, (new_step + 1) % 7, (new_step - 1) % 7):
            alter = (pitch_class - NATURALS[candidate] + 6) % 12 - 6
            if abs(alter) <= 1:
                return found[1] + LETTERS[candidate] + ("", "#", "b")[alter]
        raise AssertionError("one of three neighbouring letters is within a semitone")


def _move_key(key: Key, semitones: int) -> tuple[Key, int]:
    """Return the key moved, and by how many letters its tonic moves."""
    tonic = key.tonic or "C"
    mode = {"none": "major", "highland": "mixolydian"}.get(key.mode, key.mode)
    new_tonic = _spell_tonic(tonic, mode, semitones)
    old_step, new_step = LETTERS.index(tonic[0]), LETTERS.index(new_tonic[0])
    rise = semitones + NATURALS[old_step] + ALTERATIONS[tonic[1:]]
    octaves = (rise - NATURALS[new_step] - ALTERATIONS[new_tonic[1:]]) // 12
    steps = new_step - old_step + 7 * octaves
    signature = [0] * 7
    for step, alter in enumerate(key.signature):
        place = step + steps
        signature[place % 7] = 60 + NATURALS[step] + alter + semitones - height_of(place)
    if max(map(abs, signature)) > 2:
        return standard_key(new_tonic, mode), steps
    return Key(new_tonic, mode, tuple(signature)), steps


def _spell_tonic(tonic: str, mode: str, semitones: int) -> str:
    """Return the new tonic with the fewest accidentals in its signature."""
    old = sharps_of(tonic, mode)
    pitch_class = (NATURALS[LETTERS.index(tonic[0])] + ALTERATIONS[tonic[1:]] + semitones) % 12
    names = [
        letter + sign
        for letter, natural in zip(LETTERS, NATURALS, strict=True)
        for sign, alter in ALTERATIONS.items()
        if (natural + alter) % 12 == pitch_class
    ]
    return min(
        names,
        key=lambda name: (abs(sharps_of(name, mode)), (sharps_of(name, mode) < 0) != (old < 0)),
    )
