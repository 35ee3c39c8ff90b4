"""Checkpoints: what is needed to continue a run exactly, and nothing else.

`checkpoints/step-00000120/` holds `weights.safetensors` (only what is trained, never the frozen
base), `state.pt` (optimizer, schedule, loss scaler) and `manifest.json` with checksums, which is
written last before the folder gets its name. A process that is killed at any moment leaves whole
checkpoints behind. The random state is not stored: dropout is seeded by step (`module`) and the
order of rows is a function of the step, so the step is the position.

This module knows files; which object holds which state is the business of `fit`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from musicllm import artifacts, console
from musicllm.errors import ArtifactError

KIND = "checkpoint"
WEIGHTS = "weights.safetensors"
STATE = "state.pt"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk.

    Attributes:
        path: its folder.
        step: finished optimizer steps.
    """

    path: Path
    step: int

    def weights(self) -> dict[str, Tensor]:
        """Read the trained tensors, on the CPU."""
        return load_file(self.path / WEIGHTS)

    def state(self) -> dict[str, Any]:
        """Read the state of optimizer, schedule and loss scaler, on the CPU."""
        state: dict[str, Any] = torch.load(self.path / STATE, map_location="cpu", weights_only=True)
        return state


def folder_of(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies in a run folder."""
    return run / "checkpoints" / f"step-{step:08d}"


def save(
    run: Path, step: int, identity: str, weights: Mapping[str, Tensor], state: Mapping[str, Any]
) -> Path:
    """Write a checkpoint, all of it or nothing.

    Time and space: the trained weights and two or three times as much of optimizer state.

    Args:
        run: the run folder.
        step: finished optimizer steps.
        identity: of the job, so that other settings do not continue from here.
        weights: trained tensors by name.
        state: plain values and tensors.

    Returns:
        The checkpoint's folder.
    """
    path = folder_of(run, step)
    with artifacts.writing(path, KIND, identity, {}) as (folder, facts):
        facts["step"] = step
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in weights.items()}, folder / WEIGHTS
        )
        torch.save(dict(state), folder / STATE)
    return path


def newest(run: Path, identity: str) -> Checkpoint | None:
    """Return the last checkpoint of this job that is whole, or None.

    Others are left where they are and named in a note. Cost: reads every byte of the one that is
    returned, for its checksums.
    """
    for path in sorted((run / "checkpoints").glob("step-*"), reverse=True):
        try:
            found = artifacts.read(path, KIND)
            found.verify()
        except ArtifactError as error:
            console.note(f"skipping the damaged checkpoint {path}: {error}")
            continue
        if found.fingerprint == identity:
            return Checkpoint(path, found.facts["step"])
        console.note(f"skipping the checkpoint {path}: it was made with other settings or inputs")
    return None


def keep_last(run: Path, count: int) -> None:
    """Delete all but the newest checkpoints, and what an interrupted save left behind."""
    folder = run / "checkpoints"
    for path in [*sorted(folder.glob("step-*"))[:-count], *folder.glob(".step-*")]:
        shutil.rmtree(path)
