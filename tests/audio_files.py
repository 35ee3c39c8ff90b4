"""Small audio files of tones, high or low, smooth or rough, and questions about them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATES = (16_000, 24_000, 44_100, 48_000)
FORMATS = ("wav", "flac", "ogg", "mp3")


def tone(number: int, rate: int, seconds: float = 1.5) -> npt.NDArray[np.float32]:
    """Return a tone: even numbers are high, and of each two pairs the first is rough."""
    time = np.arange(int(rate * seconds)) / rate
    frequency = (600 if number % 2 == 0 else 200) * (1 + (number % 7) / 20)
    wave = 0.3 * np.sin(2 * np.pi * frequency * time)
    return (0.3 * np.sign(wave) if (number // 2) % 2 == 0 else wave).astype(np.float32)


def write_questions(folder: Path, num_clips: int, num_held_out: int = 8) -> Path:
    """Write clips in several formats and rates, and two questions about each; returns `folder`."""
    (folder / "audio").mkdir(parents=True)
    lines: dict[str, list[str]] = {"train": [], "validation": []}
    for number in range(num_clips):
        rate, name = RATES[number % 4], f"audio/{number:03d}.{FORMATS[number // 4 % 4]}"
        wave = tone(number, rate)
        soundfile.write(folder / name, np.stack([wave, wave], 1) if number % 3 == 0 else wave, rate)
        height = "high" if number % 2 == 0 else "low"
        kind = "rough" if (number // 2) % 2 == 0 else "smooth"
        for question, answer in (("High or low?", height), ("Rough or smooth?", kind)):
            messages = [{"role": "user", "content": question},
                        {"role": "assistant", "content": answer}]  # fmt: skip
            record = {"messages": messages, "features": [{"kind": "audio", "file": name}]}
            split = "validation" if number >= num_clips - num_held_out else "train"
            lines[split].append(json.dumps(record) + "\n")
    for split, own in lines.items():
        (folder / f"{split}.jsonl").write_text("".join(own))
    return folder
