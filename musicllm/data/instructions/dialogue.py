"""Conversations of several turns about one tune.

Of three kinds: questions about a tune in the prompt; questions about an opening, which is
then continued; a request for a tune, then questions about it. A question never asks for what
an earlier turn states.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from musicllm.data.instructions.conditions import CONDITIONS
from musicllm.data.instructions.families import DIALOGUE, FAMILIES
from musicllm.data.instructions.subject import Subject, without_type
from musicllm.data.instructions.turns import InstructionTurn, ask
from musicllm.data.instructions.wordings import Wordings

QUESTIONS = tuple(task for task, family in FAMILIES.items() if family.shows is not None)
"""Families of questions about a given tune."""
WRITING = ("metadata_to_tune", "motif_to_tune", "form_to_tune", "terms_to_tune")
"""Families of requests for a tune."""
ABOUT_OPENINGS = ("name_key", "name_metre")
"""Questions that can be answered from the opening of a tune."""


def dialogue(
    tune: Subject, wordings: Wordings, max_turns: int, draw: random.Random
) -> list[InstructionTurn] | None:
    """Generate a conversation of 2 to `max_turns` questions; None if none fits the tune."""
    num_turns = draw.randint(2, max_turns)
    for kind in draw.sample((_about_given, _from_opening, _about_written), 3):
        turns = kind(tune, wordings, num_turns, draw)
        if len(turns) >= 2:
            return turns
    return None


def _about_given(
    tune: Subject, wordings: Wordings, num_turns: int, draw: random.Random
) -> list[InstructionTurn]:
    """Ask about a tune in the prompt, with the answers removed from it."""
    turns = _follow_ups(QUESTIONS, tune, wordings, num_turns, draw)
    opening = wordings.choose(DIALOGUE, "requests", ("tune", "question"), draw)
    if not turns or opening is None:
        return []
    tasks = {turn.task for turn in turns}
    text = tune.melody if "harmonize" in tasks else tune.text
    text = without_type(text) if "identify_style" in tasks else text
    request = wordings.fill(opening, {"tune": text, "question": turns[0].request})
    return [replace(turns[0], request=request), *turns[1:]]


def _from_opening(
    tune: Subject, wordings: Wordings, num_turns: int, draw: random.Random
) -> list[InstructionTurn]:
    """Ask about an opening, then for its continuation."""
    last = ask("continuation", tune, wordings, draw, follows=True)
    opening = CONDITIONS["opening"].find(tune, draw)
    if last is None or opening is None:
        return []
    tasks = draw.sample(ABOUT_OPENINGS, len(ABOUT_OPENINGS))
    first = ask(tasks[0], tune, wordings, draw, excerpt=opening)
    rest = _follow_ups(tasks[1:], tune, wordings, num_turns - 2, draw)
    return [first, *rest, last] if first else []


def _about_written(
    tune: Subject, wordings: Wordings, num_turns: int, draw: random.Random
) -> list[InstructionTurn]:
    """Ask for a tune, then about it."""
    first = ask(draw.choice(WRITING), tune, wordings, draw)
    if first is None:
        return []
    stated = {*first.conditions, "style"}
    tasks = [task for task in QUESTIONS if not FAMILIES[task].names & stated]
    if tune.text != tune.melody:
        tasks.remove("harmonize")
    return [first, *_follow_ups(tasks, tune, wordings, num_turns - 1, draw)]


def _follow_ups(
    tasks: Sequence[str], tune: Subject, wordings: Wordings, count: int, draw: random.Random
) -> list[InstructionTurn]:
    """Return up to `count` questions about the tune of an earlier turn; `harmonize` comes last."""
    turns: list[InstructionTurn] = []
    for task in draw.sample(tasks, len(tasks)):
        turn = ask(task, tune, wordings, draw, follows=True) if len(turns) < count else None
        if turn is not None:
            turns.append(turn)
    return sorted(turns, key=lambda turn: turn.task == "harmonize")
