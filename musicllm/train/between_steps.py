"""Uses the model between two training steps without an effect on the training.

A run with samples or benchmarks has the same weights as one without, bit for bit.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and restore its state after the block.

    Restores the mode of every module, and the random states of the CPU and of the model's device.
    """
    modes = {module: module.training for module in model.modules()}
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else []
    model.eval()
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Use a model between two steps without an effect on the second.

    Beyond `evaluation_mode`, Python's and numpy's random states are restored, and compiled layers
    run eagerly, since new shapes and modes would let the compiler generate other code for later
    steps. On a GPU the allocator's cache is freed.
    """
    states = random.getstate(), np.random.get_state()
    torch.cuda.empty_cache()  # nothing where there is no GPU
    try:
        with ExitStack() as stack:
            stack.enter_context(evaluation_mode(model))
            # private: there is no public way to tell whether `Module.compile` was called
            if any(module._compiled_call_impl is not None for module in model.modules()):
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        torch.cuda.empty_cache()
        random.setstate(states[0])
        np.random.set_state(states[1])
