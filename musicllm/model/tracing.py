"""What the modules of a model return on their way through a forward pass, in order.

Axes: N tokens of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def outputs(
    model: nn.Module, run: Callable[[], object], *, num_passes: int = 1
) -> dict[str, Tensor]:
    """Return the outputs of the modules inside a model by path, in the order in which they end.

    A module that is called once a pass has its outputs put end to end; others, which are called
    several times or not in each, and those whose outputs have no axes of rows, tokens and features,
    are left out.

    Args:
        model: that `run` calls.
        run: runs the model once for every pass.
        num_passes: see `run`.
    """
    parts: dict[str, list[Tensor]] = {}

    def remember(path: str, _module: nn.Module, _inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor) and first.is_floating_point() and first.dim() == 3:
            parts.setdefault(path, []).append(first.detach().float().cpu())

    handles = [
        module.register_forward_hook(partial(remember, path))
        for path, module in model.named_modules()
        if path
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return {
        path: torch.cat(tensors, dim=1)
        for path, tensors in parts.items()
        if len(tensors) == num_passes and len({t.shape[::2] for t in tensors}) == 1
    }


def place_of(model: nn.Module, path: str) -> str:
    """Return the path, down to the part of a layer, and the class of a module in it."""
    names = path.split(".")
    number = next((i for i, name in enumerate(names) if name.isdigit()), len(names))
    place = ".".join(names[: number + 2])
    return f"{place} ({type(model.get_submodule(place)).__name__})"
