"""Runs the contestants interleaved, with five examples and with none."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from musicllm import console
from musicllm.bench import vocabulary
from musicllm.bench.eval import contestants
from musicllm.bench.eval.comparing import BATCH_SIZES, OURS, EvalComparison, backend, label
from musicllm.bench.eval.questions import NUM_EXAMPLES, from_folder, requests, synthetic
from musicllm.bench.eval.task import Answers, EvalTask
from musicllm.bench.measuring import in_fresh_process, run_rounds
from musicllm.bench.random_weights import write_base
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.errors import ConfigError, Problem
from musicllm.evals.questions import LETTERS, QuestionSet
from musicllm.model import base, packaged
from musicllm.model.architecture import config_of
from musicllm.model.spec import ModelSpec

GOALS = {
    "vs_harness_5shot": "at least 5",
    "vs_harness_0shot": "at least 1.5",
    "max_abs_loglikelihood_difference": "at most 0.001 in float32",
    "predictions_identical": "1, the share of questions",
    "peak_memory_vs_harness": "at most 1",
}

SHOTS = (NUM_EXAMPLES, 0)


def run(settings: BenchSettings) -> BenchResult:
    """Run the bench; takes about 15 minutes on two cores.

    Raises:
        ConfigError: a setting that this bench does not use.
        InputError: the folder of questions cannot be read.
        NotAvailableError: the model, or for random weights sentencepiece, is missing.
        StageError: a contestant's process died.
    """
    _refuse(settings)
    benchmark = _benchmark(settings)
    model = _stored(settings, benchmark)
    tasks = {
        shots: EvalTask(model, settings.evaluation, tuple(requests(benchmark, shots)))
        for shots in SHOTS
    }
    comparison = EvalComparison(interleave(tasks, settings.num_rounds), len(benchmark.questions))
    return BenchResult(
        comparison.ratios(),
        GOALS,
        {label(*key): timing for key, timing in comparison.timings.items()},
        _facts(benchmark, tasks) | _batch_facts(comparison),
    )


def interleave(
    tasks: Mapping[int, EvalTask], num_rounds: int
) -> dict[tuple[str, int], list[Answers]]:
    """Return the answers of each contestant to each task by round, each from a fresh process.

    Args:
        tasks: by number of examples in the prompts.
        num_rounds: number of runs of each.
    """
    contestants_: dict[str, Callable[[EvalTask], Answers]] = {OURS: contestants.ours}
    for size in BATCH_SIZES:
        contestants_[backend(size)] = partial(contestants.harness, batch_size=size)
    keys = {label(name, shots): (name, shots) for shots in tasks for name in contestants_}
    runs = {text: partial(contestants_[name], tasks[shots]) for text, (name, shots) in keys.items()}
    return {keys[text]: rounds for text, rounds in run_rounds(runs, num_rounds).items()}


def _refuse(settings: BenchSettings) -> None:
    """Reject settings of other benches, which would be ignored here."""
    rules = {
        "num_slow_documents": "is not null, but all contestants answer the same questions",
        "vocab_size": "is not null, but a tokenizer has as many tokens as model.config.vocab_size",
    }
    problems = [
        Problem(f"bench.{key}", getattr(settings, key), rule, "write null")
        for key, rule in rules.items()
        if getattr(settings, key) is not None
    ]
    if problems:
        raise ConfigError(problems)


def _benchmark(settings: BenchSettings) -> QuestionSet:
    folder = settings.evaluation.questions
    if folder is None:
        return synthetic(settings.num_documents, settings.seed)
    return from_folder(folder, settings.num_documents, settings.seed)


def _stored(settings: BenchSettings, benchmark: QuestionSet) -> ModelSpec:
    """Return a model that can be loaded; random weights are written first, with a tokenizer."""
    spec = settings.model
    if spec.location is not None:
        where = packaged.find(spec.location, settings.evaluation.cache)
        return dataclasses.replace(spec, location=where)
    console.say("writing random weights, training a tokenizer")
    folder, tokens = settings.work / "model", settings.work / "tokenizer"
    in_fresh_process(partial(write_base, folder, spec, settings.max_shard_gb))
    prompts = [prompt for prompt, _ in requests(benchmark, 0)]
    vocabulary.train(prompts, config_of(spec).vocab_size, tokens)
    vocabulary.fast(tokens).save_pretrained(folder)
    return dataclasses.replace(spec, location=str(folder))


def _facts(benchmark: QuestionSet, tasks: Mapping[int, EvalTask]) -> dict[str, Any]:
    """Return the number of questions by subject, and the lengths of prompts."""
    subjects = [solved.subject for solved in benchmark.questions]
    model = tasks[NUM_EXAMPLES].model
    tokenizer = base.load_tokenizer(tasks[NUM_EXAMPLES].location, revision=model.revision)
    lengths = {
        f"{shots}-shot": [
            len(tokenizer.encode(prompt, add_special_tokens=False))
            for prompt, _ in task.requests[:: len(LETTERS)]
        ]
        for shots, task in tasks.items()
    }
    return {
        "questions": {name: subjects.count(name) for name in dict.fromkeys(subjects)},
        "mean_tokens": {name: round(statistics.mean(few)) for name, few in lengths.items()},
        "most_tokens": {name: max(few) for name, few in lengths.items()},
    }


def _batch_facts(comparison: EvalComparison) -> dict[str, Any]:
    """Return the batch size of the comparison, and the memory of each contestant."""
    return {
        "batch_size_that_counts": {
            f"{shots}-shot": comparison.batch_size(shots) for shots in comparison.shots
        },
        "peak_mb": {
            label(*key): round(comparison.peak_bytes(*key) / 1e6) for key in comparison.answers
        },
    }
