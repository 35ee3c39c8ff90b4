"""Saves checkpoints while training goes on, and deletes those that are no longer wanted.

A save copies every tensor to the CPU, and training waits for that copy alone; files, checksums,
fsync and renames are done by one thread in the background. A process that is killed at any moment
leaves whole checkpoints behind, and perhaps a folder `.step-*` that counts for nothing.
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
        """Delete what an interrupted save left behind.

        Args:
            run: the run folder; no other process may save there.
            identity: of the job, so that other settings do not continue from here.
            earlier: identities of the same job, whose checkpoints are kept and deleted as its own.
            keep_last: how many of the newest stay on disk, at least 1.
            keep_best: how many of those with the lowest scores stay, too.
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
        """Copy what is to be saved and return; it is on disk after the next `wait`.

        An earlier save is awaited first. Cost: one copy of every tensor, and as much memory until
        the save is done.

        Args:
            step: finished optimizer steps.
            weights: trained tensors by name, on any device.
            state: nested dictionaries and lists of plain values and tensors.
            score: the lower, the better, such as the validation loss; None if it was not measured.

        Raises:
            ArtifactError: the save before this one failed.
        """
        self.wait()
        values, tensors = tree.split(state)
        copies = {WEIGHTS: _copies(weights), TENSORS: _copies(tensors)}
        facts = {"step": step, "score": score if _is_number(score) else None}
        on_gpu = any(one.is_cuda for one in [*weights.values(), *tensors.values()])
        copied = _marker(on_gpu)
        self._pending = self._thread.submit(self._write, copied, facts, copies, values)

    def wait(self) -> None:
        """Return when everything is on disk.

        Raises:
            ArtifactError: the last save failed, and was not reported yet.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(
        self,
        copied: Callable[[], object],
        facts: Mapping[str, Any],
        copies: Mapping[str, Mapping[str, Tensor]],
        values: Any,
    ) -> None:
        path = folder_of(self._run, facts["step"])
        copied()
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
        """Delete this job's checkpoints but the newest and the best."""
        ours = list(of_job(self._run, self._identity, *self._earlier))
        scored = [one for one in ours if one.facts.get("score") is not None]
        best = sorted(scored, key=lambda one: float(one.facts["score"]))[: self._keep_best]
        wanted = {one.path for one in [*ours[: self._keep_last], *best]}
        for one in ours:
            if one.path not in wanted:
                shutil.rmtree(one.path.rename(one.path.with_name(f".{one.path.name}-deleted")))


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Begin to copy tensors to the CPU, where no step changes them."""
    return {name: _copy(tensor.detach()) for name, tensor in tensors.items()}


def _copy(tensor: Tensor) -> Tensor:
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return copy.copy_(tensor, non_blocking=True)


def _marker(on_gpu: bool) -> Callable[[], object]:
    """Return what waits until the copies that were begun are complete.

    Later steps cannot overtake the copies, since a GPU does what it is told in order.
    """
    if not on_gpu:
        return lambda: None
    event: torch.cuda.Event = torch.cuda.current_stream().record_event()
    return event.synchronize


def _is_number(score: float | None) -> bool:
    return score is not None and math.isfinite(score)


def _to_disk(path: Path) -> None:
    """Make sure that a file's bytes, or a folder's names, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
