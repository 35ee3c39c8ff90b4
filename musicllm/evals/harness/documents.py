"""Questions as documents of the harness: the texts that it puts together to prompts, by subject.

One document per question, whose fields the harness's configuration names (`text`, `gold`, ...), so
that neither Jinja nor a data set of the hub is needed. What a text says is `prompts`' matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.evals.categories import category_of
from musicllm.evals.prompts import FORMATS, PromptFormat
from musicllm.evals.questions import LETTERS, LabelledQuestion, QuestionSet

Document = dict[str, Any]


@dataclass(frozen=True)
class Sheet:
    """The questions of one subject, in one format.

    Attributes:
        task: its name in the harness, `<benchmark>_<subject>`.
        subject: as in the questions.
        category: of the subject, in MMLU.
        format: how a question is put.
        hint: what stands before everything.
        questions: in order.
        examples: solved ones that stand before each question, in order.
    """

    task: str
    subject: str
    category: str | None
    format: PromptFormat
    hint: str
    questions: tuple[LabelledQuestion, ...]
    examples: tuple[LabelledQuestion, ...]


def make_sheets(
    question_set: QuestionSet, benchmark: str, prompt_format: str, num_fewshot: int
) -> Iterator[Sheet]:
    """Yield a sheet per subject, in the order of their first questions.

    Args:
        question_set: questions and examples.
        benchmark: its name.
        prompt_format: a key of `prompts.FORMATS`.
        num_fewshot: most examples before a question.
    """
    by_subject: dict[str, list[LabelledQuestion]] = {}
    for question in question_set.questions:
        by_subject.setdefault(question.subject, []).append(question)
    form = FORMATS[prompt_format]
    for subject, questions in by_subject.items():
        examples = tuple(question_set.examples[subject][:num_fewshot]) if num_fewshot else ()
        name = task_name(benchmark, subject)
        hint = form.hint(subject)
        yield Sheet(name, subject, category_of(subject), form, hint, tuple(questions), examples)


def task_name(benchmark: str, part: str) -> str:
    """Return the name of a task or group: as the harness's own where the benchmark is `mmlu`."""
    return f"{benchmark}_{part}".replace(" ", "_").lower()


def document(form: PromptFormat, solved: LabelledQuestion) -> Document:
    """Return a question as the harness sees it.

    `text` and `target` are what an example shows, `gold` is the place of the right option.
    """
    question = solved.question
    return {
        "id": question.id,
        "subject": solved.subject,
        "hint": form.hint(solved.subject),
        "text": form.text(solved),
        "target": form.target(solved),
        "options": list(question.options),
        "answer": solved.answer,
        "gold": LETTERS.index(solved.answer),
    }


def dataset(form: PromptFormat, questions: Sequence[LabelledQuestion]) -> Any:
    """Return documents as a `datasets.Dataset`, which the harness expects."""
    from datasets import Dataset

    return Dataset.from_list([document(form, solved) for solved in questions])
