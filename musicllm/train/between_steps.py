"""Uses the model between two training steps without disturbing the training.

A run that writes samples or measures benchmarks has the weights of one that does not, bit by bit.
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
    """Put a model that is trained into evaluation mode, and leave everything as it was.

    Modes are kept for each module, and the random states of the CPU and of the model's device.
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

    More than `evaluation_mode`: Python's and numpy's random states come back, too, and compiled
    layers run as they are written, since new shapes and modes would let the compiler choose other
    code for the steps to come. On a GPU memory that the steps use by turns is free meanwhile.
    """
    states = random.getstate(), np.random.get_state()
    torch.cuda.empty_cache()  # nothing where there is no GPU
    try:
        with ExitStack() as stack:
            stack.enter_context(evaluation_mode(model))
            # private: whether `Module.compile` was called is told nowhere else
            if any(module._compiled_call_impl is not None for module in model.modules()):
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        torch.cuda.empty_cache()
        random.setstate(states[0])
        np.random.set_state(states[1])
