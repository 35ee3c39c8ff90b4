"""The tunes of a `tunes` artifact as loggers show them: text, picture of the score, sound."""

from __future__ import annotations

from pathlib import Path

from musicllm.artifacts import Artifact
from musicllm.music.render import in_order
from musicllm.music.render.renderer import Role
from musicllm.report.runs import read_lines
from musicllm.report.scores import MAX_ANSWERS
from musicllm.train.tunes import SampleTune


def tune_table(artifact: Artifact) -> list[SampleTune]:
    """Return the tunes of at most `MAX_ANSWERS` answers, and answers without one, in order.

    Raises:
        ArtifactError: generations.jsonl is missing or damaged.
    """
    folder = artifact.path / "tunes"
    return [
        SampleTune(
            line["prompt"],
            line["answer"],
            _file(folder, tune["name"], "picture"),
            _file(folder, tune["name"], "sound"),
        )
        for line in read_lines(artifact.path / "generations.jsonl", MAX_ANSWERS)
        for tune in line["tunes"] or [{"name": line["name"]}]
    ]


def _file(folder: Path, name: str, role: Role) -> Path | None:
    """Return the first file of a tune that is a picture, or a sound."""
    outputs = (output for renderer in in_order() for output in renderer.outputs)
    files = (folder / f"{name}{output.suffix}" for output in outputs if output.role == role)
    return next((file for file in files if file.is_file()), None)
