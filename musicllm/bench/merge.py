"""Peak memory and time of a merge, with random weights of any size.

The base has the shapes of `model`, the adapter is `adapter`; with the merged model they
need 5 bytes of disk per parameter. The merge runs in a fresh process. Its peak is the
maximum resident memory, including mapped files (Linux: VmHWM).
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from musicllm import console
from musicllm.bench.measuring import Timing, in_fresh_process, memory_bytes
from musicllm.bench.random_weights import write_adapter, write_base
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.model.architecture import config_of
from musicllm.model.merge import MergeReport, merge

NUM_TOKENS = 96
"""Length of the text on which logits are compared, about that of the tune in the stage."""

INTERVAL_S = 0.02

GOALS = {
    "peak_memory_gb": "at most 3 + shard_gb",
    "peak_anonymous_gb": "none; the part of it that is not mapped from files",
    "shard_gb": "merge.max_shard_gb",
    "seconds": "none",
}


@dataclass(frozen=True)
class Cost:
    """The cost of one merge.

    Attributes:
        seconds: including the check, without the start of Python.
        peak: maximum resident memory in bytes, including mapped files.
        peak_anonymous: the same without mapped files, sampled every 20 ms.
        shard: size of the largest weight file in bytes.
        report: of the merge.
    """

    seconds: float
    peak: int
    peak_anonymous: int
    shard: int
    report: MergeReport


def run(settings: BenchSettings) -> BenchResult:
    """Merge `num_rounds` times; the highest peaks and the median time count.

    Raises:
        StageError: the merge changed logits, or its process died.
    """
    work, shard_gb = settings.work, settings.max_shard_gb
    console.say("writing a base and an adapter of random numbers")
    in_fresh_process(partial(write_base, work / "base", settings.model, shard_gb))
    in_fresh_process(partial(write_adapter, work / "adapter", settings.model, settings.adapter))
    draw = random.Random(settings.seed)
    ids = draw.choices(range(config_of(settings.model).vocab_size), k=NUM_TOKENS)
    costs = []
    with console.progress("measuring", settings.num_rounds, "run") as advance:
        for _ in range(settings.num_rounds):
            costs.append(in_fresh_process(partial(measured, work, shard_gb, ids)))
            advance()
    seconds = tuple(cost.seconds for cost in costs)
    report = costs[0].report
    return BenchResult(
        {
            "peak_memory_gb": max(cost.peak for cost in costs) / 1e9,
            "peak_anonymous_gb": max(cost.peak_anonymous for cost in costs) / 1e9,
            "shard_gb": costs[0].shard / 1e9,
            "seconds": statistics.median(seconds),
        },
        GOALS,
        {"merge": Timing(seconds, report.num_parameters, "parameters")},
        {
            "layers": config_of(settings.model).num_hidden_layers,
            "parameters": report.num_parameters,
            "bytes_of_merged_weights": report.num_bytes,
            "bytes_of_adapter": (work / "adapter" / "adapter_model.safetensors").stat().st_size,
            "shards": report.num_shards,
            "max_abs_difference": report.max_abs_difference,
            "max_abs_effect": report.max_abs_effect,
        },
    )


def measured(work: Path, shard_gb: float, ids: list[int]) -> Cost:
    """Merge once in this process; the peak counts from its start."""
    folder = work / "merged"
    folder.mkdir(exist_ok=True)
    anonymous: list[int] = [0]
    with _watching("RssAnon", anonymous):
        started = time.perf_counter()
        report = merge(
            work / "base", work / "adapter", folder,
            dtype="auto", max_shard_gb=shard_gb, check_ids=ids,
        )  # fmt: skip
        seconds = time.perf_counter() - started
    shard = max(file.stat().st_size for file in folder.glob("*.safetensors"))
    return Cost(seconds, memory_bytes("VmHWM"), anonymous[0], shard, report)


@contextmanager
def _watching(key: str, highest: list[int]) -> Iterator[None]:
    """Track the maximum of a memory figure of this process."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(INTERVAL_S):
            highest[0] = max(highest[0], memory_bytes(key))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
