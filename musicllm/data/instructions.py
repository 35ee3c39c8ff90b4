"""From tunes to conversations: what is asked follows from the tune, and the answer is the tune.

The families are those of ChatMusician (arXiv 2402.16153, section 3): metadata, an opening, chords,
a motif or a form is given, a tune is wanted. The wordings are our own (`phrasings/en.toml`). A
condition is read off the parsed answer, and a family for which the tune offers none is left out,
so every answer does what its request asks.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from musicllm.data.records import Drop, Record
from musicllm.music.abc import Key, Score, parse
from musicllm.music.analysis.form import chords, form, motif

Conditions = dict[str, str]
"""What a request names: word in the phrasing -> value."""

OPENING_BARS = (2, 4)
"""Fewest and most bars of an opening."""


def make_instructions(
    record: Record, tasks: Sequence[str], num_samples: int, seed: int
) -> list[Record] | Drop:
    """Make conversations from one tune.

    Args:
        record: a tune: `id`, `source`, `text`.
        tasks: families to draw from, keys of `TASKS`.
        num_samples: how many; each of another family while the tune fits more of them.
        seed: with the record's id, decides families, wordings and openings.

    Returns:
        Records with `messages`, the `task`, and its `conditions`, or why there is none.
    """
    draw = random.Random(f"{seed}:{record['id']}")
    text = record["text"].strip()
    score = parse(text)
    found = {task: TASKS[task](text, score, draw) for task in tasks}
    possible = [task for task in tasks if found[task]]
    if not possible:
        detail = f"the tune offers nothing for {', '.join(tasks)}"
        return Drop(record["source"], record["id"], "fits no task", detail, is_fault=False)
    draw.shuffle(possible)
    chosen = [possible[number % len(possible)] for number in range(num_samples)]
    return [
        _conversation(record, number, task, found[task] or {}, text, draw)
        for number, task in enumerate(chosen)
    ]


@cache
def phrasings(language: str = "en") -> dict[str, list[str]]:
    """Return the wordings of each family."""
    source = files("musicllm.data").joinpath("phrasings", f"{language}.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


def key_in_words(key: Key) -> str:
    """Return a key as people say it: `D major`, `A dorian`, `no key`."""
    if key.mode in ("none", "highland"):
        return "no key" if key.mode == "none" else "the key of the Highland pipes"
    return f"{key.tonic} {key.mode}"


def _conversation(
    record: Record, number: int, task: str, conditions: Conditions, text: str, draw: random.Random
) -> Record:
    request = draw.choice(phrasings()[task]).format(**conditions)
    return {
        "id": f"{record['id']}#{number}",
        "source": record["source"],
        "task": task,
        "conditions": conditions,
        "messages": [
            {"role": "user", "content": request},
            {"role": "assistant", "content": text},
        ],
    }


def _metadata(_text: str, score: Score, _draw: random.Random) -> Conditions | None:
    if score.metre is None:
        return None
    rhythm = score.header.get("R", "tune")
    return {"rhythm": rhythm, "key": key_in_words(score.key), "metre": score.metre_text}


def _opening(text: str, score: Score, draw: random.Random) -> Conditions | None:
    num_bars = draw.randint(*OPENING_BARS)
    header, _, body = text.partition(f"K:{score.key.name}\n")
    bars = body.split("\n")[0].split(" | ")
    if len(score.bars) < 2 * num_bars or len(bars) <= num_bars:
        return None
    opening = f"{header}K:{score.key.name}\n{' | '.join(bars[:num_bars])} |"
    return {"opening": opening} if text.startswith(opening) else None


def _chords(_text: str, score: Score, _draw: random.Random) -> Conditions | None:
    found = chords(score)
    return {"chords": " ".join(found)} if found else None


def _motif(text: str, score: Score, _draw: random.Random) -> Conditions | None:
    found = motif(score)
    return {"motif": found} if found in text else None


def _form(_text: str, score: Score, _draw: random.Random) -> Conditions | None:
    found = form(score)
    return {"form": found} if len(found) > 1 and "?" not in found else None


TASKS: dict[str, Callable[[str, Score, random.Random], Conditions | None]] = {
    "metadata_to_tune": _metadata,
    "continuation": _opening,
    "chords_to_tune": _chords,
    "motif_to_tune": _motif,
    "form_to_tune": _form,
}
"""The families: each reads its conditions off a tune, or finds that it has none."""
