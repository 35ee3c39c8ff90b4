"""`training.max_hours`: the first minutes of a run measure its pace, and its length is fixed.

The steps that were measured are thrown away, so the run equals one of that many steps: the same
schedule, rows and weights. The number is stored in the run folder and part of the artifact's
identity, as every length that the machine's speed decides.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.job import Job
from musicllm.launch import ranks
from musicllm.runs import decisions
from musicllm.runs.settings import limit_of_steps
from musicllm.train import group
from musicllm.train.fit import TrainingRun
from musicllm.train.hours import Hours, duration_text

FOLDER = "pace"
"""Folder of the measurement, in the run folder; deleted afterwards."""

MEASURED_S, MEASURED_SHARE = 60.0, 0.01
"""Steps are measured for this many seconds, and at most this share of the hours."""


def is_open(job: Job) -> bool:
    """Return whether the number of steps is still to be measured."""
    if job.config.training.max_hours is None:
        return False
    return group.from_main(lambda: decisions.remembered(job) is None)


def fix_length(job: Job, corpus: Corpus, run: TrainingRun, began: float) -> None:
    """Measure the pace of a run, and store the number of steps that fit; `run` is used up.

    Args:
        job: of the training.
        corpus: its rows.
        run: as it will be trained.
        began: `time.perf_counter()` at the start of the stage.

    Raises:
        StageError: no step ends in time.
        SystemExit: a signal was received.
    """
    training = job.config.training
    assert training.max_hours is not None, "there is nothing to measure without hours"
    budget_s, folder = 3600 * training.max_hours, job.folder / FOLDER
    if ranks.is_main():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    group.barrier()
    limit_s = min(MEASURED_S, MEASURED_SHARE * budget_s)
    steps = run.plan.steps_per_epoch
    assert steps is not None, "the rows of an open corpus are known"
    console.say(f"steps are measured for {duration_text(limit_s)}; they leave no trace")
    pace = replace(run, folder=folder, identity=FOLDER, earlier=()).measure(
        limit_s, began, corpus.facts["splits"]["train"]["tokens"] / steps
    )
    hours = Hours(
        pace,
        {
            "validation": training.validate_every_steps,
            "checkpoint": training.checkpoint_every_steps,
            "samples": job.config.callbacks.samples_every_steps or 1,
            "evaluation": job.config.callbacks.evaluate_every_steps or 1,
        },
        budget_s,
        used_s=time.perf_counter() - began,
    )
    if ranks.is_main():
        shutil.rmtree(folder, ignore_errors=True)
    length = group.from_main(lambda: hours.length(limit_of_steps(job.config, corpus.facts)))
    if ranks.is_main():
        decisions.remember(job, length)
    group.barrier()
