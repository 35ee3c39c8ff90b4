"""Audio files of every kind that is read, and those that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicllm.files import audio
from musicllm.files.misfit import Misfit


def sine(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(
        "f4"
    )


def read(path: Path, rate: int = 24_000, **stretch: float) -> np.ndarray:
    return np.concatenate(list(audio.windows(path, rate, window_s=1.0, **stretch)))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1)])
def test_every_format_gives_the_tone(tmp_path: Path, suffix: str, rate: int, channels: int) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, np.repeat(sine(2.5, rate)[:, None], channels, 1), rate)
    samples = read(path)
    assert len(samples) == pytest.approx(60_000, abs=2_000)  # mp3 pads its ends
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() * 24_000 / len(samples) == pytest.approx(440, abs=1)
    assert np.sqrt((samples**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_eight_channels_at_96_khz_are_one_at_24_khz(tmp_path: Path) -> None:
    path = tmp_path / "many.wav"
    channels = np.stack([sine(1.0, 96_000) * (number % 2) for number in range(8)], 1)
    soundfile.write(path, channels, 96_000)
    assert audio.probe(path) == audio.Sound(96_000, 8, 96_000)
    samples = read(path)
    assert len(samples) == 24_000
    np.testing.assert_allclose(samples[1000:-1000], 0.5 * sine(1.0, 24_000)[1000:-1000], atol=2e-3)


def test_windows_are_stretches_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.linspace(-0.9, 0.9, 24_000 * 7 // 2, dtype="f4"), 24_000, "FLOAT")
    whole = soundfile.read(path, dtype="float32")[0]
    windows = list(audio.windows(path, 24_000, window_s=1.0))
    assert [len(window) for window in windows] == [24_000, 24_000, 24_000, 12_000]
    np.testing.assert_array_equal(np.concatenate(windows), whole)
    part = read(path, start_s=1.25, duration_s=0.5)
    np.testing.assert_array_equal(part, whole[30_000:42_000])
    assert len(read(path, start_s=3.0, duration_s=60.0)) == 12_000


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(Misfit, match="names audio that is missing"):
        audio.probe(tmp_path / "none.wav")
    (tmp_path / "rubbish.mp3").write_bytes(b"no music" * 100)
    with pytest.raises(Misfit, match="names audio that cannot be read"):
        audio.probe(tmp_path / "rubbish.mp3")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, "f4"), 24_000)
    with pytest.raises(Misfit, match="names audio without samples"):
        audio.probe(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "silent.wav", np.zeros(48_000, "f4"), 24_000)
    with pytest.raises(Misfit, match="names silent audio"):
        read(tmp_path / "silent.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(4_800, np.nan, "f4"), 24_000, "FLOAT")
    with pytest.raises(Misfit, match="samples that are not finite"):
        read(tmp_path / "nan.wav")
    soundfile.write(tmp_path / "cut.wav", sine(2.0, 24_000), 24_000)
    whole = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Misfit, match=r"names audio that cannot be read.*it is cut, 48,022 of"):
        audio.probe(tmp_path / "cut.wav")
    opposite = np.stack([sine(1.0, 24_000), -sine(1.0, 24_000)], 1)
    soundfile.write(tmp_path / "opposite.wav", opposite, 24_000)
    with pytest.raises(Misfit, match="names silent audio"):
        read(tmp_path / "opposite.wav")
    soundfile.write(tmp_path / "cut.flac", sine(2.0, 24_000), 24_000)
    whole = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Misfit, match="names audio that cannot be read"):
        read(tmp_path / "cut.flac")


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_an_mp3_without_its_length_is_told_from_a_whole_one(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "tone.mp3"
    wave = sine(3.0, rate)
    wave[: len(wave) // 4] = 0  # the bit rate varies, so a guess from the first frames is wrong
    soundfile.write(path, wave, rate, bitrate_mode="VARIABLE")
    data = path.read_bytes()
    whole = audio.probe(path)
    assert audio._mp3_length(path) == pytest.approx(whole.num_frames, abs=audio.MP3_END)
    late, at_once = read(path, start_s=1.5), read(path)[36_000:]
    np.testing.assert_allclose(late[500:35_000], at_once[500:35_000], atol=2e-3)
    first = max(data.find(b"Xing"), data.find(b"Info"))
    assert first > 0
    path.write_bytes(data[data.find(b"\xff", first) :])  # without the frame of the header
    guessed = soundfile.info(path).frames
    assert abs(guessed - whole.num_frames) > audio.MP3_END, "a guess that is right shows nothing"
    with pytest.raises(Misfit, match="no Xing header says its length"):
        audio.probe(path)


def test_an_hour_needs_the_memory_of_a_window(tmp_path: Path) -> None:
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 8_000, 1) as file:
        for _ in range(360):
            file.write(sine(10.0, 8_000))
    sizes = {len(window) for window in audio.windows(path, 8_000, window_s=30.0)}
    assert sizes == {240_000}
