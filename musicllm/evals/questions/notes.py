"""What a reader of a benchmark's scores should know of its questions, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

from musicllm.evals.categories import MMLU_SUBJECTS
from musicllm.evals.questions.rows import UNNAMED_SUBJECT, LabelledQuestion

MMLU_SIZES = {"dev": 285, "validation": 1_531, "test": 14_042}
"""Questions of hendrycks/test (arXiv 2009.03300)."""

MUSIC_THEORY_BENCH_SIZES = {"dev": 5, "test": 367}
"""Questions of m-a-p/MusicTheoryBench (arXiv 2402.16153)."""

_MUSIC_SUBJECTS = {"knowledge", "reasoning", UNNAMED_SUBJECT}


def num_published(questions: Sequence[LabelledQuestion], split: str) -> int | None:
    """Return the published number of questions of a split; None for other benchmarks.

    Args:
        questions: of the split; their subjects tell which benchmark it is.
        split: its name.
    """
    subjects = {solved.subject for solved in questions}
    if subjects & set(MMLU_SUBJECTS):
        return MMLU_SIZES.get(split)
    return MUSIC_THEORY_BENCH_SIZES.get(split) if subjects <= _MUSIC_SUBJECTS else None


def make_notes(
    of_split: Sequence[LabelledQuestion],
    questions: Sequence[LabelledQuestion],
    flags: Mapping[str, Sequence[str]],
    *,
    of_music: bool,
) -> tuple[str, ...]:
    """Return what is missing and what is odd, one sentence each.

    Args:
        of_split: all questions of the split.
        questions: those of the selected subjects.
        flags: of the questions asked.
        of_music: whether questions may have scores.
    """
    subjects = {solved.subject for solved in of_split}
    selected = {solved.subject for solved in questions}
    published = num_published(of_split, questions[0].split)
    notes = []
    if subjects & set(MMLU_SUBJECTS):
        notes += _of_mmlu(subjects)
    if published not in (None, len(of_split)):
        notes.append(f"{len(of_split):,} questions are here, {published:,} are published.")
    if selected != subjects:
        notes.append(f"{len(selected)} of {len(subjects)} subjects are asked.")
    if of_music:
        number = sum(solved.question.abc is None for solved in questions)
        notes.append(f"{number:,} of {len(questions):,} questions asked have no score.")
    for flag, number in Counter(chain.from_iterable(flags.values())).items():
        notes.append(f"{number:,} of {len(questions):,} questions asked are flagged: {flag}.")
    return tuple(notes)


def _of_mmlu(subjects: set[str]) -> list[str]:
    notes = []
    if missing := sorted(set(MMLU_SUBJECTS) - subjects):
        number = len(MMLU_SUBJECTS) - len(missing)
        notes.append(
            f"Only {number} of MMLU's 57 subjects are here; missing: {', '.join(missing)}."
        )
    if others := sorted(subjects - set(MMLU_SUBJECTS)):
        notes.append(f"No subjects of MMLU: {', '.join(others)}.")
    return notes
