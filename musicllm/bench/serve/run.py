"""Runs the engine alone, our server and the server of transformers, interleaved."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from statistics import median

from musicllm.bench.generate.run import beginnings
from musicllm.bench.measuring import Timing, run_rounds
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.bench.serve import contestants
from musicllm.bench.serve.task import Load, Served, ServingTask
from musicllm.errors import ConfigError, NotAvailableError, Problem
from musicllm.model import packaged

ENGINE, OURS, BASELINE = "engine alone", "recipe=serve", "transformers serve"

GOALS = {
    "first_token_vs_engine": "at most 1.1",
    "single_rate_vs_engine": "at least 0.9",
    "many_rate_vs_engine": "at least 0.9",
    "first_token_vs_transformers_serve": "at least 1",
    "single_rate_vs_transformers_serve": "at least 1",
    "many_rate_vs_transformers_serve": "at least 1",
    "many_first_token_vs_transformers_serve": "at least 1",
}

NEEDED = ("fastapi", "uvicorn", "typer", "openai")
"""Packages of our server and that of transformers."""


def run(settings: BenchSettings) -> BenchResult:
    """Run the bench; takes about 10 minutes on two cores.

    Raises:
        ConfigError: no `bench.num_new_tokens`, or a model with random weights.
        NotAvailableError: a package of a server, or that of the model, is not installed.
        StageError: a contestant's process died, or a server does not start.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise NotAvailableError(
            f"bench.name=serve needs {' and '.join(missing)}: pip install 'musicllm[serve]' "
            f"'transformers[serving]'"
        )
    task = _task(settings)
    runs = {
        ENGINE: partial(contestants.engine, task),
        OURS: partial(contestants.ours, task),
        BASELINE: partial(contestants.transformers, task),
    }
    return compared(run_rounds(runs, settings.num_rounds), task)


def compared(rounds: dict[str, list[Served]], task: ServingTask) -> BenchResult:
    """Return the figures of all rounds; a cost is of a token, since texts differ in length."""
    single = {name: [served.single for served in loads] for name, loads in rounds.items()}
    many = {name: [served.many for served in loads] for name, loads in rounds.items()}
    one, all_ = _costs(single), _costs(many)
    first, many_first = _first_pieces(single), _first_pieces(many)
    ratios = {
        "first_token_vs_engine": first[OURS] / first[ENGINE],
        "single_rate_vs_engine": one[ENGINE] / one[OURS],
        "many_rate_vs_engine": all_[ENGINE] / all_[OURS],
        "first_token_vs_transformers_serve": first[BASELINE] / first[OURS],
        "single_rate_vs_transformers_serve": one[BASELINE] / one[OURS],
        "many_rate_vs_transformers_serve": all_[BASELINE] / all_[OURS],
        "many_first_token_vs_transformers_serve": many_first[BASELINE] / many_first[OURS],
    }
    timings = {}
    for label, loads in (("one client", single), ("all clients", many)):
        for name, own in loads.items():
            seconds = tuple(1000 * load.seconds / max(load.num_tokens, 1) for load in own)
            timings[f"{name}, {label}"] = Timing(seconds, 1000, "tokens")
    expected = rounds[ENGINE][0].single.texts
    facts = {
        "requests": len(task.beginnings),
        "written_together": task.settings.batch_size,
        "tokens": {name: loads[0].num_tokens for name, loads in single.items()},
        "first_token_ms_one_client": {name: round(1000 * value) for name, value in first.items()},
        "first_token_ms_all_clients": {
            name: round(1000 * value) for name, value in many_first.items()
        },
        "texts_as_the_engine_alone": {
            name: sum(text == own for text, own in zip(loads[0].texts, expected, strict=True))
            for name, loads in many.items()
        },
    }
    return BenchResult(ratios, GOALS, timings, facts)


def _costs(loads: dict[str, list[Load]]) -> dict[str, float]:
    """Return the median seconds of a token."""
    return {
        name: median(load.seconds / max(load.num_tokens, 1) for load in own)
        for name, own in loads.items()
    }


def _first_pieces(loads: dict[str, list[Load]]) -> dict[str, float]:
    """Return the median seconds to the first piece, over all texts and rounds."""
    return {
        name: median(first for load in own for first in load.first_piece_s)
        for name, own in loads.items()
    }


def _task(settings: BenchSettings) -> ServingTask:
    problems = []
    if settings.writing is None:
        problems.append(Problem("bench.num_new_tokens", "null", "must be set", "write 48, or so"))
    if settings.model.location is None:
        rule = "has random weights here, and a server loads a model that is stored"
        problems.append(Problem("model.location", "null", rule, "name a trained model"))
    if problems:
        raise ConfigError(problems)
    assert settings.writing is not None, "refused above"
    assert settings.model.location is not None, "refused above"
    where = packaged.find(settings.model.location, settings.evaluation.cache)
    return ServingTask(
        where, settings.writing, beginnings(settings.num_documents), settings.work.resolve()
    )
