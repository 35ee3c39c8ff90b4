"""Audio files: what they are, and their samples at the rate of an encoder.

wav, flac, ogg and mp3 are read with libsndfile (soundfile), mixed to one channel and resampled with
soxr, both stretch by stretch, so that an hour needs no more memory than a window.

Axes: S samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from musicllm.files.misfit import Misfit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples: TypeAlias = npt.NDArray[np.float32]

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff")
"""Of files that are looked for in folders."""

SILENCE = 1e-5
"""The largest sample of what counts as silent: -100 dB."""

FRAMES_PER_READ = 1 << 18

MISSING = "names audio that is missing"
UNREADABLE = "names audio that cannot be read"
EMPTY = "names audio without samples"
SILENT = "names silent audio"


@dataclass(frozen=True)
class Sound:
    """What the header of a file says.

    Attributes:
        sample_rate: frames per second.
        num_channels: samples of a frame.
        num_frames: of the whole file.
    """

    sample_rate: int
    num_channels: int
    num_frames: int

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return self.num_frames / self.sample_rate


def probe(path: Path) -> Sound:
    """Read the header of a file.

    Raises:
        Misfit: it is missing, no audio, or empty.
    """
    import soundfile

    if not path.is_file():
        raise Misfit(MISSING, str(path))
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise Misfit(UNREADABLE, f"{path}: {_reason(error)}") from None
    if info.frames <= 0 or info.samplerate <= 0:
        raise Misfit(EMPTY, str(path))
    return Sound(info.samplerate, info.channels, info.frames)


def windows(
    path: Path,
    sample_rate: int,
    *,
    window_s: float,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Iterator[Samples]:
    """Yield the samples of a stretch of a file in windows, float32 [S], mono, within about -1 to 1.

    All windows but the last have `window_s`. Memory: one window, and a second of the file.

    Args:
        path: of the file.
        sample_rate: of the windows.
        window_s: length of a window in seconds.
        start_s: where the stretch begins.
        duration_s: its length; None up to the end of the file.

    Raises:
        Misfit: it cannot be read, or holds values that are not finite, or is silent.
    """
    import numpy as np

    size = max(1, round(window_s * sample_rate))
    waiting: list[Samples] = []
    num_waiting, peak = 0, 0.0
    for piece in _resampled(path, sample_rate, start_s, duration_s):
        if not np.isfinite(piece).all():
            raise Misfit(UNREADABLE, f"{path} has samples that are not finite")
        peak = max(peak, float(np.abs(piece).max(initial=0.0)))
        waiting.append(piece)
        num_waiting += len(piece)
        while num_waiting >= size:
            joined = np.concatenate(waiting)
            yield joined[:size]
            waiting, num_waiting = [joined[size:]], num_waiting - size
    if num_waiting:
        yield np.concatenate(waiting)
    if peak < SILENCE:
        raise Misfit(SILENT, f"{path}: no sample is larger than {peak:g}")


def _resampled(
    path: Path, sample_rate: int, start_s: float, duration_s: float | None
) -> Iterator[Samples]:
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            begin = round(start_s * file.samplerate)
            end = file.frames
            if duration_s is not None:
                end = min(end, begin + max(1, round(duration_s * file.samplerate)))
            file.seek(min(begin, file.frames))
            stream = soxr.ResampleStream(file.samplerate, sample_rate, 1, dtype="float32")
            num_left = end - begin
            while num_left > 0:
                frames = file.read(min(num_left, FRAMES_PER_READ), dtype="float32", always_2d=True)
                if not len(frames):
                    raise Misfit(UNREADABLE, f"{path} ends {num_left:,} frames early")
                num_left -= len(frames)
                yield stream.resample_chunk(frames.mean(1), last=num_left <= 0)
    except (soundfile.SoundFileError, OSError) as error:
        raise Misfit(UNREADABLE, f"{path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else repr(error)
