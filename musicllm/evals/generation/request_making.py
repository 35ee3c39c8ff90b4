"""Requests for tunes, made from held-out tunes, whose answer a person has written.

A request follows from the tune and is checked on it, as in `data.instructions`, whose wordings
these are: a model that was trained on such instructions gets the prompts that it was trained on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.data.instructions import Wordings, wordings
from musicllm.data.instructions.subject import Subject
from musicllm.data.instructions.turns import ask
from musicllm.errors import InputError
from musicllm.evals.requests import Request

FAMILIES: Mapping[str, str] = {
    "metadata": "metadata_to_tune",
    "chords": "chords_to_tune",
    "motif": "motif_to_tune",
    "form": "form_to_tune",
    "first_bars": "continuation",
}
"""What a tune is conditioned on -> the family of instructions that asks so."""

_NAMES = {task: family for family, task in FAMILIES.items()}


def make_requests(
    tunes: Sequence[str],
    families: Sequence[str],
    num: int | None,
    seed: int,
    language: str = "en",
) -> list[Request]:
    """Make requests from tunes, as many of each family as far as the tunes offer them.

    Families take turns; each goes through the tunes in an order of its own and takes none twice.
    Tunes that another family uses come last, so that all are different while there are enough. A
    tune without the trait of a family (no repeated motif, no chords that fit) is skipped. A pure
    function of the arguments.

    Args:
        tunes: held-out texts; those that are no tunes are skipped too.
        families: keys of `FAMILIES`; empty for all.
        num: how many in all; fewer are returned when the tunes are used up. None: as many as there
            are tunes.
        seed: decides tunes, wordings and lengths of openings.
        language: of the wordings.

    Raises:
        InputError: a family is unknown, no text is a tune, or no tune offers what a family asks
            for.
    """
    phrasings = wordings(language)
    selected = list(dict.fromkeys(families or FAMILIES))
    unknown = [family for family in selected if family not in FAMILIES]
    if unknown:
        rule = f"there are {', '.join(FAMILIES)}"
        raise InputError(f"{', '.join(unknown)}: no such family of requests for tunes; {rule}")
    draw = random.Random(seed)
    waiting = {family: draw.sample(range(len(tunes)), len(tunes)) for family in selected}
    requests: dict[str, list[Request]] = {family: [] for family in selected}
    used: set[int] = set()
    limit = len(tunes) if num is None else num
    while any(waiting.values()) and sum(map(len, requests.values())) < limit:
        family = min(
            (name for name in selected if waiting[name]), key=lambda name: len(requests[name])
        )
        unused = (place for place, number in enumerate(waiting[family]) if number not in used)
        number = waiting[family].pop(next(unused, 0))
        if request := _request(family, tunes[number], phrasings, f"{seed}:{family}:{number}"):
            requests[family].append(request)
            used.add(number)
    _refuse_barren(
        [name for name in selected if not (requests[name] or waiting[name])], selected, len(tunes)
    )
    return [request for family in selected for request in requests[family]]


def request_of(record: Mapping[str, Any]) -> Request:
    """Return the request of an instruction record, one question that is answered with a tune.

    Records made elsewhere lack `task` and `conditions`; then only what the prompt states counts.
    """
    *system, question, answer = record["messages"]
    task = record.get("task", "")
    return Request(
        question["content"],
        _NAMES.get(task, task),
        record.get("conditions") or {},
        answer["content"],
        system[0]["content"] if system else "",
    )


def _request(family: str, text: str, phrasings: Wordings, seed: str) -> Request | None:
    try:
        turn = ask(FAMILIES[family], Subject(text.strip()), phrasings, random.Random(seed))
    except InputError:
        return None
    return Request(turn.request, family, turn.conditions, turn.answer) if turn else None


def _refuse_barren(barren: Sequence[str], families: Sequence[str], num_tunes: int) -> None:
    """Refuse families for which all tunes were tried in vain."""
    if barren and len(barren) == len(families):
        raise InputError(f"none of the {num_tunes} held-out texts is a tune to ask for")
    if barren:
        raise InputError(
            f"none of the {num_tunes} held-out texts offers what requests of the family "
            f"{', '.join(barren)} name; leave it out, or give more tunes"
        )
