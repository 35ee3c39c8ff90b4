"""`transpose`: a tune, moved by semitones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.serve.tools import TOOLS, TUNE, Tool, Workplace, tune_of

MOST = 24
"""Semitones, up or down."""


def _run(arguments: Mapping[str, Any], place: Workplace) -> dict[str, Any]:
    from musicllm.music.transform import transpose
    from musicllm.serve.tunes.findings import LIMITS, limit

    tune = tune_of(arguments, place)
    limit(tune)
    moved = transpose(tune, arguments["semitones"], LIMITS, keep_signs=True)
    place.tune = moved
    return {"tune": moved}


TOOLS.register(
    Tool(
        "transpose",
        "Moves a tune to another pitch, with its key and chord symbols, and returns it as ABC.",
        {
            "tune": TUNE,
            "semitones": {
                "type": "integer",
                "minimum": -MOST,
                "maximum": MOST,
                "description": f"up, or down below 0; from -{MOST} to {MOST}",
            },
        },
        _run,
        required=("semitones",),
    )
)
