"""Runs the contestants in turns, with five examples and with none."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from musicllm import console
from musicllm.bench import vocabulary
from musicllm.bench.eval import contestants
from musicllm.bench.eval.comparing import BATCH_SIZES, OURS, Comparison, backend, label
from musicllm.bench.eval.questions import NUM_EXAMPLES, from_folder, made, requests
from musicllm.bench.eval.task import Answers, Task
from musicllm.bench.findings import BenchSettings, Findings
from musicllm.bench.measuring import apart, in_turns
from musicllm.bench.random_weights import write_base
from musicllm.errors import ConfigError, Problem
from musicllm.evals.questions import LETTERS, Asked
from musicllm.model import base, packaged
from musicllm.model.spec import ModelSpec

GOALS = {
    "vs_harness_5shot": "at least 5",
    "vs_harness_0shot": "at least 1.5",
    "max_abs_loglikelihood_difference": "at most 0.001 in float32",
    "predictions_identical": "1, the share of questions",
    "peak_memory_vs_harness": "at most 1",
}

SHOTS = (NUM_EXAMPLES, 0)


def run(settings: BenchSettings) -> Findings:
    """Measure; takes about a quarter of an hour on two cores.

    Raises:
        ConfigError: a setting that this bench cannot follow.
        InputError: the folder of questions cannot be read.
        NotAvailableError: the model, or for random weights sentencepiece, is not here.
        StageError: a contestant's process died.
    """
    _refuse(settings)
    asked = _asked(settings)
    model = _stored(settings, asked)
    tasks = {
        shots: Task(model, settings.evaluation, tuple(requests(asked, shots))) for shots in SHOTS
    }
    compared = Comparison(interleave(tasks, settings.num_rounds), len(asked.questions))
    return Findings(
        compared.ratios(),
        GOALS,
        {label(*key): timing for key, timing in compared.timings.items()},
        _facts(asked, tasks) | _found(compared),
    )


def interleave(tasks: Mapping[int, Task], num_rounds: int) -> dict[tuple[str, int], list[Answers]]:
    """Return what every contestant answers to every task, by round, each in a process of its own.

    Args:
        tasks: by the number of examples in the prompts.
        num_rounds: times that each runs.
    """
    named: dict[str, Callable[[Task], Answers]] = {OURS: contestants.ours}
    for size in BATCH_SIZES:
        named[backend(size)] = partial(contestants.harness, batch_size=size)
    keys = {label(name, shots): (name, shots) for shots in tasks for name in named}
    runs = {text: partial(named[name], tasks[shots]) for text, (name, shots) in keys.items()}
    return {keys[text]: rounds for text, rounds in in_turns(runs, num_rounds).items()}


def _refuse(settings: BenchSettings) -> None:
    """Stop at settings of other benches, which would be ignored here."""
    rules = {
        "num_slow_documents": "is not null, but all contestants answer the same questions",
        "vocab_size": "is not null, but a tokenizer has as many tokens as model.vocab_size",
    }
    problems = [
        Problem(f"bench.{key}", getattr(settings, key), rule, "write null")
        for key, rule in rules.items()
        if getattr(settings, key) is not None
    ]
    if problems:
        raise ConfigError(problems)


def _asked(settings: BenchSettings) -> Asked:
    folder = settings.evaluation.questions
    if folder is None:
        return made(settings.num_documents, settings.seed)
    return from_folder(folder, settings.num_documents, settings.seed)


def _stored(settings: BenchSettings, asked: Asked) -> ModelSpec:
    """Return a model that can be loaded; random weights are written, with a tokenizer."""
    spec = settings.model
    if spec.location is not None:
        where = packaged.find(spec.location, settings.evaluation.cache)
        return dataclasses.replace(spec, location=where)
    console.say("writing random weights, training a tokenizer")
    folder, tokens = settings.work / "model", settings.work / "tokenizer"
    apart(partial(write_base, folder, spec, settings.max_shard_gb))
    prompts = [prompt for prompt, _ in requests(asked, 0)]
    vocabulary.train(prompts, spec.vocab_size, tokens)
    vocabulary.fast(tokens).save_pretrained(folder)
    return dataclasses.replace(spec, location=str(folder))


def _facts(asked: Asked, tasks: Mapping[int, Task]) -> dict[str, Any]:
    """Return how many questions there are of which subject, and how long prompts are."""
    subjects = [solved.subject for solved in asked.questions]
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


def _found(compared: Comparison) -> dict[str, Any]:
    """Return which batch size counts, and the memory of every contestant."""
    return {
        "batch_size_that_counts": {
            f"{shots}-shot": compared.batch_size(shots) for shots in compared.shots
        },
        "peak_mb": {
            label(*key): round(compared.peak_bytes(*key) / 1e6) for key in compared.answers
        },
    }
