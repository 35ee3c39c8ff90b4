"""Features of signal processing, one vector a frame: what can be heard without learned weights.

A frame has five parts, side by side:

- log-mel power (how it sounds: the instrument, loudness),
- onsets: rises of it (how often notes begin, and in which registers),
- pitches: log power around every MIDI pitch (key, mode, register),
- tempo: the autocorrelation of all onsets within the waveform, by lag, the same in every frame,
- intervals: by how many semitones the strongest pitches moved within a tenth of a second.

Nothing is trained, so two machines have the same features up to rounding.

Axes: B waveforms, S samples, T frames, F frequencies, D features of a frame.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

from musicllm.errors import InputError
from musicllm.model.audio.encoders import AudioEncoder, EncoderFacts

VERSION = 1
"""Of what is computed; part of the fingerprint."""

SAMPLE_RATE = 24_000
WINDOW = 4096
"""Samples of a spectrum, 171 ms: two pitches a semitone apart differ from 100 Hz on."""
HOP = 480
"""Samples between frames, 20 ms."""

MEL_BANDS = 96
PITCHES = 128
LAGS = 128
"""Of the autocorrelation, in steps of two frames: 40 ms to 5.1 s."""
STEPS_PER_LAG = 2
INTERVALS = 64
"""Semitones from -32 to 31."""
INTERVAL_FRAMES = 5
"""Frames between the pitches that are compared, 100 ms."""
WIDTH = 2 * MEL_BANDS + PITCHES + LAGS + INTERVALS

FACTS = EncoderFacts(
    sample_rate=SAMPLE_RATE,
    num_layers=1,
    width=WIDTH,
    frames_per_second=SAMPLE_RATE / HOP,
    num_parameters=0,
    flops_per_second=SAMPLE_RATE / HOP * (5 * WINDOW * math.log2(WINDOW) + 4 * WINDOW * PITCHES),
)


class SpectralEncoder(AudioEncoder):
    """See the module."""

    facts = FACTS

    def __init__(self, device: torch.device) -> None:
        """Prepare the filters.

        Args:
            device: on which it computes.
        """
        frequencies = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.double)
        self._window = torch.hann_window(WINDOW, device=device)
        self._mel = _triangles(_mel_centres(), frequencies).to(device)
        self._pitch = _pitch_filters(frequencies).to(device)
        facts = (VERSION, SAMPLE_RATE, WINDOW, HOP, MEL_BANDS, LAGS, STEPS_PER_LAG, INTERVALS)
        self.fingerprint = hashlib.sha256(f"spectral {facts}".encode()).hexdigest()

    @torch.no_grad()
    def encode(self, waveforms: Tensor) -> Tensor:
        """Return [B, 1, T, D]; see `AudioEncoder`. Cost: S log S for the spectra."""
        if waveforms.shape[-1] < WINDOW:
            raise InputError(
                f"a waveform of {waveforms.shape[-1]} samples is shorter than a frame of the "
                f"encoder spectral, {WINDOW} samples at {SAMPLE_RATE} Hz"
            )
        spectra = torch.stft(
            waveforms.to(self._window.device, torch.float32),
            WINDOW,
            HOP,
            window=self._window,
            center=False,
            return_complex=True,
        )
        power = spectra.abs().square() / self._window.square().sum()
        mel = _log(self._mel @ power)
        pitch = _log(self._pitch @ power)
        rises = torch.nn.functional.pad(mel.diff(dim=-1), (1, 0)).clamp(min=0)
        parts = [mel, rises, pitch, _autocorrelation(rises.sum(1)), _intervals(pitch)]
        frames = torch.cat([_spread(part, mel.shape[-1]) for part in parts], dim=1)
        return frames.transpose(1, 2)[:, None]


def _log(power: Tensor) -> Tensor:
    """Return log power, 0 for silence: about 1 at -60 dB and 5 at full scale."""
    return torch.log10(1 + 1e5 * power)


def _spread(part: Tensor, num_frames: int) -> Tensor:
    """Return [B, D, T] of a part that has the same values in every frame, [B, D]."""
    return part[..., None].expand(-1, -1, num_frames) if part.ndim == 2 else part


def _mel_centres() -> Tensor:
    """Return the borders and centres of the bands in Hz, equally spaced in mel (O'Shaughnessy)."""
    top = 2595 * math.log10(1 + (SAMPLE_RATE / 2) / 700)
    mels = torch.linspace(0, top, MEL_BANDS + 2, dtype=torch.double)
    return 700 * (10 ** (mels / 2595) - 1)


def _triangles(points: Tensor, frequencies: Tensor) -> Tensor:
    """Return triangular filters between neighbouring points, float32 [bands, F], of area 1."""
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    rising = (frequencies - low) / (centre - low)
    falling = (high - frequencies) / (high - centre)
    weights = torch.minimum(rising, falling).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True).clamp(min=1e-9)).float()


def _pitch_filters(frequencies: Tensor) -> Tensor:
    """Return a filter of half a semitone to either side of every MIDI pitch, float32 [128, F]."""
    pitches = torch.arange(PITCHES, dtype=torch.double)[:, None]
    of_bins = 69 + 12 * torch.log2(frequencies.clamp(min=1.0) / 440)
    weights = (1 - (of_bins - pitches).abs()).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True).clamp(min=1e-9)).float()


def _autocorrelation(onsets: Tensor) -> Tensor:
    """Return how much onsets repeat after every lag, [B, LAGS], relative to no lag."""
    strength = onsets - onsets.mean(-1, keepdim=True)
    size = 2 * strength.shape[-1]
    spectrum = torch.fft.rfft(strength, size)
    correlation = torch.fft.irfft(spectrum.abs().square(), size)
    lags = torch.arange(1, LAGS + 1, device=onsets.device) * STEPS_PER_LAG
    reachable = lags < strength.shape[-1]
    values = correlation[:, torch.where(reachable, lags, 0)]
    relative = values / correlation[:, :1].clamp(min=1e-6)
    return torch.where(reachable, relative, 0.0)


def _intervals(pitch: Tensor) -> Tensor:
    """Return how the power of pitches moved, [B, INTERVALS], as shares of all movements."""
    strong = (pitch - pitch.amax(1, keepdim=True) + 0.3).clamp(min=0)
    if strong.shape[-1] <= INTERVAL_FRAMES:
        return strong.new_zeros(len(strong), INTERVALS)
    before, after = strong[..., :-INTERVAL_FRAMES], strong[..., INTERVAL_FRAMES:]
    size = 2 * PITCHES
    product = torch.fft.rfft(after, size, dim=1) * torch.fft.rfft(before, size, dim=1).conj()
    moved = torch.fft.irfft(product, size, dim=1).clamp(min=0).sum(-1)
    half = INTERVALS // 2
    shares = torch.cat([moved[:, -half:], moved[:, :half]], dim=1)
    return shares / shares.sum(1, keepdim=True).clamp(min=1e-6)
