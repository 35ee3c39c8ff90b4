"""Runs the contestants interleaved, and compares them.

Each runs in a fresh process; every round starts with another one. Key figures use the fastest
round of every step, since other load only adds time; the table shows
medians.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from musicllm.bench.measuring import Timing, in_fresh_process, run_rounds
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.bench.train.loops import bare, padded
from musicllm.bench.train.ours import ours
from musicllm.bench.train.stopwatch import Measurement
from musicllm.bench.train.task import TrainTask
from musicllm.bench.train.trainer import hf_trainer
from musicllm.errors import InputError
from musicllm.model.flops import Documents, train_flops_per_token
from musicllm.model.trace import trace

GOALS = {
    "overhead_vs_bare_loop": "at most 1.03, at steps of 100 ms and more",
    "vs_padded_loop": "at least 2 on a CPU",
    "vs_hf_trainer": "at least 1.2",
    "mfu": "at least 0.45 on a GPU",
}

MATRIX_ROWS = {"cpu": 2048, "cuda": 8192}
"""Size of the square matrices whose product measures the device's rate."""


def run(settings: BenchSettings) -> BenchResult:
    """Run the bench; takes five to ten minutes on two cores.

    Raises:
        InputError: the number of steps or the length of rows is missing.
        StageError: a contestant's process died.
    """
    if settings.training is None:
        raise InputError("this bench trains: give bench.num_steps and bench.max_length a number")
    task = TrainTask(
        settings.model,
        settings.adapter,
        settings.training,
        settings.num_documents,
        settings.seed,
        settings.work,
    )
    task.write_rows()
    measured = interleave(task, settings.num_rounds)
    peak = in_fresh_process(partial(matrix_rate, task))
    return BenchResult(
        _ratios(task, measured, peak),
        GOALS,
        {
            name: Timing(
                tuple(sum(m.seconds) for m in rounds), rounds[0].num_supervised, "supervised tokens"
            )
            for name, rounds in measured.items()
        },
        _facts(task, measured, peak),
    )


def interleave(task: TrainTask, num_rounds: int) -> dict[str, list[Measurement]]:
    """Run every contestant in every round; each round starts with another one."""
    contestants: dict[str, Callable[[TrainTask], Measurement]] = {
        "ours": ours,
        "bare loop": bare,
        "padded loop": padded,
    }
    if task.device.type == "cuda":
        contestants["transformers.Trainer"] = hf_trainer
    return run_rounds({name: partial(run, task) for name, run in contestants.items()}, num_rounds)


def overhead(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> float:
    """Return the ratio of our time to theirs for the same steps."""
    return _fastest(ours) / _fastest(theirs)


def _fastest(rounds: Sequence[Measurement]) -> float:
    """Return the sum over steps of the fastest round of each."""
    num_steps = len(rounds[0].seconds)
    return sum(min(m.seconds[step] for m in rounds) for step in range(num_steps))


def flops_per_token(task: TrainTask) -> float:
    """Return the FLOPs per token of the conversations; see `train_flops_per_token`."""
    conversations = task.conversations()
    return train_flops_per_token(
        trace(task.model, task.adapter),
        Documents.of(conversations.lengths.tolist()),
        supervised_share=float(conversations.supervised.mean()),
    )


def matrix_rate(task: TrainTask) -> float:
    """Return the FLOPs per second of a large matrix product, the fastest of ten."""
    rows, device = MATRIX_ROWS[task.device.type], task.device
    if task.training.machine.num_threads is not None:
        torch.set_num_threads(task.training.machine.num_threads)
    matrix = torch.randn(rows, rows, device=device).to(task.compute_dtype)
    best = math.inf
    for _ in range(10):
        began = time.perf_counter()
        matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * rows**3 / best


def _ratios(
    task: TrainTask, measured: Mapping[str, Sequence[Measurement]], peak: float
) -> dict[str, float]:
    rate = {name: rounds[0].num_supervised / _fastest(rounds) for name, rounds in measured.items()}
    tokens_per_s = measured["ours"][0].num_tokens / _fastest(measured["ours"])
    ratios = {
        "overhead_vs_bare_loop": overhead(measured["ours"], measured["bare loop"]),
        "vs_padded_loop": rate["ours"] / rate["padded loop"],
        "mfu": flops_per_token(task) * tokens_per_s / peak,
    }
    if "transformers.Trainer" in rate:
        ratios["vs_hf_trainer"] = rate["ours"] / rate["transformers.Trainer"]
    return ratios


def _facts(
    task: TrainTask, measured: Mapping[str, Sequence[Measurement]], peak: float
) -> dict[str, object]:
    facts: dict[str, object] = {
        "gflops_per_token": round(flops_per_token(task) / 1e9, 3),
        "matrix_rate_tflops": round(peak / 1e12, 3),
    }
    for name, rounds in measured.items():
        steps = [second for m in rounds for second in m.seconds]
        facts[name] = {
            "ms_a_step": round(1e3 * statistics.median(steps)),
            "tokens_per_s": round(statistics.median(m.num_tokens / sum(m.seconds) for m in rounds)),
            "peak_mb": round(max(m.peak_bytes for m in rounds) / 1e6),
            "first_step_s": round(statistics.median(m.first_step_s for m in rounds), 1),
            **{
                f"{part}_ms": round(1e3 * statistics.median(m.parts[part] for m in rounds), 1)
                for part in rounds[0].parts
            },
        }
    return facts
