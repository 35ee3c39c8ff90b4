from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicllm.errors import RenderError
from musicllm.music.render.kinds import sound as sound_module
from musicllm.music.render.kinds.midi import Midi, abc_to_midi, read_midi
from musicllm.music.render.kinds.sound import RATE_HZ, find_soundfont, midi_to_sound
from musicllm.music.render.playing import Playing, played

HEAD = "X:1\nM:4/4\nL:1/4\nQ:1/4=120\nK:C\n"


def hide_fluidsynth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_module, "sampler", lambda: None)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def test_the_plain_synthesiser_plays_the_right_pitch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    midi = abc_to_midi(HEAD + "A4|A4|")  # 440 Hz for 4 s
    hide_fluidsynth(monkeypatch)
    sound = midi_to_sound(midi, tmp_path, "tune")
    samples, rate_hz = soundfile.read(sound.wav)
    assert (sound.engine, sound.soundfont, sound.is_cut) == ("pretty_midi", None, False)
    assert rate_hz == RATE_HZ
    assert len(samples) == round((midi.duration_s + 1) * rate_hz)
    assert sound.duration_s == len(samples) / rate_hz == pytest.approx(5.0, abs=0.1)
    assert np.abs(samples).max() == pytest.approx(0.9, abs=0.001)
    assert rms(samples[: 4 * rate_hz]) > 0.1
    spectrum = np.abs(np.fft.rfft(samples[:rate_hz]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=1)


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="fluidsynth is not installed")
def test_fluidsynth_plays_the_soundfont(tmp_path: Path, reel: str) -> None:
    sound = midi_to_sound(abc_to_midi(reel), tmp_path, "tune")
    samples, rate_hz = soundfile.read(sound.wav)
    assert sound.engine == "fluidsynth"
    assert sound.soundfont == find_soundfont()
    assert sound.duration_s == pytest.approx(9.0, abs=0.1)
    assert rms(samples[: 8 * rate_hz]) > 0.05
    assert abs(samples[-1]) < 0.001


def test_tinysoundfont_plays_the_right_pitch_on_the_instrument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tinysoundfont", reason="tinysoundfont is not installed")
    monkeypatch.setattr(sound_module, "sampler", lambda: "tinysoundfont")
    midi = abc_to_midi(HEAD + "A4|A4|")
    waves = []
    for name, program in (("flute", 73), ("organ", 16)):
        played_so = read_midi(played(midi.data, Playing(program=program)))
        sound = midi_to_sound(played_so, tmp_path, name)
        assert (sound.engine, sound.soundfont) == ("tinysoundfont", find_soundfont())
        samples, rate_hz = soundfile.read(sound.wav)
        assert len(samples) == round((midi.duration_s + 1) * rate_hz)
        assert rms(samples[: 4 * rate_hz]) > 0.05
        waves.append(samples[:rate_hz] / rms(samples[:rate_hz]))
    spectrum = np.abs(np.fft.rfft(waves[0]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=3)
    assert rms(waves[0] - waves[1]) > 0.3


def test_the_mp3_holds_the_same_sound(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    midi = abc_to_midi(reel)
    hide_fluidsynth(monkeypatch)
    sound = midi_to_sound(midi, tmp_path, "tune")
    assert sound.mp3 is not None
    assert soundfile.info(sound.mp3).format == "MP3"
    assert soundfile.info(sound.mp3).duration == pytest.approx(sound.duration_s, abs=0.1)
    assert sound.mp3.stat().st_size < sound.wav.stat().st_size / 2


def test_without_mp3_support_there_is_the_wav(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    midi = abc_to_midi(reel)
    hide_fluidsynth(monkeypatch)
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "WAV"})
    sound = midi_to_sound(midi, tmp_path, "tune")
    assert sound.mp3 is None
    assert sound.wav.is_file()


def test_a_long_tune_stops_and_fades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    midi = abc_to_midi(HEAD + "A4|" * 10)  # 20 s
    hide_fluidsynth(monkeypatch)
    monkeypatch.setattr(sound_module, "MAX_DURATION_S", 6.0)
    sound = midi_to_sound(midi, tmp_path, "tune")
    samples, rate_hz = soundfile.read(sound.wav)
    assert sound.is_cut
    assert sound.duration_s == 6.0
    assert rms(samples[-rate_hz // 4 :]) < rms(samples[2 * rate_hz : 3 * rate_hz]) / 5


@pytest.mark.parametrize("engine_s", [1.5, 4.0])
def test_every_engine_s_sound_lasts_as_long_as_the_tune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine_s: float
) -> None:
    """One engine stops with the last note, another one rings on."""
    played = np.full(round(engine_s * RATE_HZ), 0.5, dtype=np.float32)
    hide_fluidsynth(monkeypatch)
    monkeypatch.setattr(
        sound_module,
        "_synthesize",
        lambda work: soundfile.write(work / "tune.wav", played, RATE_HZ),
    )
    midi = abc_to_midi(HEAD + "A4|")  # about 2 s
    sound = midi_to_sound(midi, tmp_path, "tune")
    samples, _ = soundfile.read(sound.wav)
    assert len(samples) == round((midi.duration_s + 1) * RATE_HZ)
    assert sound.duration_s == len(samples) / RATE_HZ == pytest.approx(3, abs=0.1)
    assert abs(samples[-1]) < 0.001
    assert np.abs(samples[:RATE_HZ]).min() == pytest.approx(0.9, abs=0.001)
    assert (samples[2 * RATE_HZ :] == 0).all() == (engine_s == 1.5)


def test_the_variable_names_the_soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSICLLM_SOUNDFONT", raising=False)
    assert find_soundfont().name == "TimGM6mb.sf2"
    named = tmp_path / "my.sf2"
    monkeypatch.setenv("MUSICLLM_SOUNDFONT", str(named))
    with pytest.raises(RenderError, match=r"MUSICLLM_SOUNDFONT=.*my.sf2 is not a file; name an"):
        find_soundfont()
    named.write_bytes(b"RIFF")
    assert find_soundfont() == named.resolve()


def test_says_what_to_install_without_pretty_midi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RenderError, match="sound needs pretty_midi: install it"):
        find_soundfont()


def test_silence_and_missing_sound_are_errors(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    midi: Midi = abc_to_midi(reel)
    hide_fluidsynth(monkeypatch)
    monkeypatch.setattr(sound_module, "_synthesize", lambda _: None)
    with pytest.raises(RenderError, match="the sound engine wrote no file"):
        midi_to_sound(midi, tmp_path, "tune")

    def write_silence(work: Path) -> None:
        soundfile.write(work / "tune.wav", np.zeros(1000), RATE_HZ)

    monkeypatch.setattr(sound_module, "_synthesize", write_silence)
    with pytest.raises(RenderError, match="the sound is silent"):
        midi_to_sound(midi, tmp_path, "tune")
