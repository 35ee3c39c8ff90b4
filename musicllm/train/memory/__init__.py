"""How much memory a run needs, and what to change when that is too much.

`estimate` is the way in. `activations` counts what the forward pass keeps, `states` what lies there
all the time, `advice` looks for settings that fit. Nothing is loaded and nothing is measured.
"""

from __future__ import annotations

from musicllm.train.memory.estimate import Memory, Workload, estimate
from musicllm.train.memory.states import Spread

__all__ = ["Memory", "Spread", "Workload", "estimate"]
