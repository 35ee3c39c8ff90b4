"""Tunes rendered as clips of audio, each with questions about it: the work of one tune.

Of every tune several clips are made, each in an instrument, a tempo and a key of its own, drawn
from the tune's id and the seed alone. Clips are flac, mono, without the chord symbols' part, so
that what is asked about is all that is heard.
"""

from __future__ import annotations

import hashlib
import io
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.data.pipeline.work import Facts, once
from musicllm.errors import RenderError
from musicllm.music.abc import AbcError, parse
from musicllm.music.abc.model import Score
from musicllm.theory.listening import INSTRUMENTS, KINDS, TEMPI, Heard

MIDDLE = (55, 84)
"""Lowest and highest median pitch of a melody after transposition, G3 to C6."""

FEWEST_NOTES = 6
"""Of a clip; one with fewer says too little."""


@dataclass(frozen=True)
class TuneOf:
    """A tune to be rendered.

    Attributes:
        id: of its record.
        split: of its record.
        abc: the tune.
    """

    id: str
    split: str
    abc: str


@dataclass(frozen=True)
class TuneRenderer:
    """Renders a tune into a folder of its own, `<folder>/<hash of the id>/`.

    Attributes:
        folder: of all tunes.
        num_clips: of every tune.
        clip_s: length of a clip at most, in seconds.
        seed: of instruments, tempi, keys and wordings.
    """

    folder: Path
    num_clips: int
    clip_s: float
    seed: int

    def __call__(self, tune: TuneOf) -> Facts:
        """Render a tune, or find that it was rendered.

        Cost: about a second for a clip. Returns `folder`, `split`, and `records`, without paths, or
        `problem`, why the tune has none.
        """
        name = hashlib.sha256(tune.id.encode()).hexdigest()[:16]
        facts = once(self.folder / name, lambda empty: self._render(tune, empty))
        return facts | {"folder": name, "split": tune.split, "id": tune.id}

    def _render(self, tune: TuneOf, folder: Path) -> Facts:
        try:
            score = parse(tune.abc)
            records = [
                record
                for number in range(self.num_clips)
                for record in self._clip(tune, score, number, folder)
            ]
        except (AbcError, RenderError) as error:
            return {"problem": str(error), "records": []}
        return {"records": records}

    def _clip(self, tune: TuneOf, score: Score, number: int, folder: Path) -> list[dict[str, Any]]:
        """Write a clip and return the questions about it."""
        from musicllm.music.render.kinds.midi import abc_to_midi, read_midi, truncate
        from musicllm.music.render.kinds.sound import midi_to_sound
        from musicllm.music.render.playing import Playing, played

        draw = random.Random(f"{self.seed} {tune.id} {number}")
        midi = without_chords(abc_to_midi(tune.abc).data)
        base = notes_of(midi)
        middle = sorted(pitch for _, pitch in base)[len(base) // 2]
        shifts = [s for s in range(-9, 10) if MIDDLE[0] <= middle + s <= MIDDLE[1]]
        instrument, tempo = draw.choice(list(INSTRUMENTS)), draw.choice(list(TEMPI))
        semitones = draw.choice(shifts or [0])
        factor = TEMPI[tempo] / quarters_per_minute(midi)
        playing = Playing(semitones, factor, INSTRUMENTS[instrument])
        clip = truncate(played(midi, playing), self.clip_s)
        notes = notes_of(clip)
        if len(notes) < FEWEST_NOTES:
            raise RenderError(f"{len(notes)} notes begin in {self.clip_s:g} s")
        with tempfile.TemporaryDirectory() as work:
            sound = midi_to_sound(read_midi(clip), Path(work), "clip")
            name = f"{number}.flac"
            _as_flac(sound.wav, folder / name)
        tonic = score.key.tonic_pitch_class
        heard = Heard(
            instrument=instrument,
            tempo=tempo,
            tonic=None if tonic is None else (tonic + semitones) % 12,
            mode=score.key.mode,
            metre=score.metre_text,
            notes=tuple(notes),
        )
        return [
            {
                "id": f"{tune.id}/{number}/{kind.name}",
                "clip": name,
                "engine": sound.engine,
                "task": kind.name,
                "choices": list(kind.choices),
                "question": draw.choice(kind.wordings),
                "answer": answer,
            }
            for kind in KINDS
            if (answer := kind.answer(heard)) is not None
        ]


def without_chords(midi: bytes) -> bytes:
    """Return the MIDI of a tune without the part that plays chord symbols."""
    import mido

    from musicllm.music.render.playing import accompanies

    file = mido.MidiFile(file=io.BytesIO(midi))
    file.tracks = [track for track in file.tracks if not accompanies(track)]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def notes_of(midi: bytes) -> list[tuple[float, int]]:
    """Return onset in seconds and pitch of every note, in time."""
    import mido

    time_s, notes = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(midi)):
        time_s += message.time
        if message.type == "note_on" and message.velocity:
            notes.append((time_s, int(message.note)))
    if not notes:
        raise RenderError("the tune has no notes")
    return notes


def quarters_per_minute(midi: bytes) -> float:
    """Return the first tempo of a MIDI file."""
    import mido

    for track in mido.MidiFile(file=io.BytesIO(midi)).tracks:
        for message in track:
            if message.type == "set_tempo":
                return float(60e6 / message.tempo)
    return 120.0


def _as_flac(wav: Path, flac: Path) -> None:
    import soundfile

    samples, rate = soundfile.read(wav, dtype="int16")
    soundfile.write(flac, samples, rate, format="FLAC", subtype="PCM_16")
