"""`check_tune`: whether a tune is valid ABC, whether its bars fit, its key, metre and form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.serve.tools import TOOLS, TUNE, Tool, Workplace, tune_of

MAX_FAULTS = 12
"""So many are listed; the others are counted."""


def _run(arguments: Mapping[str, Any], place: Workplace) -> dict[str, Any]:
    from musicllm.serve.answers import checked
    from musicllm.serve.repair.faults import faults_of_tune
    from musicllm.serve.tunes.findings import findings

    tune = tune_of(arguments, place)
    (found,) = findings(tune, is_tune=True)["tunes"]
    faults = [fault.text() for fault in faults_of_tune(checked(found["abc"]))]
    if len(faults) > MAX_FAULTS:
        faults = [*faults[:MAX_FAULTS], f"and {len(faults) - MAX_FAULTS} more"]
    result: dict[str, Any] = {"valid": not faults, "faults": faults}
    if not found["parses"]:
        return result
    fit = found["key_fit"]
    return {
        **result,
        "key": found["key"],
        "metre": found["metre"],
        "bars": found["num_bars"],
        "bars_that_fit": found["num_bars_fitting"],
        "form": found["form"],
        "notes_in_key": None if fit is None else round(fit, 2),
    }


TOOLS.register(
    Tool(
        "check_tune",
        "Checks a tune: whether it is valid ABC, which bars do not fit, its key and form.",
        {"tune": TUNE},
        _run,
    )
)
