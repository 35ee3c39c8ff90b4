"""Generate: tunes on request, each as ABC and, if it can be, as score, MIDI and sound."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.data.encoder import Encoder
from musicllm.errors import ConfigError, Problem
from musicllm.evals.requests import asks_for_tune, find_tune
from musicllm.inference.sampling import Completion, sample
from musicllm.job import Job
from musicllm.runs.models import load_model
from musicllm.runs.settings import sampling_settings
from musicllm.serve.tunes import Generate, WrittenTune, draw_requests, save_tunes, write_tunes


def run(job: Job) -> list[tuple[str, object]]:
    """Write `generation.num_tunes` tunes with `inputs.model`, or the model of the configuration.

    Raises:
        ArtifactError: no model, or neither prompts nor instructions to draw them from.
        ConfigError: fewer tunes than prompts.
    """
    prompts = _prompts(job)
    generations = write_tunes(prompts, _generator(job), find_tune, seed=job.config.seed)
    with job.writing() as (folder, facts):
        tunes = save_tunes(generations, folder, render=job.config.generation.render)
        facts.update(_facts(tunes))
    num_parsing = sum(tune.parses for tune in tunes)
    return [
        ("tunes that parse", f"{num_parsing} of {len(tunes)}"),
        *((tune.name, _line(tune, job.artifact_path)) for tune in tunes),
    ]


def _prompts(job: Job) -> list[str]:
    """Return one user message per tune: the configured ones in turn, or drawn ones."""
    generation = job.config.generation
    prompts = generation.prompts
    if not prompts:
        corpus = Corpus.open(job.input("instructions").path)
        records = [record for record in corpus.records("test") if asks_for_tune(record)]
        return draw_requests(records, generation.num_tunes, job.config.seed)
    if generation.num_tunes < len(prompts):
        rule = f"is less than the {len(prompts)} generation.prompts, so some would go unanswered"
        fix = f"write {len(prompts)}"
        raise ConfigError([Problem("generation.num_tunes", generation.num_tunes, rule, fix)])
    return list(islice(cycle(prompts), generation.num_tunes))


def _generator(job: Job) -> Generate:
    """Return a function that lets the model answer user messages."""
    model, tokenizer = load_model(job)
    encoder = Encoder(tokenizer)
    settings = sampling_settings(job.config)

    def generate(messages: Sequence[str], seed: int) -> list[Completion]:
        turns = [[{"role": "user", "content": message}] for message in messages]
        with console.progress("writing tunes", len(messages), "tune") as advance:
            return sample(
                model,
                encoder,
                [encoder.prompt(turn) for turn in turns],
                settings,
                seed=seed,
                batch_size=job.config.hardware.max_rows_per_device,
                progress=advance,
            )

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
