"""The group of processes that train together: joining it, and exchanging small values.

Tensors of the training itself go through the strategy. Python values and flags are exchanged here,
over gloo on the CPU, so that no GPU has to be synchronised. Without a group every function works
for the single process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from musicllm.errors import StageError
from musicllm.launch import ranks

Value = TypeVar("Value")

TIMEOUT = timedelta(hours=2)
"""How long a process waits for another, which may be loading weights or saving."""


def start(accelerator: str, timeout: timedelta = TIMEOUT) -> None:
    """Join the group; does nothing for a single process, or if it has joined already.

    Args:
        accelerator: cpu (gloo), or gpu (NCCL for tensors on it, gloo for those on the CPU).
        timeout: how long a process waits for another.
    """
    if not ranks.launched() or distributed.is_initialized():
        return
    if accelerator == "gpu":
        torch.cuda.set_device(ranks.local_rank())
    backend = "cpu:gloo,cuda:nccl" if accelerator == "gpu" else "gloo"
    distributed.init_process_group(backend, timeout=timeout)


def stop() -> None:
    """Leave the group."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def from_main(make: Callable[[], Value]) -> Value:
    """Return the result of `make`, which only rank 0 calls, on every rank."""
    if not distributed.is_initialized():
        return make()
    box = [make() if ranks.is_main() else None]
    distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    value: Value = box[0]  # type: ignore[assignment]
    return value


def gather(value: Value) -> list[Value]:
    """Return the values of all processes by rank, on every rank."""
    if not distributed.is_initialized():
        return [value]
    everyone: list[Value] = [value] * distributed.get_world_size()
    distributed.all_gather_object(everyone, value)
    return everyone


def most(number: int) -> int:
    """Return the maximum over all processes; takes about 0.1 ms on one machine."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return number
    largest = torch.tensor(number)
    distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return int(largest)


def any_of(flag: bool) -> bool:
    """Return whether the flag is set in any process."""
    return bool(most(int(flag)))


def barrier() -> None:
    """Wait for all processes."""
    any_of(False)


def agree(facts: Mapping[str, str]) -> None:
    """Make sure that all processes are about to do the same.

    Args:
        facts: what must be equal, by name: fingerprints of configuration, data, code.

    Raises:
        StageError: they differ; names what differs, and on which ranks.
    """
    if not distributed.is_initialized():
        return
    everyone = gather(dict(facts))
    for name in facts:
        values = [theirs.get(name, "nothing") for theirs in everyone]
        if len(set(values)) > 1:
            listing = "; ".join(f"rank {rank}: {value}" for rank, value in enumerate(values))
            raise StageError(
                f"the processes disagree on {name} ({listing}); every machine needs the same "
                f"files, packages and command"
            )
