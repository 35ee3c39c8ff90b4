"""Benches: ours and a baseline, side by side in one run, and what came of it in bench.json.

A bench is a module with `run(settings) -> Findings`, named in `BENCHES`; `measuring` interleaves
what it compares, `machine` says where. Nothing is asserted here: figures are for people, and the
goals they are held against stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable

from musicllm.bench import memory, prepare
from musicllm.bench.findings import BenchSettings, Findings

BENCHES: dict[str, Callable[[BenchSettings], Findings]] = {
    "prepare": prepare.run,
    "memory": memory.run,
}
"""`bench.name` -> what measures it."""
