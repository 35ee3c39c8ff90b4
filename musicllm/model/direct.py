"""Which layers a module with a convolution reads itself, past their own forward pass.

Mixers that convolve pass the weights of layers below them to kernels: the convolution, and some
projections of Mamba's. What wraps such a layer, as LoRA does, then has no effect, and no error says
so.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

from torch import nn

READ = re.compile(r"\bself\.(\w+)\.weight\b(?!\.(?:device|dtype|shape|size|ndim|dim)\b)")
"""A weight of a layer that a method of the module above it takes."""


def layers_read_by(module: nn.Module) -> frozenset[str]:
    """Return the names of the children whose weight a module reads in some of its methods.

    Told from the source of its class, so that it holds for kernels of other devices, too. Empty for
    a module that reads no convolution.
    """
    children = dict(module.named_children())
    if not any(isinstance(child, nn.Conv1d) for child in children.values()):
        return frozenset()
    kind: Any = type(module)
    read = _read_by(kind) & children.keys()
    return read if any(isinstance(children[name], nn.Conv1d) for name in read) else frozenset()


@cache
def _read_by(kind: Any) -> frozenset[str]:
    try:
        return frozenset(READ.findall(inspect.getsource(kind)))
    except (OSError, TypeError):  # a class without a file
        return frozenset()
