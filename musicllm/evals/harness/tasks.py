"""Our questions as tasks of lm-evaluation-harness, one per subject, in groups by category.

A task is configured as a YAML file would (see `plugin/`), with two differences: its prompts are
put together by plain functions, and each may show fewer examples where they do not fit. A question
that does not fit at all is in no task. No model runs here, but in `measuring`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from lm_eval.api.group import Group
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask
from lm_eval.config.group import AggMetricConfig

from musicllm.errors import InputError
from musicllm.evals.categories import CATEGORIES, harness_category_of
from musicllm.evals.harness.documents import Sheet, dataset, make_sheets, task_name
from musicllm.evals.harness.fitting import CountTokens, Fit, fit_shots
from musicllm.evals.harness.predictions import (
    METRICS,
    MeanNll,
    Prediction,
    read_answer,
    read_likelihoods,
    row_of,
    scores,
)
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.questions import LETTERS, QuestionSet

VERSION = 1.0
"""Of our tasks, as the harness records it; a change of prompts or scores raises it."""


class SubjectTask(ConfigurableTask):  # type: ignore[misc]
    """The questions of one subject.

    Args:
        sheet: questions and examples.
        settings: of the prompts.
        fits: per question, the examples that stand before it.
        mean_nll: of whole prompts, for perplexity mode.
    """

    def __init__(
        self,
        sheet: Sheet,
        settings: PromptSettings,
        fits: Sequence[Fit],
        mean_nll: MeanNll | None = None,
    ) -> None:
        self.sheet = sheet
        self._mode = settings.mode
        self._fits = fits
        self._mean_nll = mean_nll
        self._place = {solved.question.id: i for i, solved in enumerate(sheet.questions)}
        super().__init__(config=_configuration(sheet, settings))

    def download(self, *_: object, **__: object) -> None:
        """Take the questions as they are; nothing is downloaded."""
        parts = {"dev": self.sheet.examples, "test": self.sheet.questions}
        form = self.sheet.format
        self.dataset = {name: dataset(form, part) for name, part in parts.items() if part}

    def prompt_at(self, place: int) -> str:
        """Return the prompt of the question at a place."""
        return self.sheet.format.prompt(self.sheet.questions[place], self._fits[place].shots)

    def build_all_requests(
        self,
        *,
        limit: int | None = None,
        samples: Sequence[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        **_: object,
    ) -> None:
        """Make the requests of all questions, as the harness does but without its bar."""
        docs = self.doc_iterator(rank=rank, limit=limit, samples=samples, world_size=world_size)
        self._instances = []
        for number, doc in docs:
            instances = self.construct_requests(
                doc=doc,
                ctx=self.prompt_at(self._place[doc["id"]]),
                metadata=(self.config.task, number, self.config.repeats),
            )
            self._instances += instances if isinstance(instances, list) else [instances]

    def process_results(self, doc: dict[str, Any], results: Sequence[Any]) -> dict[str, float]:
        """Return the metrics of one question; see `predictions.scores`."""
        place = self._place[doc["id"]]
        return scores(self._read(place, results), self.sheet.questions[place])

    def _read(self, place: int, results: Sequence[Any]) -> Prediction:
        solved = self.sheet.questions[place]
        if self._mode == "generation":
            return read_answer(solved, results[0])
        prompt = self.prompt_at(place)
        whole = None
        if self._mean_nll is not None:
            whole = [self._mean_nll(prompt, self.sheet.format.option(letter)) for letter in LETTERS]
        return read_likelihoods(solved, [loglik for loglik, _ in results], whole)

    def aggregation(self) -> dict[str, Any]:
        """Return how metrics are summed up: all are means."""
        return dict.fromkeys(METRICS[self._mode], mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Return which metrics are better when higher: all."""
        return dict.fromkeys(METRICS[self._mode], True)

    def row(self, sample: dict[str, Any], flags: Sequence[str] = ()) -> dict[str, Any]:
        """Return the row of `predictions.jsonl` for one of the harness's samples."""
        place = self._place[sample["doc"]["id"]]
        fit = self._fits[place]
        num_shots = len(fit.shots)
        reading = self._read(place, sample["filtered_resps"])
        return {
            "task": self.task_name,
            "category": self.sheet.category,
            "num_dropped_shots": len(self.sheet.examples) - num_shots,
            "num_cut_tokens": fit.num_cut_tokens,
            **row_of(self.sheet.questions[place], reading, sample, num_shots, flags),
        }


def make_tasks(
    question_set: QuestionSet,
    settings: PromptSettings,
    count_tokens: CountTokens,
    mean_nll: MeanNll | None = None,
) -> dict[str, Any]:
    """Return the tasks of a benchmark as `lm_eval.evaluator.evaluate` takes them.

    Args:
        question_set: questions and examples.
        settings: of the prompts.
        count_tokens: of texts, as the model would be fed with them.
        mean_nll: of whole prompts, for perplexity mode.

    Returns:
        `tasks` and `groups` by name, and `group_map` with the members of each group. A question
        that is too long, by `settings.long_prompts`, is in none of them.

    Raises:
        InputError: there is nothing to ask, or a prompt is too long; names the question.
    """
    if not question_set.questions:
        raise InputError(f"benchmark {settings.benchmark} has no question to ask")
    sheets = make_sheets(
        question_set, settings.benchmark, settings.prompt_format, settings.num_fewshot
    )
    tasks = []
    for sheet in sheets:
        fits = fit_shots(sheet, settings, count_tokens)
        fitting = [pair for pair in zip(sheet.questions, fits, strict=True) if pair[1]]
        if fitting:
            rest = dataclasses.replace(sheet, questions=tuple(solved for solved, _ in fitting))
            tasks.append(SubjectTask(rest, settings, [fit for _, fit in fitting if fit], mean_nll))
    if not tasks:
        raise InputError(
            f"no question of benchmark {settings.benchmark} fits into the {settings.max_length:,} "
            f"tokens of benchmark.{settings.benchmark}.max_length, or of the model's context"
        )
    groups = {group.name: group for group in _groups(settings, tasks)}
    return {
        "tasks": {task.task_name: task for task in tasks},
        "groups": groups,
        "group_map": {name: group.child_names for name, group in groups.items()},
    }


def _configuration(sheet: Sheet, settings: PromptSettings) -> dict[str, Any]:
    form = sheet.format
    metadata = {"version": VERSION, "prompt_format": settings.prompt_format, "mode": settings.mode}
    common = {
        "task": sheet.task,
        "task_alias": sheet.subject,
        "test_split": "test",
        "fewshot_split": "dev" if sheet.examples else None,
        "fewshot_config": {"sampler": "first_n", "doc_to_target": "target"},
        "description": sheet.hint,
        "doc_to_text": "text",
        "target_delimiter": form.delimiter,
        "fewshot_delimiter": form.separator,
        "num_fewshot": len(sheet.examples),
        "metadata": metadata,
    }
    if settings.mode != "generation":
        listed = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
        choice = {"doc_to_choice": list(LETTERS), "doc_to_target": "gold", "metric_list": listed}
        return common | choice | {"output_type": "multiple_choice"}
    return common | {
        "output_type": "generate_until",
        "doc_to_target": "answer",
        "generation_kwargs": {
            "until": list(form.stops),
            "max_gen_toks": settings.max_new_tokens,
            "do_sample": False,
        },
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }


def _groups(settings: PromptSettings, tasks: Sequence[SubjectTask]) -> Iterator[Group]:
    """Yield the group of all subjects, and in it those of the harness's categories."""
    name = settings.benchmark
    everything = _group(name, name, settings)
    by_category = {
        category: _group(task_name(name, category), category, settings) for category in CATEGORIES
    }
    for task in tasks:
        category = harness_category_of(task.sheet.subject)
        (everything if category is None else by_category[category]).add(task)
    for group in by_category.values():
        if len(group):
            everything.add(group)
            yield group
    yield everything


def _group(name: str, alias: str, settings: PromptSettings) -> Group:
    metrics = [
        AggMetricConfig(metric=metric, weight_by_size=True) for metric in METRICS[settings.mode]
    ]
    return Group(name, alias, metrics, {"version": VERSION})
