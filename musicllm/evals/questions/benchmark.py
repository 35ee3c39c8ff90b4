"""The questions of a benchmark, the examples before them, and what is missing.

A missing file is an error or a note, never an unremarked gap in the scores.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from musicllm.errors import InputError
from musicllm.evals.questions.files import locate
from musicllm.evals.questions.flags import find_flags
from musicllm.evals.questions.notes import make_notes, num_published
from musicllm.evals.questions.rows import LabelledQuestion, QuestionRow, read_question_rows

EXAMPLES = "dev"
"""The split that examples are taken from."""


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a benchmark.

    Attributes:
        questions: to be answered.
        examples: subject -> the solved examples before its questions, in order.
        notes: what a reader of the scores should know, one sentence each.
        flags: id of a question -> what is wrong with it, such as `blank option`; see `flags`.
        num_published: number of questions of the published split; None for other benchmarks.
    """

    questions: tuple[LabelledQuestion, ...]
    examples: Mapping[str, tuple[LabelledQuestion, ...]]
    notes: tuple[str, ...] = ()
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    num_published: int | None = None


def read_benchmark(
    name: str,
    location: str,
    cache: Path,
    split: str,
    subjects: Sequence[str],
    *,
    num_fewshot: int,
    revision: str | None = None,
) -> QuestionSet:
    """Read the questions of a benchmark, and the examples before them.

    In MMLU's schema, a subject has the first examples of its own; in MusicTheoryBench's, all
    subjects have the first of the split, as in its authors' evaluation.

    Args:
        name: of the benchmark, for messages.
        location: file, folder or hub id.
        cache: folder below which the files of a hub id lie or will lie.
        split: of the questions; examples are those of `dev`.
        subjects: which ones; empty: all.
        num_fewshot: examples that every subject must have.
        revision: of a hub data set.

    Returns:
        The questions in the order of the files, with flags and notes.

    Raises:
        InputError: a file, a subject or an example is missing, or a row cannot be understood.
        NotAvailableError: the files are not here and cannot be downloaded.
    """
    path = locate(name, location, cache, revision)
    subset = _Subset(name, path, split, frozenset(subjects), num_fewshot)
    entries = list(read_question_rows(name, path))
    questions = _selected(subset, entries)
    examples = _examples(subset, entries, questions)
    of_music = any(entry.of_music for entry in entries)
    flags = find_flags(questions, examples, of_music=of_music)
    everything = [entry.solved for entry in entries if entry.solved.split == split]
    notes = make_notes(everything, questions, flags, of_music=of_music)
    return QuestionSet(questions, examples, notes, flags, num_published(everything, split))


@dataclass(frozen=True)
class _Subset:
    benchmark: str
    path: Path
    split: str
    subjects: frozenset[str]
    num_fewshot: int

    def setting(self, key: str, value: object) -> str:
        return f"benchmark.{self.benchmark}.{key}={value}"


def _selected(subset: _Subset, entries: Sequence[QuestionRow]) -> tuple[LabelledQuestion, ...]:
    """Return the questions of the split and the subjects.

    Raises:
        InputError: there are none, or a subject has none.
    """
    here = Counter(entry.solved.split for entry in entries)
    of_split = tuple(entry.solved for entry in entries if entry.solved.split == subset.split)
    if not of_split:
        counts = ", ".join(f"{split} ({number:,})" for split, number in here.items()) or "nothing"
        raise InputError(
            f"{subset.setting('split', subset.split)}, but {subset.path} has {counts}; place "
            f"its files there, or write another split"
        )
    _check_subjects(subset, {solved.subject for solved in of_split})
    _check_pairs(subset, entries, {solved.subject for solved in of_split})
    return tuple(
        solved for solved in of_split if not subset.subjects or solved.subject in subset.subjects
    )


def _check_subjects(subset: _Subset, subjects: set[str]) -> None:
    if not (unknown := sorted(subset.subjects - subjects)):
        return
    close = get_close_matches(unknown[0], subjects, 1, 0.5)
    meant = f" (did you mean {close[0]}?)" if close else ""
    raise InputError(
        f"{subset.setting('subjects', unknown)}{meant}: {subset.path} has no {subset.split} "
        f"questions of these; it has {', '.join(sorted(subjects))}"
    )


def _check_pairs(subset: _Subset, entries: Sequence[QuestionRow], subjects: set[str]) -> None:
    """Refuse a folder with the examples of a subject whose questions are missing."""
    lone = sorted(
        {
            entry.solved.subject
            for entry in entries
            if entry.solved.split == EXAMPLES and not entry.of_music
        }
        - subjects
    )
    if lone and not subset.subjects:
        raise InputError(
            f"{subset.path} has {EXAMPLES} examples, but no {subset.split} questions, of "
            f"{', '.join(lone)}; place the missing files there, or write the subjects that are to "
            f"be asked into benchmark.{subset.benchmark}.subjects"
        )


def _examples(
    subset: _Subset, entries: Sequence[QuestionRow], questions: Sequence[LabelledQuestion]
) -> dict[str, tuple[LabelledQuestion, ...]]:
    """Return the solved examples before the questions of each subject.

    Raises:
        InputError: there are too few, or they are the questions themselves.
    """
    subjects = list(dict.fromkeys(solved.subject for solved in questions))
    if subset.num_fewshot == 0:
        return dict.fromkeys(subjects, ())
    if subset.split == EXAMPLES:
        raise InputError(
            f"{subset.setting('split', EXAMPLES)} would show every question with its answer: with "
            f"{subset.setting('num_fewshot', subset.num_fewshot)}, write test or validation"
        )
    dev_entries = [entry for entry in entries if entry.solved.split == EXAMPLES]
    examples = {
        subject: tuple(
            entry.solved
            for entry in dev_entries
            if entry.of_music or entry.solved.subject == subject
        )[: subset.num_fewshot]
        for subject in subjects
    }
    _check_examples(subset, examples)
    return examples


def _check_examples(subset: _Subset, examples: Mapping[str, Sequence[LabelledQuestion]]) -> None:
    few = {subject: len(solved) for subject, solved in examples.items()}
    few = {subject: number for subject, number in few.items() if number < subset.num_fewshot}
    if few:
        counts = ", ".join(f"{subject} ({number})" for subject, number in few.items())
        raise InputError(
            f"{subset.setting('num_fewshot', subset.num_fewshot)}, but the {EXAMPLES} files in "
            f"{subset.path} have fewer examples of {counts}; place them there, or write "
            f"num_fewshot={min(few.values())}"
        )


def draw(
    questions: Sequence[LabelledQuestion], num: int | None, seed: int
) -> tuple[LabelledQuestion, ...]:
    """Return some of the questions, in their order.

    Subjects give equally many, as far as they have them; who has more gives more. A larger draw
    with the same seed holds the smaller one.

    Args:
        questions: of any number of subjects.
        num: how many; None, or more than there are: all.
        seed: equal seeds draw equal questions.
    """
    if num is None or num >= len(questions):
        return tuple(questions)
    places: dict[str, list[int]] = {}
    for place, solved in enumerate(questions):
        places.setdefault(solved.subject, []).append(place)
    ranked: list[tuple[int, float, int]] = []
    for subject, own in places.items():
        generator = random.Random(f"{seed}/{subject}")
        generator.shuffle(own)
        ranked += [(turn, generator.random(), place) for turn, place in enumerate(own)]
    return tuple(
        questions[place] for place in sorted(place for _, _, place in sorted(ranked)[:num])
    )
