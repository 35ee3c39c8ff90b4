"""The processes that train together: starting, agreeing, and telling each other small things.

Tensors of the training itself go through the strategy. Here are the words before and between:
Python values and flags, over gloo on the CPU, so that a GPU is never waited for. A process that is
alone needs none of it, and every function says what is so then.
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
"""How long a process waits for another: as long as the first may load weights or save."""


def start(accelerator: str, timeout: timedelta = TIMEOUT) -> None:
    """Meet the other processes; where there are none, or we have met, nothing happens.

    Args:
        accelerator: cpu (gloo), or gpu (NCCL for tensors there, gloo for what is said here).
        timeout: how long one may wait for another.
    """
    if not ranks.launched() or distributed.is_initialized():
        return
    if accelerator == "gpu":
        torch.cuda.set_device(ranks.local_rank())
    backend = "cpu:gloo,cuda:nccl" if accelerator == "gpu" else "gloo"
    distributed.init_process_group(backend, timeout=timeout)


def stop() -> None:
    """Part from the other processes, all of which are done."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def from_main(make: Callable[[], Value]) -> Value:
    """Return what rank 0 makes; the others only receive it."""
    if not distributed.is_initialized():
        return make()
    box = [make() if ranks.is_main() else None]
    distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    value: Value = box[0]  # type: ignore[assignment]
    return value


def gather(value: Value) -> list[Value]:
    """Return what every process has, in the order of their ranks; each gets all."""
    if not distributed.is_initialized():
        return [value]
    everyone: list[Value] = [value] * distributed.get_world_size()
    distributed.all_gather_object(everyone, value)
    return everyone


def most(number: int) -> int:
    """Return the largest that any process names; about a tenth of a millisecond on one machine."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return number
    largest = torch.tensor(number)
    distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return int(largest)


def any_of(flag: bool) -> bool:
    """Tell whether any process says yes."""
    return bool(most(int(flag)))


def barrier() -> None:
    """Wait until every process has come here."""
    any_of(False)


def agree(facts: Mapping[str, str]) -> None:
    """Make sure that all processes are about to do the same.

    Args:
        facts: what must be equal, by what it is called: fingerprints of configuration, data, code.

    Raises:
        StageError: they are not; the text names what differs, and on which ranks.
    """
    if not distributed.is_initialized():
        return
    everyone = gather(dict(facts))
    for name in facts:
        values = [theirs.get(name, "nothing") for theirs in everyone]
        if len(set(values)) > 1:
            said = "; ".join(f"rank {rank}: {value}" for rank, value in enumerate(values))
            raise StageError(
                f"the processes disagree on {name} ({said}); every machine needs the same files, "
                f"packages and command"
            )
