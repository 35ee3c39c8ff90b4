"""Generate: answers to prompts, every tune in them checked and, if wanted, as score and sound.

Answers are written into `partial/` of the run folder as they finish: a killed run loses at most
those that were in flight, and the same command continues with the others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.errors import ConfigError, InputError, Problem
from musicllm.evals.copies import CopyIndex
from musicllm.evals.materials import Materials
from musicllm.evals.requests import asks_for_tune
from musicllm.inference.engines import ENGINES, Engine
from musicllm.inference.requests import WritingRequest
from musicllm.job import Job
from musicllm.runs.engines import engine_name, open_engine
from musicllm.runs.settings import sampling_settings, tune_rules
from musicllm.serve import room
from musicllm.serve.chat.conversation import refuse_unseen
from musicllm.serve.drawing import draw_records
from musicllm.serve.measures import MEASURES
from musicllm.serve.prompts import Prompt, Prompts, rules_with, seed_of
from musicllm.serve.renderings import FILES, render_answers
from musicllm.serve.repair import REPAIRS
from musicllm.serve.selection import (
    GENERATIONS,
    TRIES,
    Selection,
    rendering_jobs,
    write_files,
    write_tries,
)
from musicllm.serve.stream import Stream
from musicllm.serve.tally import Tally
from musicllm.serve.writing import Examiner, Trying, skip, write_answers

PARTIAL, RENDERED = "partial", "rendered.jsonl"


def run(job: Job) -> list[tuple[str, object]]:
    """Let the model answer every prompt, and write what came of it.

    Raises:
        ArtifactError: no model, or neither prompts nor instructions to draw them from.
        InputError: prompts that cannot be read, or leave no room for an answer.
    """
    generation = job.config.generation
    prompts = _prompts(job)
    selection = Selection(generation.select, generation.keep, generation.min_score)
    partial = job.folder / PARTIAL
    with (
        Stream(partial / GENERATIONS, len(prompts), generation.num_candidates) as answers,
        Stream(partial / RENDERED, len(prompts)) as rendered,
        _stream_of_tries(job, prompts) as tries,
    ):
        if not answers.is_complete:
            _write(job, prompts, answers, _trying(job, tries, selection))
        if generation.render:
            _render(job, prompts, answers, rendered, selection)
        tally = Tally(generation.select, generation.num_candidates, generation.tries)
        with job.writing() as (folder, facts):
            if generation.render:
                shutil.copytree(partial / FILES, folder / FILES, copy_function=_link)
            files = rendered if generation.render else None
            for line in write_files(folder, prompts, answers, files, selection):
                tally.add(line)
            if tries is not None:
                write_tries(folder, prompts, tries, generation.tries)
            facts["metrics"] = tally.metrics()
            job.refuse_changed_files()
    shutil.rmtree(partial)
    return tally.rows(job.artifact_path, keeps=generation.keep)


def _prompts(job: Job) -> Prompts:
    """Return the configured prompts, or ones drawn from the instructions."""
    generation = job.config.generation
    if not generation.prompts:
        corpus = Corpus.open(job.input("instructions").path)
        records = [record for record in corpus.records("test") if asks_for_tune(record)]
        drawn = draw_records(records, generation.num_prompts, job.config.seed)
        return Prompts.drawn(drawn, generation.system)
    prompts = Prompts.read(generation.prompts, tune_rules(job.config), generation.system)
    if prompts.num_blank_lines == 1:
        console.note("1 blank line of the prompts is passed over")
    elif prompts.num_blank_lines:
        console.note(f"{prompts.num_blank_lines:,} blank lines of the prompts are passed over")
    if prompts.first_with_tune is not None and generation.grammar is None:
        raise InputError(
            f"{prompts.first_with_tune} has a tune, whose rules only the grammar keeps to; write "
            "generation.grammar=abc"
        )
    return prompts


def _stream_of_tries(job: Job, prompts: Prompts) -> AbstractContextManager[Stream | None]:
    """Return the stream of all tries; None where each answer is tried once."""
    generation = job.config.generation
    if generation.tries == 1:
        return nullcontext()
    count = generation.num_candidates * generation.tries
    return Stream(job.folder / PARTIAL / TRIES, len(prompts), count)


def _trying(job: Job, tries: Stream | None, selection: Selection) -> Trying:
    generation = job.config.generation
    return Trying(generation.tries, REPAIRS[generation.repair], tries, selection.best)


def _write(job: Job, prompts: Prompts, answers: Stream, trying: Trying) -> None:
    """Let the engine write the answers that are not there yet."""
    if answers.num_earlier:
        total = len(prompts) * answers.num_candidates
        console.say(f"{answers.num_earlier:,} of {total:,} answers are there already")
    name = engine_name(job)
    examine = Examiner(_training_texts(job), checks_rules=not ENGINES[name].follows_grammar)
    if job.config.generation.grammar and not ENGINES[name].follows_grammar:
        console.note(
            f"the engine {name} cannot follow generation.grammar={job.config.generation.grammar} "
            "bar by bar; every tune is checked all the same, and the summary counts what is wrong"
        )
    with closing(open_engine(job)) as engine:
        if (system := job.config.generation.system) is not None:
            refuse_unseen(engine, system)
        _look_for_room(job, prompts, answers, engine)
        with (
            _telling_of(answers),
            console.progress("writing", answers.num_missing, "answer") as advance,
        ):
            write_answers(
                prompts,
                engine,
                answers,
                trying,
                request_of=lambda prompt, candidate: _request(job, prompt, candidate),
                examine=examine,
                progress=advance,
            )


def _request(job: Job, prompt: Prompt, candidate: int) -> WritingRequest:
    rules = tune_rules(job.config)
    return WritingRequest(
        prompt.messages,
        prompt.text,
        replace(sampling_settings(job.config), **prompt.settings),
        seed_of(job.config.seed, prompt, candidate),
        None if rules is None else rules_with(rules, prompt.tune),
    )


def _training_texts(job: Job) -> CopyIndex | None:
    """Return the index that the measure of the selection needs; None if it needs none.

    Raises:
        ConfigError: it needs one, and no input has training texts.
    """
    measure = job.config.generation.select
    if not MEASURES[measure].needs_index:
        return None
    inputs = {
        role: artifact.path
        for role, artifact in job.inputs.items()
        if role in ("corpus", "instructions")
    }
    if not inputs:
        rule = "compares with the training texts, and no input has them"
        fix = "write inputs.corpus=<the corpus that the model was trained on>"
        raise ConfigError([Problem("generation.select", measure, rule, fix)])
    settings = sampling_settings(job.config)
    cache = Path(job.config.paths.cache)
    return Materials(inputs=inputs, cache=cache, seed=job.config.seed, sampling=settings).copy_index


def _look_for_room(job: Job, prompts: Prompts, answers: Stream, engine: Engine) -> None:
    """Refuse or skip the prompts that leave no room for an answer.

    Raises:
        InputError: there are such prompts, and generation.long_prompts=stop; or messages, and the
            model has no chat template.
    """
    if engine.context is None:
        return
    generation = job.config.generation

    def count(prompt: Prompt) -> int | None:
        return engine.count_tokens(prompt.content)

    def longest(prompt: Prompt) -> int:
        return int(prompt.settings.get("max_new_tokens", generation.max_new_tokens))

    due = (prompts[number] for number, candidate in answers.missing() if candidate == 0)
    tight = room.tight_prompts(due, count, longest, engine.context)
    if tight and generation.long_prompts == "stop":
        room.refuse(tight, len(prompts))
    for prompt in tight:
        skip(answers, prompt.number, str(prompt))
    if len(tight) == 1:
        console.note("1 prompt is skipped, since it leaves no room for an answer")
    elif tight:
        console.note(f"{len(tight):,} prompts are skipped, since they leave no room for an answer")


def _render(
    job: Job, prompts: Prompts, answers: Stream, rendered: Stream, selection: Selection
) -> None:
    """Write the files of the best answers' tunes that are not there yet."""
    waiting = rendering_jobs(prompts, answers, rendered, selection)
    with console.progress("rendering", rendered.num_missing, "answer") as advance:
        render_answers(waiting, job.config.generation.render, rendered, advance)


@contextmanager
def _telling_of(answers: Stream) -> Iterator[None]:
    """Say, if the work stops early, what is there and how to go on.

    Nothing is said of an error that the same command would meet again.
    """
    try:
        yield
    except (InputError, ConfigError):
        raise
    except BaseException:
        there = "1 answer is" if len(answers) == 1 else f"{len(answers):,} answers are"
        if len(answers):
            console.note(
                f"{there} in {answers.path}; the same command continues with the other "
                f"{answers.num_missing:,}"
            )
        raise


def _link(source: str, target: str) -> None:
    """Give a file a second name, or copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
