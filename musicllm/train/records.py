"""Records of bad losses, and the steps that are left out because of them.

They are `incidents/step-<N>.json` and `left-out-steps.json` in the run folder. Detection and policy
are in `callbacks.incidents`. Steps are counted as in metrics.jsonl, from 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.data.batches import StepBatches
from musicllm.train import metrics

LEFT_OUT = "left-out-steps.json"
NUM_LINES = 20
"""Lines of metrics.jsonl in a record."""


class Records:
    """The records of a run."""

    def __init__(self, folder: Path, batches: StepBatches, source_names: Sequence[str]) -> None:
        """Open the records of a run.

        Args:
            folder: the run folder.
            batches: assignment of rows to steps.
            source_names: by the indices in the rows; () records the indices.
        """
        self._run = folder
        self._folder = folder / "incidents"
        self._batches = batches
        self._source_names = source_names
        self._metrics_file = folder / metrics.NAME

    def path(self, step: int) -> Path:
        """Return the path of a step's record."""
        return self._folder / f"step-{step:08d}.json"

    def write(self, step: int, loss: float, what: str, policy: str) -> int:
        """Write the record of a step, replacing an earlier one.

        Args:
            step: with the bad loss.
            loss: of the step.
            what: description of the fault, for people.
            policy: `callbacks.on_bad_loss`.

        Returns:
            The number of steps of this run with a record.
        """
        self._folder.mkdir(exist_ok=True)
        record = {
            "step": step,
            "what": what,
            "loss": loss if math.isfinite(loss) else str(loss),
            "policy": policy,
            "rows": [self._row(int(row)) for row in self._batches.rows_of_step(step - 1)],
            "metrics": list(metrics.read(self._metrics_file))[-NUM_LINES:],
        }
        artifacts.write_json(self.path(step), record)
        return len(list(self._folder.glob("step-*.json")))

    def leave_out(self, step: int) -> None:
        """Add a step to those that are left out; the file is replaced atomically."""
        steps = sorted(left_out_steps(self._run) | {step})
        artifacts.write_json(self._run / LEFT_OUT, {"steps": steps})

    def _row(self, index: int) -> dict[str, Any]:
        row = self._batches.store.row(index)
        sources: list[Any] = sorted(set(row.source.tolist()))
        if self._source_names:
            sources = [self._source_names[number] for number in sources]
        return {"row": index, "sources": sources, "num_supervised": int(row.supervised.sum())}


def left_out_steps(run: Path) -> frozenset[int]:
    """Return the steps of a run that were rolled back and are left out."""
    path = run / LEFT_OUT
    return frozenset(json.loads(path.read_text())["steps"] if path.exists() else ())
