"""Metrics of a step, copied from the device without a sync.

To read a value from a GPU waits for all work queued before. A reading starts an asynchronous copy;
who reads it later waits for that copy only, while the device continues. On a CPU nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Reading:
    """The metrics of an optimizer step.

    Attributes:
        step: finished optimizer steps.
    """

    def __init__(self, step: int, values: Tensor, names: Sequence[str] = ()) -> None:
        """Start the copy.

        Args:
            step: see the class.
            values: float64 [3 + further] on any device: mean loss in nats a supervised token and
                tokens, both over all ranks, and the L2 norm of the gradient before clipping; then
                those of `names`.
            names: of further values: the router loss, and terms of the objective.
        """
        self.step = step
        self._names = tuple(names)
        self._values = values
        self._copied: torch.cuda.Event | None = None
        if values.is_cuda:
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(values.device))

    @property
    def loss(self) -> float:
        """Mean of the objective over the step's supervised tokens, in nats."""
        return self._value(0)

    @property
    def num_tokens(self) -> int:
        """Tokens of the step over all ranks."""
        return int(self._value(1))

    @property
    def grad_norm(self) -> float:
        """L2 norm of the gradient before clipping."""
        return self._value(2)

    @property
    def further(self) -> dict[str, float]:
        """Further parts of the loss by name, means over the step."""
        return {name: self._value(3 + number) for number, name in enumerate(self._names)}

    def wait(self) -> None:
        """Wait until the device has finished this step."""
        if self._copied is not None:
            self._copied.synchronize()

    @property
    def is_free(self) -> bool:
        """Whether the values can be read without a sync."""
        return self._copied is None

    def _value(self, index: int) -> float:
        self.wait()
        return float(self._values[index])


class Readings:
    """The last two readings of a run.

    Attributes:
        newest: of the last finished step.
        settled: the newest that can be read without stalling the device: on a GPU the one before
            `newest`.
    """

    def __init__(self) -> None:
        """Start without readings."""
        self.newest: Reading | None = None
        self.settled: Reading | None = None

    def add(self, reading: Reading) -> None:
        """Add the reading of the step that was finished last."""
        self.settled = reading if reading.is_free else self.newest
        self.newest = reading
