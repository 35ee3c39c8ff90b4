"""A request of a family in words, from conditions that a person chose rather than a tune.

A model is asked in the very wordings that it was trained on. Every condition is stated: a wording
that would leave one out is not used.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from musicllm.data.instructions.families import FAMILIES
from musicllm.data.instructions.wordings import wordings
from musicllm.errors import InputError


def request_in_words(
    task: str,
    conditions: Mapping[str, str],
    *,
    language: str = "en",
    seed: int = 0,
    phrasings: Path | None = None,
) -> str:
    """Return a request that states every condition and nothing else.

    Args:
        task: a key of `FAMILIES`.
        conditions: values by name, as in records of instructions: keys, rhythms and terms in
            English; `tune` for the text that a question is about.
        language: of the wording; keys, rhythms and terms are translated.
        seed: chooses among the wordings that fit.
        phrasings: folder with wordings of the user; None for the built-in ones alone.

    Raises:
        InputError: no wording of the family states exactly these conditions, or there are none in
            this language.
    """
    assert task in FAMILIES, f"no instruction family {task}"
    ours = wordings(language, phrasings)
    fitting = [own for own in ours.of(task, "requests") if own.places == conditions.keys()]
    if not fitting:
        stated = ", ".join(sorted(conditions)) or "nothing"
        raise InputError(f"no wording of {task} in {language} states exactly {stated}")
    return ours.fill(random.Random(seed).choice(fitting), conditions)
