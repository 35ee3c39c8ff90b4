"""The layout of checkpoints: finds the newest complete one, and moves damaged ones away.

    checkpoints/step-00000120/weights.safetensors   only what is trained, never the frozen base
                              state.safetensors     tensors of the optimizer's state
                              state.json            its other values, and the loss scaler
                              manifest.json         checksums, written last
    checkpoints/damaged/step-00000110/              damaged, as detected at a start

No random state is stored: dropout is seeded by step (`module`) and the order of rows is a function
of the step, so the step is the position.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from musicllm import artifacts, console
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.train.checkpoints import tree

KIND = "checkpoint"
WEIGHTS = "weights.safetensors"
TENSORS = "state.safetensors"
VALUES = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk.

    Attributes:
        path: its folder.
        step: finished optimizer steps.
    """

    path: Path
    step: int

    def weights(self) -> dict[str, Tensor]:
        """Read the trained tensors, on the CPU."""
        return _read(self.path / WEIGHTS)

    def state(self) -> dict[str, Any]:
        """Read the state saved beside the weights, its tensors on the CPU."""
        values = json.loads((self.path / VALUES).read_text(encoding="utf-8"))
        state: dict[str, Any] = tree.join(values, _read(self.path / TENSORS))
        return state


def folder_of(run: Path, step: int) -> Path:
    """Return the path of the checkpoint of a step in a run folder."""
    return run / "checkpoints" / f"step-{step:08d}"


def paths(run: Path) -> list[Path]:
    """Return the folders of a run that are named like checkpoints, the last step first."""
    return sorted((run / "checkpoints").glob("step-*"), key=_step_of, reverse=True)


def bytes_of(run: Path) -> int:
    """Return the bytes that the checkpoints of a run take on disk."""
    return sum(file.stat().st_size for path in paths(run) for file in path.iterdir())


def of_job(run: Path, *identities: str) -> Iterator[Artifact]:
    """Yield the checkpoints of a job by their manifests, the last step first; reads no tensor."""
    for path in paths(run):
        try:
            checkpoint = artifacts.read(path, KIND)
        except ArtifactError:  # `newest` moves it away when the run starts
            continue
        if checkpoint.fingerprint in identities:
            yield checkpoint


def newest(run: Path, *identities: str) -> Checkpoint | None:
    """Return the last complete checkpoint of this job, or None.

    Damaged ones are reported and moved to `checkpoints/damaged/`; those of other settings are
    reported and skipped. Cost: reads every byte of the one that is returned, for its checksums.

    Args:
        run: the run folder.
        identities: of the job, and of its earlier, shorter versions.
    """
    for path in paths(run):
        try:
            checkpoint = artifacts.read(path, KIND)
            if checkpoint.fingerprint not in identities:
                console.note(
                    f"skipping the checkpoint {path}: it was made with other settings or inputs"
                )
                continue
            _verify(checkpoint)
        except (ArtifactError, OSError) as fault:
            place = _move_away(path)
            console.note(f"the checkpoint {path} is damaged: {fault}; it was moved to {place}")
            continue
        return Checkpoint(path, checkpoint.facts["step"])
    return None


def _verify(checkpoint: Artifact) -> None:
    """Compare all files with the manifest; raises for the first fault."""
    step, sizes = checkpoint.facts.get("step"), checkpoint.facts.get("bytes")
    if step != _step_of(checkpoint.path) or not isinstance(sizes, dict):
        raise ArtifactError(
            f"its {artifacts.MANIFEST} is that of step {step}, or of an old version"
        )
    for name, expected in checkpoint.files.items():
        file = checkpoint.path / name
        if not file.is_file():
            raise ArtifactError(f"{name} is missing")
        size = file.stat().st_size
        if size != sizes.get(name):
            raise ArtifactError(f"{name} has {size} bytes, but {sizes.get(name)} were written")
        if artifacts.checksum(file) != expected:
            raise ArtifactError(f"the bytes of {name} are not those that were written (SHA-256)")


def _move_away(path: Path) -> Path:
    folder = path.parent / "damaged"
    folder.mkdir(exist_ok=True)
    names = (path.name if number == 1 else f"{path.name}.{number}" for number in range(1, 10_000))
    return path.rename(next(folder / name for name in names if not (folder / name).exists()))


def _step_of(path: Path) -> int:
    digits = path.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else -1


def _read(path: Path) -> dict[str, Tensor]:
    """Read tensors into memory, so that the file may be deleted."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}
