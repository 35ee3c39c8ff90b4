"""`render`: files of a tune in the folder of the conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm import artifacts
from musicllm.errors import InputError
from musicllm.serve.tools import TOOLS, TUNE, Tool, Workplace, tune_of

DEFAULT = "score"


def _run(arguments: Mapping[str, Any], place: Workplace) -> dict[str, Any]:
    from musicllm.music.render import RENDERERS, render_tune
    from musicllm.serve.tunes.findings import limit

    tune = tune_of(arguments, place)
    limit(tune)
    kind = arguments.get("as", DEFAULT)
    if kind not in RENDERERS:
        raise InputError(f"the argument as={kind!r} is none of {', '.join(RENDERERS)}")
    place.num_files += 1
    stem, folder = f"tool-{place.num_files:03d}", place.folder()
    artifacts.write_text(folder / f"{stem}.abc", f"{tune.strip()}\n")
    rendering = render_tune(tune, folder, stem, only=[kind])
    files = [f"{stem}.abc", *(path.name for path in rendering.files.values())]
    return {"files": files, "problems": list(rendering.problems)}


TOOLS.register(
    Tool(
        "render",
        "Writes files of a tune for the user, such as its score or its sound; returns their names.",
        {
            "tune": TUNE,
            "as": {
                "type": "string",
                "description": "what to write, such as score, MIDI or sound; without it the score",
            },
        },
        _run,
    )
)
