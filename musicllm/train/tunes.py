"""Tunes sampled during training, as stored in the run folder.

`samples/step-<N>/tunes.json` lists the tunes of a step with the names of their files, which are in
the same folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from musicllm import artifacts
from musicllm.errors import ArtifactError

if TYPE_CHECKING:
    from torch import nn

LIST = "tunes.json"


@dataclass(frozen=True)
class SampleTune:
    """A text sampled from the model.

    Attributes:
        prompt: of the model.
        text: completion by the model.
        score: picture of the score (PNG or SVG), or None.
        sound: WAV or MP3, or None.
    """

    prompt: str
    text: str
    score: Path | None
    sound: Path | None


@dataclass(frozen=True)
class SampleReport:
    """The texts of a step, and their metrics, whose names begin with `music/`."""

    metrics: dict[str, float]
    tunes: list[SampleTune]


SampleWriter = Callable[["nn.Module", int, "Path | None"], SampleReport]
"""(model, step, folder for files) -> report.

Every rank calls it, since a model may be distributed over them; only rank 0 passes a folder.
"""


def folder_of(run: Path, step: int) -> Path:
    """Return the folder of a step's tunes in a run folder."""
    return run / "samples" / f"step-{step:08d}"


def write_tunes(folder: Path, tunes: Sequence[SampleTune]) -> None:
    """Write the list of tunes whose files are in a folder."""
    entries = [
        {
            "prompt": tune.prompt,
            "text": tune.text,
            "score": tune.score.name if tune.score else None,
            "sound": tune.sound.name if tune.sound else None,
        }
        for tune in tunes
    ]
    artifacts.write_json(folder / LIST, entries)


def read_tunes(run: Path) -> Iterator[tuple[int, list[SampleTune]]]:
    """Yield the steps of a run with their tunes, in order.

    Raises:
        ArtifactError: a list of tunes cannot be read.
    """
    for path in sorted((run / "samples").glob(f"step-*/{LIST}")):
        try:
            tunes = _tunes(path)
            step = int(path.parent.name.removeprefix("step-"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"{path} cannot be read: {error!r}") from None
        yield step, tunes


def _tunes(path: Path) -> list[SampleTune]:
    """Read a list of tunes."""
    folder = path.parent
    return [
        SampleTune(
            entry["prompt"],
            entry["text"],
            folder / entry["score"] if entry["score"] else None,
            folder / entry["sound"] if entry["sound"] else None,
        )
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]
