"""The questions of benchmarks, one form for all: MMLU, MusicTheoryBench, our own theory quiz.

What a corpus must not hold (`data.contamination`), and with answers what a model is asked. Nothing
is asked or scored here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.data.settings import Question
from musicllm.errors import InputError
from musicllm.evals.question_files import Row, locate, read_rows
from musicllm.evals.theory import make_quiz
from musicllm.evals.theory.quiz import LETTERS

_SPLIT = re.compile(r"(?:^|[_/.-])(dev|validation|val|test)(?=[_/.-]|$)")
_FORMS = (
    "stem, options {A, B, C, D} and answer (MusicTheoryBench); question, choices and answer, or "
    "question, choice0 to choice3 and answer (MMLU); or six columns without names (MMLU)"
)


@dataclass(frozen=True)
class Solved:
    """A question with what is known about it.

    Attributes:
        question: stem, options and tune.
        answer: letter of the right option.
        subject: what it is about; the file's name where it does not say.
        split: `dev` (to be shown as solved examples), `validation` or `test`.
    """

    question: Question
    answer: str
    subject: str
    split: str


def load_questions(
    name: str,
    kind: str,
    location: str | None,
    folder: Path,
    num_questions: int | None = None,
    num_fewshot: int = 0,
    seed: int = 0,
) -> list[Question]:
    """Return all that a benchmark can ask or show, of every split.

    Args:
        name: of the benchmark.
        kind: `multiple_choice`, `theory`, or another, which has no questions of its own.
        location: file, folder or hub id; of multiple choice.
        folder: where the files of a hub id lie or will lie.
        num_questions: of the theory quiz, which is drawn.
        num_fewshot: likewise.
        seed: likewise.

    Raises:
        InputError: a file or row cannot be understood; says where, and what was expected.
        NotAvailableError: the files are not here and cannot be downloaded.
    """
    if kind == "theory":
        asked, shown = make_quiz(num_questions, seed, num_fewshot)
        return [
            Question(
                name, f"{each.subject}/{number}", each.stem, each.options, each.abc_score or None
            )
            for number, each in enumerate([*asked, *shown])
        ]
    if kind != "multiple_choice":
        return []
    if location is None:
        raise InputError(f"benchmark.{name}.location=null, but {kind} needs a folder or hub id")
    return [solved.question for solved in read_solved(name, locate(name, location, folder))]


def read_solved(benchmark: str, path: Path) -> Iterator[Solved]:
    """Yield the questions of a file or folder with their answers.

    Args:
        benchmark: its name.
        path: in one of the layouts of MMLU or MusicTheoryBench; see `question_files`.

    Raises:
        InputError: a file or row cannot be understood.
    """
    for row in read_rows(path):
        yield _solved(benchmark, row)


def _solved(benchmark: str, row: Row) -> Solved:
    fields = _named(row)
    stem = fields.get("stem", fields.get("question"))
    options = _options(fields)
    if not isinstance(stem, str) or len(options) != len(LETTERS) or "answer" not in fields:
        found = ", ".join(map(str, fields))
        raise InputError(f"{row.place} has the fields {found}; expected are {_FORMS}")
    if not all(isinstance(option, str) for option in options):
        raise InputError(f"{row.place} has the options {options}; expected are four texts")
    named = _SPLIT.findall(f"{row.file.parent.name}/{row.file.stem}")
    split = {"val": "validation"}.get(named[-1], named[-1]) if named else "test"
    subject = fields.get("subject") or _SPLIT.sub("", row.file.stem) or benchmark
    question = Question(
        benchmark,
        f"{subject}/{split}/{row.number}",
        stem,
        options,
        fields.get("abc_score") or None,
    )
    return Solved(question, _letter(row.place, fields["answer"]), subject, split)


def _named(row: Row) -> Mapping[str, Any]:
    """Return the fields by name; those of a headerless row are question, options and answer."""
    if isinstance(row.fields, dict):
        return row.fields
    if not isinstance(row.fields, list) or len(row.fields) != len(LETTERS) + 2:
        width = f"{len(row.fields)} columns" if isinstance(row.fields, list) else "no fields"
        raise InputError(f"{row.place} has {width} without names; expected are {_FORMS}")
    question, *options, answer = row.fields
    return {"question": question, "choices": options, "answer": answer}


def _options(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    if isinstance(options := fields.get("options"), dict):
        return tuple(options[letter] for letter in LETTERS if letter in options)
    if isinstance(choices := fields.get("choices"), list):
        return tuple(choices)
    return tuple(fields[name] for i in range(len(LETTERS)) if (name := f"choice{i}") in fields)


def _letter(place: str, answer: object) -> str:
    text = str(answer).strip().upper()
    if text in set(LETTERS):
        return text
    if text in {str(number) for number in range(len(LETTERS))}:
        return LETTERS[int(text)]
    raise InputError(f"{place} has the answer {answer!r}; expected is A to D, or 0 to 3")
