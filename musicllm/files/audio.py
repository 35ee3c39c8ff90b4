"""Audio files: what they are, and their samples at the rate of an encoder.

wav, flac, ogg and mp3 are read with libsndfile (soundfile), mixed to one channel and resampled with
soxr, both stretch by stretch, so that an hour needs no more memory than a window.

libsndfile believes some headers that are wrong, which would make a clip shorter without a word. So
an mp3's frames are counted here, since without a Xing header its length is guessed, and the size of
a wav is compared with what its header says. Of a damaged ogg nothing tells how much is lost.

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

SILENCE = 1e-4
"""The largest sample of silence, -80 dB, mixed to one channel: opposite ones cancel."""

FRAMES_PER_READ = 1 << 18

MP3_END = 4 * 1152
"""Samples by which the length of an mp3 may be wrong: what encoder and decoder add at its ends."""

MP3_RUN_UP = 16 * 1152
"""Samples that are read in front of those that are wanted: soundfile seeks at every read, and
behind a seek an mp3 needs frames that the decoder did not see."""

STREAMED = (0, 0xFFFFFFFF)
"""Sizes in the header of a wav that was written into a pipe, which say nothing."""

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
    if info.format == "WAV":
        _refuse_cut_wav(path)
    if info.format == "MP3":
        length = _mp3_length(path)
        if length is not None and abs(length - info.frames) > MP3_END:
            raise Misfit(
                UNREADABLE,
                f"{path}: it has {length / info.samplerate:.2f} s, of which libsndfile finds "
                f"{info.frames / info.samplerate:.2f} s, since no Xing header says its length; "
                f"convert it to flac",
            )
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


def _refuse_cut_wav(path: Path) -> None:
    """Refuse a wav whose file is shorter than its RIFF header says."""
    with path.open("rb") as file:
        header = file.read(8)
    size = int.from_bytes(header[4:8], "little")
    if header[:4] == b"RIFF" and size not in STREAMED and path.stat().st_size < size + 8:
        raise Misfit(
            UNREADABLE, f"{path}: it is cut, {path.stat().st_size:,} of {size + 8:,} bytes"
        )


_BIT_RATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Layer III, in kbit/s by the index in the header: MPEG 1, and MPEG 2 and 2.5."""

_SAMPLE_RATES = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
"""By the version in the header: MPEG 1, 2 and 2.5."""


def _mp3_length(path: Path) -> int | None:
    """Return the samples of all MPEG frames of an mp3 (ISO/IEC 11172-3, layer III).

    Cost: one read of the file. None where a frame is of another layer or of a free bit rate, so
    that its length cannot be known from its header.
    """
    data = path.read_bytes()
    place, length = 0, 0
    if data[:3] == b"ID3":  # sizes in ID3v2 have 7 bits a byte
        size = 0
        for byte in data[6:10]:
            size = size << 7 | byte
        place = 10 + size
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        second, third = data[place + 1], data[place + 2]
        version, layer = second >> 3 & 3, second >> 1 & 3
        rate, frequency = third >> 4, third >> 2 & 3
        if second >> 5 != 7 or version == 1 or layer == 0 or rate == 15 or frequency == 3:
            place += 1  # no header: what an editor left between the frames
            continue
        if layer != 1 or rate == 0:
            return None
        samples = 1152 if version == 3 else 576
        bit_rate = _BIT_RATES[3 if version == 3 else 2][rate] * 1000
        size = samples // 8 * bit_rate // _SAMPLE_RATES[version][frequency] + (third >> 1 & 1)
        length += samples
        place += size
    return length


def _resampled(
    path: Path, sample_rate: int, start_s: float, duration_s: float | None
) -> Iterator[Samples]:
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            place = round(start_s * file.samplerate)
            end = file.frames
            if duration_s is not None:
                end = min(end, place + max(1, round(duration_s * file.samplerate)))
            is_mp3 = file.format == "MP3"
            stream = soxr.ResampleStream(file.samplerate, sample_rate, 1, dtype="float32")
            while place < end:
                before = min(place, MP3_RUN_UP) if is_mp3 else 0
                file.seek(place - before)
                size = min(end - place, FRAMES_PER_READ)
                frames = file.read(before + size, dtype="float32", always_2d=True)[before:]
                num_lost = size - len(frames)
                if num_lost > (MP3_END if is_mp3 else 0) or not len(frames):
                    raise Misfit(
                        UNREADABLE, f"{path} ends {end - place - len(frames):,} frames early"
                    )
                place = end if num_lost else place + size
                yield stream.resample_chunk(frames.mean(1), last=place >= end)
    except (soundfile.SoundFileError, OSError) as error:
        raise Misfit(UNREADABLE, f"{path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else repr(error)
