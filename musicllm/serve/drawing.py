"""Draws prompts from instruction records, balanced over what they are about."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.data.records import question_of
from musicllm.errors import ArtifactError

_KEY = re.compile(r"^K:\s*(\S+)", re.MULTILINE)

Group = tuple[str, str]
"""Task and key of records."""


def draw_requests(records: Sequence[Mapping[str, Any]], count: int, seed: int) -> list[str]:
    """Select user messages of instruction records; see `draw_records`."""
    return [
        str(question_of(record)[-1]["content"]) for record in draw_records(records, count, seed)
    ]


def draw_records(
    records: Sequence[Mapping[str, Any]], count: int, seed: int
) -> list[Mapping[str, Any]]:
    """Select instruction records, balanced over tasks and keys: always of the rarest so far.

    Cost: linear in the records, and for each selected one in the tasks times keys.

    Args:
        records: conversations whose answer is a tune; `task` is their family.
        count: number of records.
        seed: of the order of records.

    Raises:
        ArtifactError: there are fewer records.
    """
    if count > len(records):
        raise ArtifactError(
            f"generation.num_prompts={count} needs as many instructions, but the test split of "
            f"inputs.instructions holds {len(records)}; write generation.prompts or ask for fewer"
        )
    order = random.Random(seed).sample(range(len(records)), len(records))
    waiting: defaultdict[Group, deque[int]] = defaultdict(deque)
    for place, number in enumerate(order):
        waiting[_group(records[number])].append(place)
    tasks: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    drawn = []
    for _ in range(count):
        task, key = min(waiting, key=lambda own: (tasks[own[0]], keys[own[1]], waiting[own][0]))
        drawn.append(records[order[waiting[task, key].popleft()]])
        if not waiting[task, key]:
            del waiting[task, key]
        tasks[task] += 1
        keys[key] += 1
    return drawn


def _group(record: Mapping[str, Any]) -> Group:
    match = _KEY.search(record["messages"][-1]["content"])
    return str(record.get("task", "")), match[1] if match else ""
