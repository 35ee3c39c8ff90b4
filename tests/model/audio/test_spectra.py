"""What the encoder without weights hears, and how clips become features of one shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from musicllm.errors import InputError
from musicllm.files.misfit import Misfit
from musicllm.model.audio.encoders import ENCODERS
from musicllm.model.audio.encoding import features_of
from musicllm.model.audio.facts import FeatureSpec
from musicllm.model.audio.spectra import (
    INTERVALS,
    LAGS,
    MEL_BANDS,
    PITCHES,
    SAMPLE_RATE,
    STEPS_PER_LAG,
    WIDTH,
)

ENCODER = ENCODERS["spectral"].open({}, None, torch.device("cpu"))
PITCH = slice(2 * MEL_BANDS, 2 * MEL_BANDS + PITCHES)
TEMPO = slice(2 * MEL_BANDS + PITCHES, 2 * MEL_BANDS + PITCHES + LAGS)
MOVED = slice(WIDTH - INTERVALS, WIDTH)


def notes(pitches: list[int], seconds: float) -> np.ndarray:
    """Return plucked notes one after another."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    waves = [
        np.sin(2 * math.pi * 440 * 2 ** ((pitch - 69) / 12) * time) * np.exp(-6 * time)
        for pitch in pitches
    ]
    return (0.5 * np.concatenate(waves)).astype(np.float32)


def heard(wave: np.ndarray) -> torch.Tensor:
    return ENCODER.encode(torch.from_numpy(wave)[None])[0, 0].mean(0)


@pytest.mark.parametrize("pitch", [48, 60, 69, 81])
def test_the_pitch_is_heard(pitch: int) -> None:
    assert int(heard(notes([pitch] * 4, 0.5))[PITCH].argmax()) == pitch


@pytest.mark.parametrize("seconds", [0.24, 0.4, 0.8])
def test_the_tempo_is_heard(seconds: float) -> None:
    lag = 1 + int(heard(notes([60, 64, 67, 72] * 4, seconds))[TEMPO].argmax())
    period = lag * STEPS_PER_LAG * 0.02 / seconds
    assert period == pytest.approx(round(period), abs=0.1)


def test_steps_up_and_down_are_told_apart() -> None:
    rising = heard(notes(list(range(60, 76)), 0.25))[MOVED]
    falling = heard(notes(list(range(76, 60, -1)), 0.25))[MOVED]
    zero = INTERVALS // 2
    assert rising[zero + 1] > 2 * rising[zero - 1]
    assert falling[zero - 1] > 2 * falling[zero + 1]


def test_loudness_and_silence() -> None:
    silence = heard(np.zeros(SAMPLE_RATE, np.float32))
    assert not silence[: PITCH.stop].any()
    with pytest.raises(InputError, match="shorter than a frame of the encoder spectral"):
        ENCODER.encode(torch.zeros(1, 1000))
    with pytest.raises(InputError, match="the encoder spectral has no settings"):
        ENCODERS["spectral"].facts({"bands": 3})


def spec(pooling: str, shape: tuple[int, int]) -> FeatureSpec:
    frames = shape[0] if pooling == "frames" else None
    return FeatureSpec("spectral", ENCODER.fingerprint, 1.0, pooling, None, frames, shape)  # type: ignore[arg-type]


def test_features_are_means_over_all_windows() -> None:
    wave = notes([60, 72], 1.2)
    windows = [wave[:SAMPLE_RATE], wave[SAMPLE_RATE : 2 * SAMPLE_RATE], wave[2 * SAMPLE_RATE :]]
    assert len(windows[2]) < SAMPLE_RATE / 2, "it joins the one before"
    states = [ENCODER.encode(torch.from_numpy(w)[None])[0, 0]
              for w in (windows[0], np.concatenate(windows[1:]))]  # fmt: skip
    together = torch.cat(states)
    layers = features_of(ENCODER, spec("layers", (1, WIDTH)), windows)
    torch.testing.assert_close(torch.from_numpy(layers[0]), together.mean(0), rtol=1e-4, atol=1e-5)
    frames = features_of(ENCODER, spec("frames", (4, WIDTH)), windows)
    half = len(together) // 4
    torch.testing.assert_close(
        torch.from_numpy(frames[0]), together[:half].mean(0), rtol=0.1, atol=0.05
    )
    with pytest.raises(Misfit, match="too short"):
        features_of(ENCODER, spec("layers", (1, WIDTH)), [wave[:5000]])
