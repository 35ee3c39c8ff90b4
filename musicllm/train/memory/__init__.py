"""The memory of a run, and settings that fit when it is too much.

`estimate` is the entry point. `activations` has what the two passes need, by a trace of the model,
`states` what is there for the whole run, `advice` looks for settings that fit. Nothing is loaded or
measured.
"""

from __future__ import annotations

from musicllm.train.memory.estimate import Memory, Workload, estimate, trace_of
from musicllm.train.memory.states import Spread

__all__ = ["Memory", "Spread", "Workload", "estimate", "trace_of"]
