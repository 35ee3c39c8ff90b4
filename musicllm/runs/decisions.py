"""Decisions of a training by the speed of its machine: number of threads and of steps.

The number of threads is chosen at every start, since it never changes the result. The number of
steps does, so it is chosen once, stored in the run folder, and part of the artifact's identity.
"""

from __future__ import annotations

import dataclasses
import json
from functools import partial

import torch
from torch import nn

from musicllm import artifacts, console
from musicllm.data.batches import StepBatches
from musicllm.data.corpus import Corpus
from musicllm.job import Job
from musicllm.launch import ranks
from musicllm.runs.hearing import TRAIN, rows_of
from musicllm.runs.planning import run_plan
from musicllm.runs.settings import machine_of, step_choices
from musicllm.train import group, strategies
from musicllm.train.objectives import Objective
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.plan import Length, Plan
from musicllm.train.rehearsal import NUM_MICRO_BATCHES, Rehearsal, Steps, rehearse
from musicllm.train.run_plan import RunPlan
from musicllm.train.threads import candidates

LENGTH = "length.json"
"""File of the number of steps, in the run folder."""

KEPT = ", when this run began"


def decided(
    job: Job, corpus: Corpus, model: nn.Module, objective: Objective, plan: RunPlan
) -> RunPlan:
    """Return the plan with the decisions.

    Args:
        job: of the training.
        corpus: its rows.
        model: as it is trained; restored afterwards.
        objective: what is minimised.
        plan: with the number of steps by the estimated speed.
    """
    rehearsal = _rehearsal(job, corpus, model, objective, plan.steps)
    earlier = group.from_main(lambda: remembered(job))
    if rehearsal is None and earlier is None:
        decision = group.from_main(lambda: plan.length)  # a measured rate is not that of all ranks
    else:
        decision = earlier
    final = run_plan(job.config, corpus.facts, rehearsal=rehearsal, length=decision)
    is_final = job.config.training.max_hours is None  # else the first steps decide; see `hours`
    if final.length is not None and earlier is None and is_final and ranks.is_main():
        remember(job, final.length)
    return final


def remember(job: Job, length: Length) -> None:
    """Store the number of steps, so that every later start of this run has it."""
    artifacts.write_json(job.folder / LENGTH, dataclasses.asdict(length))


def remembered(job: Job) -> Length | None:
    """Return the number of steps that an earlier start of this run stored."""
    path, training = job.folder / LENGTH, job.config.training
    by_speed = step_choices(job.config) or training.max_hours is not None
    if not by_speed or not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    why = content["why"].removesuffix(KEPT) + KEPT
    return Length(**content | {"choices": tuple(content["choices"]), "why": why})


def _rehearsal(
    job: Job, corpus: Corpus, model: nn.Module, objective: Objective, steps: Plan
) -> Rehearsal | None:
    """Measure steps in a single process on a CPU if there is a choice to make."""
    config = job.config
    hardware = config.hardware
    if hardware.accelerator != "cpu" or ranks.launched():
        return None
    threads: tuple[int, ...] = candidates(torch.get_num_threads())
    if hardware.num_threads is not None:
        threads = (hardware.num_threads,)
    if len(threads) == 1 and not step_choices(config):
        return None
    console.say("a few steps are measured first; they leave no trace")
    batches = StepBatches(
        rows_of(job, corpus, TRAIN),
        rows_per_step=steps.rows_per_step,
        rows_per_device=steps.rows_per_device,
        seed=config.seed,
        num_steps=min(steps.num_steps, NUM_MICRO_BATCHES),
    )
    machine = machine_of(config)
    return rehearse(
        Steps(
            model=model.train(),
            make_optimizer=partial(
                OPTIMIZERS[config.optimizer.name].build,
                settings=config.optimizer,
                has_bf16=machine.has_bf16,
            ),
            objective=objective,
            micro_batches=[batches[n] for n in range(min(len(batches), NUM_MICRO_BATCHES))],
            accumulation=steps.accumulation,
            gradient_clip=config.training.gradient_clip,
            autocast=strategies.AUTOCAST.get(machine.precision),
        ),
        threads,
    )
