"""Generate: tunes on request, each as ABC and, if it can be, as score, MIDI and sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.evals.requests import asks_for_tune, find_tune
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.job import Job
from musicllm.runs.engines import open_engine
from musicllm.runs.settings import sampling_settings, tune_rules
from musicllm.serve.tunes import Generate, WrittenTune, draw_requests, save_tunes, write_tunes


def run(job: Job) -> list[tuple[str, object]]:
    """Write tunes with `inputs.model`, or the model of the configuration.

    Raises:
        ArtifactError: no model, or neither prompts nor instructions to draw them from.
    """
    prompts = _prompts(job)
    generations = write_tunes(prompts, _generator(job), find_tune, seed=job.config.seed)
    with job.writing() as (folder, facts):
        tunes = save_tunes(generations, folder, render=bool(job.config.generation.render))
        facts.update(_facts(tunes))
    num_parsing = sum(tune.parses for tune in tunes)
    return [
        ("tunes that parse", f"{num_parsing} of {len(tunes)}"),
        *((tune.name, _line(tune, job.artifact_path)) for tune in tunes),
    ]


def _prompts(job: Job) -> list[str]:
    """Return the user messages: the configured ones, or drawn ones."""
    generation = job.config.generation
    if generation.prompts:
        return generation.prompts
    corpus = Corpus.open(job.input("instructions").path)
    records = [record for record in corpus.records("test") if asks_for_tune(record)]
    return draw_requests(records, generation.num_prompts, job.config.seed)


def _generator(job: Job) -> Generate:
    """Return a function that lets the model answer user messages."""
    engine = open_engine(job)
    settings, rules = sampling_settings(job.config), tune_rules(job.config)

    def generate(messages: Sequence[str], seed: int) -> list[Completion]:
        requests = [
            WritingRequest(({"role": "user", "content": text},), None, settings, seed, rules)
            for text in messages
        ]
        completions: dict[int, Completion] = {}
        with console.progress("writing tunes", len(messages), "tune") as advance:
            for index, completion in engine.write(requests):
                completions[index] = completion
                advance(1)
        return [completions[index] for index in range(len(messages))]

    return generate


def _facts(tunes: Sequence[WrittenTune]) -> dict[str, Any]:
    num_bars = sum(tune.num_bars for tune in tunes)
    fitting = sum(tune.num_bars_fitting for tune in tunes)
    metrics = {
        "num_tunes": len(tunes),
        "num_parsing": sum(tune.parses for tune in tunes),
        "num_tries": sum(tune.tries for tune in tunes),
        "bars_fitting": fitting / num_bars if num_bars else None,
    }
    return {"metrics": metrics}


def _line(tune: WrittenTune, folder: Path) -> str:
    """Return where a tune is, how many tries it took, and what made its sound."""
    tries = "first try" if tune.tries == 1 else f"{tune.tries} tries"
    if not tune.parses:
        return f"no tune in {tries}: {tune.problems[-1]}"
    sound = f"sound by {tune.sound_engine}" if tune.sound_engine else "no sound"
    bars = f"{tune.num_bars_fitting} of {tune.num_bars} bars fit"
    return f"{folder / tune.name}.*: {tune.title}, {bars}, {tries}, {sound}"
