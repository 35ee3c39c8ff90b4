"""Moves notes, keys and chord symbols by semitones, letter by letter as a musician would.

The input is in canonical form. The key signature moves with the notes, so that
the result has as few accidentals as the source; pitches move by exactly the number of
semitones. Octaves keep key and letters. For whole tunes see `music.transform`,
and `canonical` for voices that do not sound as written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from musicllm.music.abc.chord_symbols import Chord, read_chord
from musicllm.music.abc.keys import (
    ALTERATIONS,
    LETTERS,
    NATURALS,
    SIGNS,
    Key,
    height_of,
    letter_at,
    parse_key,
    place_of,
    sharps_of,
    standard_key,
)
from musicllm.music.abc.limits import AbcError
from musicllm.music.abc.tokens import NOTE, SEGMENT, SPACED_TOKEN

_ALTERS = {sign: alter for alter, sign in SIGNS.items()}
_MARK = " transpose="


@dataclass
class _Side:
    """The accidentals in force, in the source or in the result."""

    key: Key
    accidentals: dict[int, int | None] = field(default_factory=dict)
    tied: dict[int, int] = field(default_factory=dict)
    altered: dict[int, int] = field(default_factory=dict)

    def plain(self, step: int, height: int) -> int | None:
        """Return the alteration of a note without accidental; None if it needs an accidental."""
        if height in self.tied:
            return self.tied[height]
        return self.accidentals.get(step, self.key.signature[step])

    def next_note(self, tie: bool) -> None:
        """End a note: a tie carries its alterations to the next note."""
        self.tied, self.altered = (self.altered if tie else {}), {}


class _Voice:
    """One voice in the source's key and in the result's."""

    def __init__(self, key: Key, semitones: int) -> None:
        self.semitones = semitones
        new_key, self.steps = move_key(key, semitones)
        self.old, self.new = _Side(key), _Side(new_key)

    def set_key(self, key: Key, semitones: int | None = None) -> None:
        """Change key, and how far notes move; accidentals stay in force until the bar line."""
        steps = self.steps
        self.semitones = self.semitones if semitones is None else semitones
        self.old.key = key
        self.new.key, self.steps = move_key(key, self.semitones)
        if (self.steps - steps) % 7 and self.old.accidentals:
            self.new.accidentals = dict.fromkeys(range(7))

    def bar_line(self) -> None:
        """Clear the accidentals of the bar."""
        self.old.accidentals.clear()
        self.new.accidentals.clear()

    def end_note(self, tie: bool) -> None:
        """End a note or chord."""
        self.old.next_note(tie)
        self.new.next_note(tie)

    def head(self, sign: str, letter: str, marks: str) -> str:
        """Return a note's accidental, letter and octave marks, moved."""
        if letter == "z":
            return letter
        old_place = place_of(letter, marks)
        step, height = old_place % 7, height_of(old_place)
        alter = _ALTERS[sign] if sign else self.old.plain(step, height)
        assert alter is not None, "the source says how each of its notes sounds"
        if sign:
            self.old.accidentals[step] = alter
        self.old.altered[height] = alter
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
        self.new.altered[height] = alter
        return sign + letter_at(place)


class Mover:
    """Transposes the body of a canonical tune, line by line.

    A key followed by ` transpose=`, as `Staves.markers` writes it, sets how far its voice moves
    from there on.

    Args:
        key: of the source at the start.
        semitones: of every voice, up or down.
        header_key: key in the header of the result; None for `key`, moved.
    """

    def __init__(self, key: Key, semitones: int, header_key: Key | None = None) -> None:
        self.key = key
        self.semitones = semitones
        self.new_keys: dict[str, Key] = {}
        self.header_key = header_key or move_key(key, semitones)[0]
        self.name = ""
        self.voices = {"": _Voice(key, semitones)}
        self.voice = self.voices[""]

    def line(self, text: str) -> str:
        """Return a line of the body, moved."""
        parts = []
        for segment in SEGMENT.finditer(text):
            parts.append(SPACED_TOKEN.sub(lambda m: m[1] + self._token(m[2]), segment[1]))
            if segment[2]:
                self.voice.bar_line()
                parts.append(segment[2])
        return "".join(parts)

    def _token(self, token: str) -> str:
        if NOTE.fullmatch(token):
            return self._notes(token)
        if token[0] == "{":
            return self._grace(token)
        if token[0] == '"':
            key, semitones = self.voice.old.key, self.voice.semitones
            return move_symbol(token[1:-1], key, semitones).join('""')
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

    def _grace(self, token: str) -> str:
        """Move grace notes, whose accidentals apply to them alone."""
        old, new = self.voice.old, self.voice.new
        saved = dict(old.accidentals), dict(new.accidentals), dict(old.tied), dict(new.tied)
        altered = dict(old.altered), dict(new.altered)
        moved = NOTE.sub(lambda m: self.voice.head(m[1], m[2], m[3]) + m[4] + m[5], token)
        old.accidentals, new.accidentals, old.tied, new.tied = saved
        old.altered, new.altered = altered
        return moved

    def _field(self, token: str) -> str:
        value = token[3:-1]
        if token[1] == "V":
            self.name = value
            self.voice = self.voices.setdefault(value, _Voice(self.key, self.semitones))
        elif token[1] == "K":
            return self._key(*value.partition(_MARK))
        return token

    def _key(self, key: str, mark: str, semitones: str) -> str:
        """Change the key; write a marker only if the key changes."""
        self.voice.set_key(parse_key(key), int(semitones) if mark else None)
        new_key = self.voice.new.key
        before = self.new_keys.get(self.name, self.header_key)
        self.new_keys[self.name] = new_key
        return "" if mark and new_key == before else f"[K:{new_key.name}]"


@lru_cache(maxsize=4096)
def move_symbol(symbol: str, key: Key, semitones: int) -> str:
    """Return a transposed chord symbol: root, bass and alternative move as the key does.

    Octaves do not change it; neither does text that is not a supported chord.
    """
    chord = read_chord(symbol) if semitones % 12 else None
    if chord is None or not chord.root:
        return symbol
    steps = move_key(key, semitones)[1]
    root, bass = (_move_name(name, steps, semitones) for name in (chord.root, chord.bass))
    other = move_symbol(chord.alternative, key, semitones)
    return Chord(root, chord.quality, chord.steps, bass, other).symbol


def _move_name(name: str, steps: int, semitones: int) -> str:
    """Transpose the name of a note, such as `F#`; empty stays empty."""
    if not name:
        return ""
    step = LETTERS.index(name[0])
    pitch_class = NATURALS[step] + ALTERATIONS[name[1:]] + semitones
    new_step = (step + steps) % 7
    for candidate in (new_step, (new_step + 1) % 7, (new_step - 1) % 7):
        alter = (pitch_class - NATURALS[candidate] + 6) % 12 - 6
        if abs(alter) <= 1:
            return LETTERS[candidate] + ("", "#", "b")[alter]
    raise AssertionError("one of three neighbouring letters is within a semitone")


@lru_cache(maxsize=4096)
def move_key(key: Key, semitones: int) -> tuple[Key, int]:
    """Return the transposed key, and by how many letters its tonic moves.

    The new key is the spelling with the fewest sharps or flats (at most six); of six sharps and six
    flats, the kind that the old key has. Octaves keep the key.
    """
    if semitones % 12 == 0:
        return key, semitones // 12 * 7
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
