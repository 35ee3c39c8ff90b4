"""`find_similar`: tunes of a prepared corpus, by their melody or by words (`inputs.index`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.errors import InputError
from musicllm.serve.tools import TOOLS, TUNE, Tool, Workplace, tune_of

NUM, MOST = 3, 10
"""Tunes that are returned, where the call does not say, and at most."""

MAX_CHARS = 400
"""Of each tune; a model has little room."""


def _run(arguments: Mapping[str, Any], place: Workplace) -> dict[str, Any]:
    assert place.index is not None, "checks demand inputs.index with find_similar"
    count, words = arguments.get("count", NUM), arguments.get("words")
    if words is not None and not words.strip():
        raise InputError("words is empty; leave it out, or write what to look for")
    if words is None:
        neighbours = place.index.similar(tune_of(arguments, place), count, by="melody")
    else:
        neighbours = place.index.similar(words, count, by="text")
    return {
        "tunes": [
            {
                "title": own.title,
                "source": own.source,
                "similarity": round(own.score, 3),
                "abc": own.abc if len(own.abc) <= MAX_CHARS else f"{own.abc[:MAX_CHARS]} ...",
            }
            for own in neighbours
        ]
    }


TOOLS.register(
    Tool(
        "find_similar",
        "Finds tunes of a collection that are like a tune in any key, or that fit words.",
        {
            "tune": TUNE,
            "words": {
                "type": "string",
                "description": "a title or other words to look for, instead of a tune",
            },
            "count": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST,
                "description": f"how many tunes, from 1 to {MOST}; without it {NUM}",
            },
        },
        _run,
        needs_index=True,
    )
)
