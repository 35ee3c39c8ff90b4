"""What a run remembers of its bad losses: a record of each, and the steps that are left out.

`incidents/step-<N>.json` and `left-out-steps.json` in the run folder. What is bad, and what is done
then, is decided in `callbacks.incidents`. Steps are counted as in metrics.jsonl: the first is 1.
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
"""Lines of metrics.jsonl that a record holds."""


class Records:
    """The records of a run."""

    def __init__(self, folder: Path, batches: StepBatches, source_names: Sequence[str]) -> None:
        """Describe where they are and what they tell.

        Args:
            folder: the run folder.
            batches: which rows a step has.
            source_names: by the numbers in the rows; () leaves the numbers.
        """
        self._run = folder
        self._folder = folder / "incidents"
        self._batches = batches
        self._source_names = source_names
        self._metrics_file = folder / metrics.NAME

    def path(self, step: int) -> Path:
        """Return where the record of a step is."""
        return self._folder / f"step-{step:08d}.json"

    def write(self, step: int, loss: float, what: str, policy: str) -> int:
        """Write the record of a step, over an earlier one of the same step.

        Args:
            step: the bad one.
            loss: of the step.
            what: is wrong, for people.
            policy: that is followed.

        Returns:
            How many steps of this run have a record now.
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
        """Add a step to those that are left out; the file is replaced in one piece."""
        steps = sorted(left_out_steps(self._run) | {step})
        artifacts.write_json(self._run / LEFT_OUT, {"steps": steps})

    def _row(self, index: int) -> dict[str, Any]:
        row = self._batches.store.row(index)
        sources: list[Any] = sorted(set(row.source.tolist()))
        if self._source_names:
            sources = [self._source_names[number] for number in sources]
        return {"row": index, "sources": sources, "num_supervised": int(row.supervised.sum())}


def left_out_steps(run: Path) -> frozenset[int]:
    """Return the steps of a run that were rolled back and are left out from now on."""
    path = run / LEFT_OUT
    return frozenset(json.loads(path.read_text())["steps"] if path.exists() else ())
