"""What the YAML files in `plugin/` refer to, for the harness's own command line (docs/LM_EVAL.md).

There the harness puts prompts together and asks; what it gets from here are documents with the same
texts as in our own evaluations. It leaves no examples out of prompts that are too long: models of
the harness cut tokens off at the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from musicllm.errors import InputError
from musicllm.evals.answer_extraction import extract
from musicllm.evals.harness.documents import Document, dataset
from musicllm.evals.prompts import FORMATS
from musicllm.evals.questions import LabelledQuestion, quiz, read_solved
from musicllm.theory import test_questions

PLUGIN = Path(__file__).parent / "plugin"
"""The folder for `lm_eval --include_path`."""


def questions(
    benchmark: str,
    wording: str,
    subject: str | None = None,
    location: str | None = None,
    **metadata: object,
) -> dict[str, Any]:
    """Return the documents of a benchmark, as the harness's `custom_dataset`.

    Args:
        benchmark: `mmlu` or `musictheorybench`.
        wording: a key of `prompts.FORMATS`.
        subject: only this one.
        location: file or folder of the questions, from `--metadata`.
        metadata: the rest of `--metadata`; under the benchmark's name, a location of its own.

    Returns:
        `test`, and `dev` with the examples, which may be empty.

    Raises:
        InputError: the location is missing or holds none of these questions.
    """
    place = metadata.get(benchmark, location)
    if not isinstance(place, str) or not Path(place).expanduser().exists():
        raise InputError(
            f"--metadata {benchmark}={place} is no path here; give the file or folder of its "
            f"questions: --metadata {benchmark}=<path>, or location=<path>"
        )
    all_questions = [
        question for question in _read(benchmark, place) if subject in (None, question.subject)
    ]
    test, dev = (
        [question for question in all_questions if question.split == split]
        for split in ("test", "dev")
    )
    if not test:
        about = f" about {subject}" if subject else ""
        raise InputError(f"{place} holds no test questions{about} for {benchmark}")
    return _documents(wording, test, dev)


@lru_cache(maxsize=4)
def _read(benchmark: str, place: str) -> tuple[LabelledQuestion, ...]:
    return tuple(read_solved(benchmark, Path(place).expanduser()))


def theory(wording: str, **_: object) -> dict[str, Any]:
    """Return the documents of our own music theory, which are made here; see `questions`."""
    labelled = [quiz.solved("theory", question, "test") for question in test_questions()]
    return _documents(wording, labelled, [])


def _documents(
    wording: str,
    test_labelled: Sequence[LabelledQuestion],
    dev_labelled: Sequence[LabelledQuestion],
) -> dict[str, Any]:
    test = dataset(FORMATS[wording], test_labelled)
    return {
        "test": test,
        "dev": dataset(FORMATS[wording], dev_labelled) if dev_labelled else test.select([]),
    }


def written(doc: Document, results: Sequence[str]) -> dict[str, float]:
    """Return whether a written answer states the right letter, as `process_results`."""
    return {"exact_match": float(extract(results[0], doc["options"]) == doc["answer"])}
