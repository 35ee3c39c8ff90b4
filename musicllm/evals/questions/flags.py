"""Faults of single questions, which are asked nevertheless.

A flag stands in the row of every question that it concerns, and their number in the notes of the
benchmark, so that nobody takes the scores for cleaner than they are. Nothing is dropped here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from musicllm.evals.questions.rows import LabelledQuestion

BLANK_OPTION = "blank option"
EQUAL_OPTIONS = "equal options"
NO_SCORE = "no score"
"""The stem speaks of one, and it is nowhere."""
DUPLICATE = "duplicate"
"""An earlier question has the same stem, options and score."""
SHOWN = "shown as example"
"""It is among the examples before itself."""

_SPEAKS_OF_SCORE = re.compile(
    r"\b(?:(?<!which of )the (?:following|given|above) (?:sheet music|music|score|scale|melody"
    r"|example|excerpt|passage|phrase|notation|rhythm|piece|tune|bar|measure|staff)\b(?! degree|:)"
    r"|(?:example|excerpt|score|melody|passage|phrase|tune) (?:below|above)\b)",
    re.IGNORECASE,
)
_ABC = re.compile(r"(?:^|\\n|\n|\")\s*[KLM]:\s*\S")
"""A header of ABC; in some questions it stands in the stem or in the options."""


def find_flags(
    questions: Sequence[LabelledQuestion],
    examples: Mapping[str, Sequence[LabelledQuestion]],
    *,
    of_music: bool,
) -> dict[str, tuple[str, ...]]:
    """Return the flags by question id, of those questions that have any.

    Args:
        questions: of the benchmark.
        examples: solved ones, by subject of the questions that they stand before.
        of_music: whether excerpts and passages that they speak of are scores.
    """
    example_contents = {
        subject: {_content(example) for example in examples[subject]} for subject in examples
    }
    earlier: set[object] = set()
    flags: dict[str, tuple[str, ...]] = {}
    for solved in questions:
        content = _content(solved)
        filled = [text for option in solved.question.options if (text := option.strip())]
        holds_by_flag = {
            BLANK_OPTION: len(filled) < len(solved.question.options),
            EQUAL_OPTIONS: len(set(filled)) < len(filled),
            NO_SCORE: of_music and lacks_score(solved),
            DUPLICATE: content in earlier,
            SHOWN: content in example_contents.get(solved.subject, ()),
        }
        earlier.add(content)
        if any(holds_by_flag.values()):
            flags[solved.question.id] = tuple(
                flag for flag, holds in holds_by_flag.items() if holds
            )
    return flags


def lacks_score(solved: LabelledQuestion) -> bool:
    """Tell whether a question speaks of a score, and there is none in any part of it."""
    question = solved.question
    if question.abc or not _SPEAKS_OF_SCORE.search(question.stem):
        return False
    return not any(_ABC.search(text) for text in (question.stem, *question.options))


def _content(solved: LabelledQuestion) -> tuple[object, ...]:
    question = solved.question
    return question.stem.strip(), question.options, question.abc
