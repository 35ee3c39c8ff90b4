"""Renders MIDI to WAV and MP3 files.

The program fluidsynth, or else the package tinysoundfont, plays sampled instruments: those of the
soundfont that the environment variable `MUSICLLM_SOUNDFONT` names, or else of TimGM6mb, which
pretty_midi ships. Without either, a plain synthesiser gives a recognisable melody. The result is
mono at `RATE_HZ`, with its peak at `PEAK`; it decays for `TAIL_S` after the last note. A tune
longer than `MAX_DURATION_S` is cut there and fades out over the last `FADE_S`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from musicllm.errors import RenderError
from musicllm.music.render.fence import MEMORY_BYTES, python_worker, run_limited
from musicllm.music.render.kinds.midi import Midi, read_midi, truncate
from musicllm.music.render.renderer import RENDERERS, Output, Renderer, Rendering

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ = 22_050
MAX_DURATION_S = 90.0
FADE_S = 3.0
TAIL_S = 1.0
PEAK = 0.9
"""Largest sample of the result; full scale is 1."""
SILENCE = 1e-4
"""Peak below which a sound counts as silent."""
TIMEOUT_S = 60.0
SOUNDFONT_VARIABLE = "MUSICLLM_SOUNDFONT"


@dataclass(frozen=True)
class Sound:
    """The sound files of a tune.

    Attributes:
        wav: 16-bit mono file.
        mp3: the same sound; None if libsndfile cannot write MP3.
        duration_s: length in seconds.
        is_cut: whether the tune is longer than `MAX_DURATION_S`.
        engine: `fluidsynth`, `tinysoundfont` or `pretty_midi`.
        soundfont: file of the instruments; None for the plain synthesiser.
    """

    wav: Path
    mp3: Path | None
    duration_s: float
    is_cut: bool
    engine: str
    soundfont: Path | None


def midi_to_sound(midi: Midi, folder: Path, stem: str) -> Sound:
    """Write `<stem>.wav` and `<stem>.mp3`; 60 s of music take about one second.

    Raises:
        RenderError: an engine fails, the soundfont does not exist, or the result is silent.
    """
    engine = sampler() or "pretty_midi"
    soundfont = find_soundfont() if sampler() else None
    is_cut = midi.duration_s > MAX_DURATION_S
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "tune.mid").write_bytes(truncate(midi.data, MAX_DURATION_S))
        if soundfont is None:
            _synthesize(work)
        elif engine == "fluidsynth":
            _sample_by_program(soundfont, work)
        else:
            _sample(soundfont, work)
        sound = _finish(work / "tune.wav", midi.duration_s)
    wav, mp3 = _write(sound, folder, stem)
    return Sound(wav, mp3, len(sound) / RATE_HZ, is_cut, engine, soundfont)


def sampler() -> str | None:
    """Return the engine of sampled instruments; None if none is installed."""
    if shutil.which("fluidsynth"):
        return "fluidsynth"
    return "tinysoundfont" if importlib.util.find_spec("tinysoundfont") else None


def find_soundfont() -> Path:
    """Return the path of the soundfont of sampled instruments.

    Raises:
        RenderError: `MUSICLLM_SOUNDFONT` names no file, or pretty_midi is not installed.
    """
    named = os.environ.get(SOUNDFONT_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise RenderError(f"{SOUNDFONT_VARIABLE}={named} is not a file; name an .sf2 or .sf3")
        return Path(named).resolve()
    package = importlib.util.find_spec("pretty_midi")
    if package is None or not package.origin:
        raise RenderError("sound needs pretty_midi: install it (`pip install pretty_midi`)")
    return Path(package.origin).with_name("TimGM6mb.sf2")


def _sample_by_program(soundfont: Path, work: Path) -> None:
    """Play `tune.mid` with fluidsynth, which loads the whole soundfont into memory."""
    output = ["-r", str(RATE_HZ), "-F", "tune.wav", "-T", "wav", "-O", "s16"]
    run_limited(
        ["fluidsynth", "-n", "-i", "-q", *output, str(soundfont), "tune.mid"],
        engine="fluidsynth",
        cwd=work,
        timeout_s=TIMEOUT_S,
        memory_bytes=MEMORY_BYTES + 2 * soundfont.stat().st_size,
    )


def _sample(soundfont: Path, work: Path) -> None:
    """Play `tune.mid` with tinysoundfont."""
    files = ["tune.mid", str(soundfont), "tune.wav", str(RATE_HZ)]
    run_limited(
        [*python_worker("_sample.py"), *files],
        engine="tinysoundfont",
        cwd=work,
        timeout_s=TIMEOUT_S,
        memory_bytes=MEMORY_BYTES + 8 * soundfont.stat().st_size,
    )


def _synthesize(work: Path) -> None:
    """Play `tune.mid` with the plain synthesiser."""
    command = [*python_worker("_synthesize.py"), "tune.mid", "tune.wav", str(RATE_HZ)]
    run_limited(command, engine="pretty_midi", cwd=work, timeout_s=TIMEOUT_S)


def _finish(wav: Path, tune_s: float) -> NDArray[np.float32]:
    """Return the sound of an engine as mono, shape (samples,), faded out and normalised.

    The length is that of the tune plus `TAIL_S` with every engine: a longer sound is cut,
    and a shorter one is padded with silence.
    """
    import numpy as np
    import soundfile

    if not wav.is_file():
        raise RenderError("the sound engine wrote no file; check its installation and soundfont")
    channels, rate_hz = soundfile.read(wav, dtype="float32", always_2d=True)
    assert rate_hz == RATE_HZ, f"the engine wrote {rate_hz} Hz instead of {RATE_HZ}"
    end_s, fade_s = min(tune_s + TAIL_S, MAX_DURATION_S), TAIL_S
    if tune_s > MAX_DURATION_S:
        fade_s = FADE_S
    num_samples = round(end_s * RATE_HZ)
    sound: NDArray[np.float32] = channels.mean(axis=1)[:num_samples]
    peak = float(np.abs(sound).max(initial=0.0))
    if peak < SILENCE:
        raise RenderError("the sound is silent; check the tune's ABC and the soundfont")
    sound = np.pad(sound, (0, num_samples - len(sound)))
    end = sound[-round(fade_s * RATE_HZ) :]
    end *= np.linspace(1.0, 0.0, len(end), dtype=np.float32)
    return sound * np.float32(PEAK / peak)


def _write(sound: NDArray[np.float32], folder: Path, stem: str) -> tuple[Path, Path | None]:
    """Write the files; libsndfile before 1.1 has no MP3, then only the WAV."""
    import soundfile

    wav, mp3 = folder / f"{stem}.wav", folder / f"{stem}.mp3"
    soundfile.write(wav, sound, RATE_HZ, subtype="PCM_16")
    if "MP3" not in soundfile.available_formats():
        return wav, None
    soundfile.write(mp3, sound, RATE_HZ, format="MP3")
    return wav, mp3


def _render(rendering: Rendering) -> None:
    midi = read_midi(rendering.files[".mid"].read_bytes())
    sound = midi_to_sound(midi, rendering.folder, rendering.stem)
    rendering.files[".wav"] = sound.wav
    rendering.sound_engine = sound.engine
    if sound.is_cut:
        rendering.problems.append(
            f"the sound stops after {sound.duration_s:g} of {midi.duration_s:.0f} s"
        )
    if sound.soundfont is None and os.environ.get(SOUNDFONT_VARIABLE):
        rendering.problems.append(
            f"{SOUNDFONT_VARIABLE} has no effect: neither fluidsynth nor tinysoundfont is installed"
        )
    if sound.soundfont is None and rendering.playing.program is not None:
        rendering.problems.append(
            "every instrument sounds alike: the plain synthesiser has one; install fluidsynth, or "
            "pip install --no-deps tinysoundfont"
        )
    if sound.mp3:
        rendering.files[".mp3"] = sound.mp3
    else:
        rendering.problems.append("no MP3: this libsndfile cannot write it (1.1 or later can)")


SOUND = RENDERERS.register(
    Renderer(
        "sound",
        (Output(".mp3", "audio/mpeg", "sound"), Output(".wav", "audio/wav", "sound")),
        _render,
        needs="MIDI",
        order=3,
        is_played=True,
    )
)
