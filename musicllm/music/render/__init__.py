"""Tunes that can be seen and heard: ABC becomes an SVG score, MIDI, WAV and MP3.

`render_tune` makes all of them and is what callers want; `abc_to_svg`, `abc_to_midi` and
`midi_to_sound` make one. ABC from anywhere is safe to pass: it is sanitised, and every engine
runs in a limited process (`fence`). Importing this package loads no engine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from musicllm.errors import RenderError
from musicllm.music.render.midi import Midi, abc_to_midi
from musicllm.music.render.sanitize import sanitize
from musicllm.music.render.sound import SOUNDFONT_VARIABLE, Sound, midi_to_sound
from musicllm.music.render.svg import abc_to_svg

__all__ = [
    "Midi",
    "Rendering",
    "Sound",
    "abc_to_midi",
    "abc_to_svg",
    "midi_to_sound",
    "render_tune",
    "sanitize",
]


@dataclass(frozen=True)
class Rendering:
    """The files made from one tune; what could not be made is None and named in `problems`.

    Attributes:
        svg: the score, safe to put into a web page.
        midi: the tune as MIDI, in full.
        wav: the sound, at most `sound.MAX_DURATION_S` seconds.
        mp3: the same sound.
        sound_engine: `fluidsynth`, `pretty_midi` (a plain synthesiser), or None without sound.
        duration_s: length of the sound in seconds; 0 without one.
        problems: one sentence for each thing that is missing or cut.
    """

    svg: Path | None
    midi: Path | None
    wav: Path | None
    mp3: Path | None
    sound_engine: str | None
    duration_s: float
    problems: tuple[str, ...]


def render_tune(abc: str, folder: Path, stem: str) -> Rendering:
    """Write `<stem>.svg`, `.mid`, `.wav` and `.mp3` into a folder, as far as they can be made.

    About a second for a tune of a minute, most of it for the sound.

    Args:
        abc: one tune in ABC, from anywhere.
        folder: where the files go; made if missing.
        stem: the files' common name, without a folder.

    Raises:
        RenderError: nothing at all could be made; the text lists why.
    """
    assert Path(stem).name == stem, f"{stem!r} is not a plain file name"
    tune = sanitize(abc)
    folder.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    svg = _score(tune, folder / f"{stem}.svg", problems)
    midi, sound = _sound(tune, folder, stem, problems)
    if svg is None and midi is None:
        raise RenderError("; ".join(problems))
    return Rendering(
        svg=svg,
        midi=midi,
        wav=sound.wav if sound else None,
        mp3=sound.mp3 if sound else None,
        sound_engine=sound.engine if sound else None,
        duration_s=sound.duration_s if sound else 0.0,
        problems=tuple(problems),
    )


def _score(tune: str, path: Path, problems: list[str]) -> Path | None:
    try:
        path.write_text(abc_to_svg(tune), encoding="utf-8")
    except RenderError as error:
        problems.append(f"no score: {error}")
        return None
    return path


def _sound(
    tune: str, folder: Path, stem: str, problems: list[str]
) -> tuple[Path | None, Sound | None]:
    """Write the MIDI, then the sound made from it."""
    path = folder / f"{stem}.mid"
    try:
        midi = abc_to_midi(tune)
    except RenderError as error:
        problems.append(f"no MIDI and no sound: {error}")
        return None, None
    path.write_bytes(midi.data)
    try:
        sound = midi_to_sound(midi, folder, stem)
    except RenderError as error:
        problems.append(f"no sound: {error}")
        return path, None
    if sound.is_cut:
        problems.append(f"the sound stops after {sound.duration_s:g} of {midi.duration_s:.0f} s")
    if sound.soundfont is None and os.environ.get(SOUNDFONT_VARIABLE):
        problems.append(f"{SOUNDFONT_VARIABLE} has no effect: fluidsynth is not installed")
    if sound.mp3 is None:
        problems.append("no MP3: this libsndfile cannot write it (1.1 or later can)")
    return path, sound
