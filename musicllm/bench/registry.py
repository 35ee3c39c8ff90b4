"""The benches there are."""

from __future__ import annotations

from collections.abc import Callable

from musicllm.bench import memory, merge, prepare
from musicllm.bench.eval import run as evaluation
from musicllm.bench.findings import BenchSettings, Findings
from musicllm.bench.train import run as train

BENCHES: dict[str, Callable[[BenchSettings], Findings]] = {
    "prepare": prepare.run,
    "memory": memory.run,
    "merge": merge.run,
    "train": train.run,
    "eval": evaluation.run,
}
"""`bench.name` -> what measures it."""
