"""Tunes that were written during training, as they lie in the run folder.

`samples/step-<N>/tunes.json` lists the tunes of a step with the names of their files, which lie
beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from musicllm import artifacts

if TYPE_CHECKING:
    from torch import nn

LIST = "tunes.json"


@dataclass(frozen=True)
class SampleTune:
    """One text that the model wrote.

    Attributes:
        prompt: what it was given.
        text: what it wrote.
        score: a picture of it (PNG or SVG), or None.
        sound: WAV or MP3, or None.
    """

    prompt: str
    text: str
    score: Path | None
    sound: Path | None


@dataclass(frozen=True)
class SampleReport:
    """The texts of one step, and what was measured about them; names begin with `music/`."""

    metrics: dict[str, float]
    tunes: list[SampleTune]


SampleWriter = Callable[["nn.Module", int, "Path | None"], SampleReport]
"""From the model, the step and a folder for files to what it wrote.

Every rank calls it, since a model may be spread over them; only rank 0 gives a folder.
"""


def folder_of(run: Path, step: int) -> Path:
    """Return where the tunes of a step lie in a run folder."""
    return run / "samples" / f"step-{step:08d}"


def write_tunes(folder: Path, tunes: Sequence[SampleTune]) -> None:
    """List the tunes whose files are in a folder."""
    listed = [
        {
            "prompt": tune.prompt,
            "text": tune.text,
            "score": tune.score.name if tune.score else None,
            "sound": tune.sound.name if tune.sound else None,
        }
        for tune in tunes
    ]
    artifacts.write_json(folder / LIST, listed)


def read_tunes(run: Path) -> Iterator[tuple[int, list[SampleTune]]]:
    """Yield the steps of a run that have tunes, in order, with them."""
    for path in sorted((run / "samples").glob(f"step-*/{LIST}")):
        folder = path.parent
        tunes = [
            SampleTune(
                one["prompt"],
                one["text"],
                folder / one["score"] if one["score"] else None,
                folder / one["sound"] if one["sound"] else None,
            )
            for one in json.loads(path.read_text(encoding="utf-8"))
        ]
        yield int(folder.name.removeprefix("step-")), tunes
