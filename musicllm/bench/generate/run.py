"""Runs our loop, the same with the grammar, and `generate` of transformers, interleaved."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from statistics import median
from typing import Any

from musicllm.bench.generate import contestants
from musicllm.bench.generate.task import WritingTask, Written
from musicllm.bench.measuring import Timing, run_rounds
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.bench.texts import printed_tunes
from musicllm.errors import ConfigError, Problem
from musicllm.model import packaged
from musicllm.music.grammar import Grammar, TuneRules

OURS, CONSTRAINED, BASELINE = "ours", "ours, with the grammar", "transformers, generate"

GOALS = {"vs_transformers_generate": "at least 1", "constrained_overhead": "at most 1.1"}

BARS = (2, 4, 6, 8)
"""Bar lines in the beginnings: prompts of unlike lengths."""


def run(settings: BenchSettings) -> BenchResult:
    """Run the bench; takes about 5 minutes on two cores.

    Raises:
        ConfigError: no `bench.num_new_tokens`, or a model with random weights.
        InputError: the model cannot be loaded.
        NotAvailableError: the package of the model is not installed.
        StageError: a contestant's process died.
    """
    task = _task(settings)
    runs = {
        OURS: partial(contestants.ours, task, None),
        CONSTRAINED: partial(contestants.ours, task, TuneRules()),
        BASELINE: partial(contestants.generate, task),
    }
    return compared(run_rounds(runs, settings.num_rounds), task)


def compared(rounds: dict[str, list[Written]], task: WritingTask) -> BenchResult:
    """Return the figures of all rounds; a rate is of tokens, since texts differ in length."""
    seconds = {
        name: tuple(1000 * one.seconds / max(one.num_tokens, 1) for one in written)
        for name, written in rounds.items()
    }
    cost = {name: median(values) for name, values in seconds.items()}
    facts: dict[str, Any] = {
        "texts": len(task.beginnings),
        "batch_size": task.settings.batch_size,
        "tokens": {name: written[0].num_tokens for name, written in rounds.items()},
        "tunes_that_parse": {name: written[0].num_tunes for name, written in rounds.items()},
        "tunes_of_which_all_bars_fit": {
            name: written[0].num_fitting for name, written in rounds.items()
        },
    }
    ratios = {
        "vs_transformers_generate": cost[BASELINE] / cost[OURS],
        "constrained_overhead": cost[CONSTRAINED] / cost[OURS],
    }
    timings = {name: Timing(values, 1000, "tokens") for name, values in seconds.items()}
    return BenchResult(ratios, GOALS, timings, facts)


def beginnings(number: int) -> tuple[str, ...]:
    """Return beginnings of printed tunes that the grammar allows, of unlike lengths."""
    grammar = Grammar(TuneRules())
    cuts = itertools.cycle(BARS)
    found: list[str] = []
    for tune in printed_tunes():
        text = tune.text
        places = [place for place, char in enumerate(text) if char == "|"]
        num_bars = next(cuts)
        start = text[: places[num_bars] + 1] if len(places) > num_bars else ""
        if start and grammar.start().after(start) is not None:
            found.append(start)
        if len(found) == number:
            break
    return tuple(found)


def _task(settings: BenchSettings) -> WritingTask:
    problems = []
    if settings.writing is None:
        problems.append(Problem("bench.num_new_tokens", "null", "must be set", "write 128, or so"))
    if settings.model.location is None:
        rule = "has random weights here, which write nothing that a grammar could let through"
        problems.append(Problem("model.location", "null", rule, "name a trained model"))
    if problems:
        raise ConfigError(problems)
    assert settings.writing is not None, "refused above"
    assert settings.model.location is not None, "refused above"
    where = packaged.find(settings.model.location, settings.evaluation.cache)
    model = dataclasses.replace(settings.model, location=where)
    texts = beginnings(settings.num_documents)
    return WritingTask(model, settings.writing, texts, settings.seed)
