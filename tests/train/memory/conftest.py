"""What torch holds while a micro-batch goes through a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.train.memory.batch import MicroBatch


@pytest.fixture
def saved_bytes() -> Callable[[MicroBatch], int]:
    """Return a measure of what autograd keeps of a forward pass, weights aside."""

    def measure(batch: MicroBatch) -> int:
        own = {weight.untyped_storage().data_ptr() for weight in batch.model.parameters()}
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            address = tensor.untyped_storage().data_ptr()
            if address not in own:
                kept[address] = tensor
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with hooks, batch.autocast():
            batch.hidden()
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    return measure


@pytest.fixture
def peak_bytes() -> Callable[[Callable[[], None]], int]:
    """Return a measure of the most that torch allocates during a call, beyond what was there."""

    def measure(call: Callable[[], None]) -> int:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
            call()
        held = most = 0
        for change in _changes(trace):
            held += change
            most = max(most, held)
        return most

    return measure


def _changes(trace: Any) -> Iterator[int]:
    events = trace.profiler.kineto_results.events()
    memory = [event for event in events if event.name() == "[memory]"]
    for event in sorted(memory, key=lambda event: event.start_ns()):
        yield event.nbytes()
