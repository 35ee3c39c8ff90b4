"""Synthesize: records that a teacher model writes, checked, with their provenance.

Every answer is stored by its content under `paths.cache` when it comes, so the same command
continues after whatever stopped it, and asks nothing twice.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from musicllm import console
from musicllm.data.sources.readers.synthesized import RECORDS
from musicllm.errors import StageError
from musicllm.inference.engines import Engine
from musicllm.job import Job
from musicllm.runs.engines import open_engine
from musicllm.runs.preparation import source_specs
from musicllm.runs.settings import sampling_settings
from musicllm.runs.teachers import Teacher, prices_of, store_of, teacher_of
from musicllm.synthesis.answers import AnswerStore
from musicllm.synthesis.asking import Asking, Limits, Tally
from musicllm.synthesis.dialogue import Dialogues
from musicllm.synthesis.estimate import estimate
from musicllm.synthesis.items import Items, records_of
from musicllm.synthesis.kind import SYNTHESES, Synthesis
from musicllm.synthesis.limits import Bucket, Budget, Usage
from musicllm.synthesis.prompt_file import PromptFile
from musicllm.synthesis.writing import REJECTED, write

Rows = list[tuple[str, object]]
PARTIAL = "partial"


def run(job: Job) -> Rows:
    """Ask the teacher about every item, and write the records of what fits.

    Raises:
        InputError: records or prompt cannot be read.
        StageError: there is nothing to ask about, the budget is used up, or too little fits.
    """
    config, settings = job.config, job.config.synthesis
    synthesis = SYNTHESES[settings.kind].open(settings, config.seed)
    prompt = PromptFile(synthesis.prompt)
    drops = Counter[str]()
    requests = synthesis.requests(records_of(source_specs(job), drops))
    items = Items(job.folder / PARTIAL / "items.jsonl", requests, settings.max_items)
    if not len(items):
        raise StageError(
            f"synthesis.kind={settings.kind} has nothing to ask about: data.sources holds no "
            f"record for it{_in_words(drops, ' besides those that cannot be read: ')}"
        )
    _say_estimate(job, items, synthesis, prompt)
    with store_of(job) as store, closing(open_engine(job)) as engine:
        teacher = teacher_of(job, engine)
        dialogues = Dialogues(
            synthesis,
            prompt,
            store,
            teacher.identity,
            sampling_settings(config),
            config.seed,
            settings.max_tries,
        )
        budget = _budget(job, store)
        limits = Limits(
            Bucket(settings.requests_per_minute),
            Bucket(settings.tokens_per_minute),
            budget,
            config.inference.max_tries,
            settings.max_reject_fraction,
        )
        tally = _ask(engine, items, dialogues, limits)
        counts = _write(job, items, dialogues, drops, teacher)
    rows: Rows = [
        ("teacher", teacher.name),
        ("items", f"{counts['num_items']:,}"),
        ("records", f"{counts['num_records']:,}{_given(counts['num_given'])}"),
        ("rejected", f"{counts['num_rejected']:,}{_in_words(counts['rejected'])}"),
        ("asked", f"{tally.num_asked:,} answers now, of {counts['num_answers']:,} in all"),
        ("tokens of the run", f"{budget.spent.input_tokens:,} + {budget.spent.output_tokens:,}"),
    ]
    if drops:
        rows.append(("passed over", f"{drops.total():,} that are no records{_in_words(drops)}"))
    rows += [("cost of the run", f"{budget.cost:,.4g}")] if budget.cost else []
    return [*rows, ("file", job.artifact_path / RECORDS)]


def _say_estimate(job: Job, items: Items, synthesis: Synthesis[Any], prompt: PromptFile) -> None:
    """Say about how much the run takes, if nothing of it is there yet."""
    config = job.config
    about = estimate(
        items,
        synthesis,
        prompt,
        max_new_tokens=config.generation.max_new_tokens,
        max_tries=config.synthesis.max_tries,
    )
    console.say("; ".join(f"{name}: {value}" for name, value in about.rows(prices_of(config))))


def _budget(job: Job, store: AnswerStore) -> Budget:
    settings = job.config.synthesis
    spent = Usage(*store.spent())
    if spent.total:
        console.say(f"{spent.total:,} tokens of this run are there already")
    return Budget(prices_of(job.config), settings.max_cost, settings.max_tokens, spent)


def _ask(engine: Engine, items: Items, dialogues: Dialogues, limits: Limits) -> Tally:
    with console.progress("asking", len(items), "item") as advance:
        return Asking(engine, items, dialogues, limits, advance).run()


def _write(
    job: Job, items: Items, dialogues: Dialogues, drops: Counter[str], teacher: Teacher
) -> dict[str, Any]:
    """Make the artifact, and return its counts.

    Raises:
        StageError: too many items are rejected; what there is stays in the run folder.
    """
    settings, partial = job.config.synthesis, job.folder / PARTIAL
    prompt = dialogues.prompt
    origin = {
        "teacher": teacher.name,
        "prompt": prompt.path.name,
        "prompt_version": prompt.version,
    }
    counts = write(partial, items, dialogues, origin, source=settings.kind)
    num_items, num_rejected = counts["num_items"], counts["num_rejected"]
    if num_rejected > settings.max_reject_fraction * num_items:
        raise StageError(
            f"{num_rejected:,} of {num_items:,} items are rejected"
            f"{_in_words(counts['rejected'])}, more than "
            f"synthesis.max_reject_fraction={settings.max_reject_fraction:g} of them; they "
            f"are in {partial / REJECTED}; look at the prompt and the teacher, or write a larger "
            "fraction; what was answered is stored"
        )
    with job.writing() as (folder, facts):
        for name in (RECORDS, REJECTED):
            shutil.copyfile(partial / name, folder / name)
        facts |= {"synthesis": settings.kind, **origin, **counts, "dropped": dict(drops)}
        names = ("num_records", "num_rejected", "num_answers")
        facts["metrics"] = {name: counts[name] for name in names}
        job.refuse_changed_files()
    shutil.rmtree(partial)
    return counts


def _given(count: int) -> str:
    return f", {count:,} of them written by hand" if count else ""


def _in_words(reasons: Mapping[str, int], before: str = ": ") -> str:
    """Return counted reasons for a message; empty where there are none."""
    words = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    return f"{before}{words}" if words else ""
