"""Run folders as trainings leave them, for pages and dashboards of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from musicllm import artifacts
from musicllm.music.render import abc_to_svg
from musicllm.music.render.kinds.png import svg_to_png
from musicllm.train import metrics
from musicllm.train.tunes import SampleTune, folder_of, write_tunes
from tests.helpers import make_tune

PLAN = {"num_steps": 8, "expected": {"step_time_s": 2.0, "mfu": None}}


def begin(folder: Path, settings: Mapping[str, Any], plan: Mapping[str, Any] = PLAN) -> Path:
    """Write what stands in a run folder before the first step."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"fingerprint": folder.name, "earlier": [], "decides": {"settings": dict(settings)}}
    artifacts.write_json(folder / "identity.json", record)
    artifacts.write_json(folder / "plan.json", dict(plan))
    metrics.truncate(folder / metrics.NAME, 0)
    return folder


def step(folder: Path, number: int, **values: float) -> None:
    """Write the lines of a step; `train_loss=2.0` is `train/loss`."""
    named = {name.replace("_", "/", 1): value for name, value in values.items()}
    metrics.append(folder / metrics.NAME, number, {"perf/step_time_s": 4.0, **named})


def sample(run: Path, number: int, text: str | None = None) -> None:
    """Write a tune with its score and sound."""
    folder = folder_of(run, number)
    folder.mkdir(parents=True)
    tune = make_tune(number)
    (folder / "001.png").write_bytes(svg_to_png(abc_to_svg(tune)))
    soundfile.write(folder / "001.wav", np.zeros(800), 8000)
    written = SampleTune("X:1", text or tune, folder / "001.png", folder / "001.wav")
    write_tunes(folder, [written])


def finish(folder: Path) -> None:
    """Make the artifact."""
    with artifacts.writing(folder / "artifact", "model", folder.name, {}):
        pass
