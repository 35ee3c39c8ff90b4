"""From the rows of files to questions with their answers.

Understands the schemas of MMLU and MusicTheoryBench. Every row is a question or an error that names
its place; faults of questions that can be asked nevertheless are marked in `flags`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.data.settings import Question
from musicllm.errors import InputError
from musicllm.evals.questions.files import FileRow, locate, read_rows, subject_of
from musicllm.files.selections import question_split
from musicllm.theory import LETTERS

UNNAMED_SUBJECT = "music theory"
"""Of a row in MusicTheoryBench's schema that names none."""

_SPLITS = ("train", "dev", "validation", "test")

_FORMS = (
    "stem, options {A, B, C, D} and answer (MusicTheoryBench); question, choices and answer, or "
    "question, choice0 to choice3 and answer (MMLU); or six columns without names (MMLU)"
)


@dataclass(frozen=True)
class LabelledQuestion:
    """A question with its answer and subject.

    Attributes:
        question: stem, options and tune.
        answer: letter of the right option.
        subject: what it is about; in MMLU's layout the file's name where it does not say.
        split: `dev` (solved examples), `validation` or `test`; or `train`, which
            only a row can say, since training files are not read.
        analysis: why the answer is right, where the benchmark says so.
        level: of difficulty, where the benchmark says so.
    """

    question: Question
    answer: str
    subject: str
    split: str
    analysis: str = ""
    level: str | None = None


@dataclass(frozen=True)
class QuestionRow:
    """A question and the schema of its row.

    Attributes:
        solved: the question.
        of_music: whether the row has MusicTheoryBench's schema, not MMLU's: it may have a score,
            and all subjects have the same examples.
    """

    solved: LabelledQuestion
    of_music: bool


def load_questions(
    name: str, location: str, cache: Path, revision: str | None = None
) -> list[Question]:
    """Return the questions of a benchmark of every split, examples included.

    Args:
        name: of the benchmark.
        location: file, folder or hub id.
        cache: folder below which the files of a hub id lie or will lie.
        revision: of a hub data set.

    Raises:
        InputError: a file or row cannot be understood; says where, and what was expected.
        NotAvailableError: the files are not here and cannot be downloaded.
    """
    return [
        solved.question for solved in read_solved(name, locate(name, location, cache, revision))
    ]


def read_solved(benchmark: str, path: Path) -> Iterator[LabelledQuestion]:
    """Yield the questions of a file or folder with their answers.

    Args:
        benchmark: its name.
        path: in one of the layouts of MMLU or MusicTheoryBench; see `files`.

    Raises:
        InputError: a file or row cannot be understood.
    """
    for entry in read_question_rows(benchmark, path):
        yield entry.solved


def read_question_rows(benchmark: str, path: Path) -> Iterator[QuestionRow]:
    """Yield the questions of a file or folder.

    A question's id is its subject, its split and its number among those of both, so that it is the
    same in every layout of a benchmark.

    Raises:
        InputError: a file or row cannot be understood.
    """
    numbers: Counter[tuple[str, str]] = Counter()
    for row in read_rows(path):
        fields = _named(row)
        subject, split = _subject(row, fields), _split(row, fields)
        question = _question(row.place, fields)
        key = f"{subject}/{split}/{numbers[subject, split]}"
        numbers[subject, split] += 1
        solved = LabelledQuestion(
            Question(benchmark, key, *question),
            _letter(row.place, fields["answer"]),
            subject,
            split,
            str(fields.get("analysis") or "").strip(),
        )
        yield QuestionRow(solved, "stem" in fields)


def _named(row: FileRow) -> Mapping[str, Any]:
    """Return the fields by name; those of a headerless row are question, options and answer."""
    if isinstance(row.fields, dict):
        return row.fields
    if not isinstance(row.fields, list) or len(row.fields) != len(LETTERS) + 2:
        width = f"{len(row.fields)} columns" if isinstance(row.fields, list) else "no fields"
        raise InputError(f"{row.place} has {width} without names; expected are {_FORMS}")
    question, *options, answer = row.fields
    return {"question": question, "choices": options, "answer": answer}


def _subject(row: FileRow, fields: Mapping[str, Any]) -> str:
    named = str(fields.get("subject") or "").strip()
    return named or (
        UNNAMED_SUBJECT if "stem" in fields else subject_of(row.file) or UNNAMED_SUBJECT
    )


def _split(row: FileRow, fields: Mapping[str, Any]) -> str:
    """Return what the row says, or its file; what is for training is never taken for a test."""
    named = str(fields.get("split") or "").strip().lower()
    named = {"val": "validation"}.get(named, named)
    return named if named in _SPLITS else question_split(row.file) or "test"


def _question(place: str, fields: Mapping[str, Any]) -> tuple[str, tuple[str, ...], str | None]:
    """Return stem, options and score; an option may be blank."""
    stem = fields.get("stem", fields.get("question"))
    options = _options(fields)
    if not isinstance(stem, str) or len(options) != len(LETTERS) or "answer" not in fields:
        names = ", ".join(map(str, fields))
        raise InputError(f"{place} has the fields {names}; expected are {_FORMS}")
    if not stem.strip():
        raise InputError(
            f"{place} asks nothing: its {'stem' if 'stem' in fields else 'question'} is blank"
        )
    if not all(isinstance(option, str) for option in options):
        raise InputError(f"{place} has the options {options}; expected are four texts")
    score = fields.get("abc_score")
    return stem, options, score if isinstance(score, str) and score.strip() else None


def _options(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    if isinstance(options := fields.get("options"), dict):
        named = {letter: options[letter] for letter in LETTERS if letter in options}
        texts = tuple(named.values()) if len(named) == len(options) else ()
    elif isinstance(choices := fields.get("choices"), list):
        texts = tuple(choices)
    else:
        texts = tuple(fields[name] for i in range(len(LETTERS)) if (name := f"choice{i}") in fields)
    return tuple("" if option is None else option for option in texts)


def _letter(place: str, answer: object) -> str:
    text = str(answer).strip().upper()
    if text in set(LETTERS):
        return text
    if text in {str(number) for number in range(len(LETTERS))}:
        return LETTERS[int(text)]
    raise InputError(f"{place} has the answer {answer!r}; expected is A to D, or 0 to 3")
