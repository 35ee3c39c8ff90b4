"""The benches by name."""

from __future__ import annotations

from collections.abc import Callable

from musicllm.bench import memory, merge, prepare
from musicllm.bench.eval import run as evaluation
from musicllm.bench.generate import run as generate
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.bench.serve import run as serve
from musicllm.bench.train import run as train

BENCHES: dict[str, Callable[[BenchSettings], BenchResult]] = {
    "prepare": prepare.run,
    "memory": memory.run,
    "merge": merge.run,
    "train": train.run,
    "eval": evaluation.run,
    "generate": generate.run,
    "serve": serve.run,
}
"""`bench.name` -> function that runs it."""
