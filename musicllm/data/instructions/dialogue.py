"""Conversations of several turns about one tune.

Of three kinds: a tune is given and asked about; the opening of a tune is given, asked about and
then continued; a tune is written on request and then asked about. A question never asks for what
an earlier turn said.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from musicllm.data.instructions.conditions import CONDITIONS
from musicllm.data.instructions.families import DIALOGUE, FAMILIES
from musicllm.data.instructions.subject import Subject, without_type
from musicllm.data.instructions.turns import Turn, ask
from musicllm.data.instructions.wordings import Wordings

QUESTIONS = tuple(task for task, family in FAMILIES.items() if family.shows is not None)
"""Families that ask about a tune which is given."""
WRITING = ("metadata_to_tune", "motif_to_tune", "form_to_tune", "terms_to_tune")
"""Families that ask for a tune."""
ABOUT_OPENINGS = ("name_key", "name_metre")
"""Questions that the opening of a tune answers."""


def dialogue(
    tune: Subject, wordings: Wordings, max_turns: int, draw: random.Random
) -> list[Turn] | None:
    """Make a conversation of 2 to `max_turns` questions; None where the tune offers none."""
    num_turns = draw.randint(2, max_turns)
    for kind in draw.sample((_about_given, _from_opening, _about_written), 3):
        turns = kind(tune, wordings, num_turns, draw)
        if len(turns) >= 2:
            return turns
    return None


def _about_given(
    tune: Subject, wordings: Wordings, num_turns: int, draw: random.Random
) -> list[Turn]:
    """Give the tune, without what the questions ask for, and ask about it."""
    turns = _follow_ups(QUESTIONS, tune, wordings, num_turns, draw)
    opening = wordings.choose(DIALOGUE, "requests", ("tune", "question"), draw)
    if not turns or opening is None:
        return []
    tasks = {turn.task for turn in turns}
    shown = tune.melody if "harmonize" in tasks else tune.text
    shown = without_type(shown) if "identify_style" in tasks else shown
    request = wordings.fill(opening, {"tune": shown, "question": turns[0].request})
    return [replace(turns[0], request=request), *turns[1:]]


def _from_opening(
    tune: Subject, wordings: Wordings, num_turns: int, draw: random.Random
) -> list[Turn]:
    """Give the opening, ask about it, and have it continued."""
    last = ask("continuation", tune, wordings, draw, follows=True)
    opening = CONDITIONS["opening"].find(tune, draw)
    if last is None or opening is None:
        return []
    tasks = draw.sample(ABOUT_OPENINGS, len(ABOUT_OPENINGS))
    first = ask(tasks[0], tune, wordings, draw, shown=opening)
    rest = _follow_ups(tasks[1:], tune, wordings, num_turns - 2, draw)
    return [first, *rest, last] if first else []


def _about_written(
    tune: Subject, wordings: Wordings, num_turns: int, draw: random.Random
) -> list[Turn]:
    """Ask for the tune, then about it."""
    first = ask(draw.choice(WRITING), tune, wordings, draw)
    if first is None:
        return []
    said = {*first.conditions, "style"}
    tasks = [task for task in QUESTIONS if not FAMILIES[task].names & said]
    if tune.text != tune.melody:
        tasks.remove("harmonize")
    return [first, *_follow_ups(tasks, tune, wordings, num_turns - 1, draw)]


def _follow_ups(
    tasks: Sequence[str], tune: Subject, wordings: Wordings, count: int, draw: random.Random
) -> list[Turn]:
    """Return up to `count` questions about a tune that was given; to harmonise comes last."""
    turns: list[Turn] = []
    for task in draw.sample(tasks, len(tasks)):
        turn = ask(task, tune, wordings, draw, follows=True) if len(turns) < count else None
        if turn is not None:
            turns.append(turn)
    return sorted(turns, key=lambda turn: turn.task == "harmonize")
