"""Saves checkpoints in the background, and deletes old ones.

A save copies every tensor to the CPU, and training waits for that copy only; files, checksums,
fsync and renames are done by one background thread. A process that is killed at any moment leaves
complete checkpoints behind, and perhaps an incomplete folder `.step-*`, which is ignored.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from musicllm import artifacts
from musicllm.errors import ArtifactError
from musicllm.train.checkpoints import tree
from musicllm.train.checkpoints.folders import KIND, TENSORS, VALUES, WEIGHTS, folder_of, of_job


class Writer:
    """Saves the checkpoints of one job, one at a time."""

    def __init__(
        self, run: Path, identity: str, *earlier: str, keep_last: int, keep_best: int
    ) -> None:
        """Delete the remains of an interrupted save.

        Args:
            run: the run folder; no other process may save there.
            identity: of the job, so that other settings do not continue from here.
            earlier: identities of the same job, whose checkpoints are treated as its own.
            keep_last: number of the newest checkpoints that are kept, at least 1.
            keep_best: number of those with the lowest scores that are kept, too.
        """
        self._run = run
        self._identity = identity
        self._earlier = earlier
        self._keep_last = keep_last
        self._keep_best = keep_best
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        for path in (run / "checkpoints").glob(".step-*"):
            shutil.rmtree(path)

    def save(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Any],
        score: float | None,
    ) -> None:
        """Copy the state and return; it is on disk after the next `wait`.

        Waits for an earlier save first. Cost: one copy of every tensor, and as much memory until
        the save is done.

        Args:
            step: finished optimizer steps.
            weights: trained tensors by name, on any device.
            state: nested dictionaries and lists of plain values and tensors.
            score: such as the validation loss, the lower the better; None if not measured.

        Raises:
            ArtifactError: the save before this one failed.
        """
        self.wait()
        values, tensors = tree.split(state)
        copies = {WEIGHTS: _copies(weights), TENSORS: _copies(tensors)}
        is_finite = score is not None and math.isfinite(score)
        facts = {"step": step, "score": score if is_finite else None}
        on_gpu = any(tensor.is_cuda for tensor in [*weights.values(), *tensors.values()])
        wait_for_copies = _marker(on_gpu)
        self._pending = self._thread.submit(self._write, wait_for_copies, facts, copies, values)

    def wait(self) -> None:
        """Return when everything is on disk.

        Raises:
            ArtifactError: the last save failed, which has not been reported yet.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(
        self,
        wait_for_copies: Callable[[], object],
        facts: Mapping[str, Any],
        copies: Mapping[str, Mapping[str, Tensor]],
        values: Any,
    ) -> None:
        path = folder_of(self._run, facts["step"])
        wait_for_copies()
        try:
            with artifacts.writing(path, KIND, self._identity, {}) as (folder, recorded):
                for name, tensors in copies.items():
                    save_file(dict(tensors), folder / name)
                (folder / VALUES).write_text(json.dumps(values), encoding="utf-8")
                files = sorted(folder.iterdir())
                for file in files:
                    _to_disk(file)
                recorded |= {**facts, "bytes": {file.name: file.stat().st_size for file in files}}
            _to_disk(path)
            _to_disk(path.parent)
            self._delete_others()
        except (OSError, SafetensorError) as error:
            raise ArtifactError(
                f"the checkpoint {path} could not be written: {error}; earlier ones are whole. "
                f"Make room or mend the disk, and start the same command again"
            ) from error

    def _delete_others(self) -> None:
        """Delete this job's checkpoints except the newest and the best."""
        ours = list(of_job(self._run, self._identity, *self._earlier))
        scored = [checkpoint for checkpoint in ours if checkpoint.facts.get("score") is not None]
        scored.sort(key=lambda checkpoint: float(checkpoint.facts["score"]))
        retained = {item.path for item in [*ours[: self._keep_last], *scored[: self._keep_best]]}
        for path in (checkpoint.path for checkpoint in ours if checkpoint.path not in retained):
            shutil.rmtree(path.rename(path.with_name(f".{path.name}-deleted")))


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Begin to copy tensors to the CPU, where no step changes them."""
    copies = {}
    for name, tensor in tensors.items():
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        copies[name] = copy.copy_(tensor.detach(), non_blocking=True)
    return copies


def _marker(on_gpu: bool) -> Callable[[], object]:
    """Return a function that waits until the copies are complete.

    Later steps cannot overtake the copies, since they are queued in the same stream.
    """
    if not on_gpu:
        return lambda: None
    event: torch.cuda.Event = torch.cuda.current_stream().record_event()
    return event.synchronize


def _to_disk(path: Path) -> None:
    """Flush a file or folder to the disk, so that it survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
