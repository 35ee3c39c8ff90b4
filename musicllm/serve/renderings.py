"""Pictures, MIDI, sound and other files of many tunes, several at a time, continued when killed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.console import Advance
from musicllm.errors import RenderError
from musicllm.music.render import editor_link, render_tune
from musicllm.serve.stream import Stream

FILES = "tunes"
"""Folder of the files beside the stream."""

NO_FILES: Mapping[str, Any] = {
    "files": [],
    "editor_link": None,
    "problems": [],
    "sound_engine": None,
}
"""What a line has of a tune without files."""


@dataclass(frozen=True)
class Job:
    """The tunes of one answer.

    Attributes:
        number: of the prompt.
        name: stem of the first tune's files; the others have `-2` and so on.
        tunes: ABC of those that parse, None for those that do not.
    """

    number: int
    name: str
    tunes: Sequence[str | None]


def render_answers(
    jobs: Iterator[Job], renderers: Sequence[str], stream: Stream, progress: Advance
) -> None:
    """Write the files of tunes into `tunes/` beside the stream, and a line for each answer.

    A line has, for each tune, `files` (names), `editor_link` (opens it in the public abcjs editor),
    `problems` and `sound_engine`. What cannot be made has its reason among the problems. Engines
    are processes of their own, so that threads use all cores; about a second a tune, most of it for
    the sound.

    Args:
        jobs: answers whose files are due.
        renderers: names of the renderers that run.
        stream: of the lines.
        progress: called for each answer.
    """
    folder = stream.path.parent / FILES
    folder.mkdir(exist_ok=True)
    waiting: deque[Future[dict[str, Any]]] = deque()

    def finish() -> None:
        stream.add(waiting.popleft().result())
        progress(1)

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        for job in jobs:
            waiting.append(pool.submit(_render, job, renderers, folder))
            if len(waiting) > 4 * workers:
                finish()
        while waiting:
            finish()


def stem(name: str, place: int) -> str:
    """Return the stem of the files of an answer's tune, by its place from 0 on."""
    return name if place == 0 else f"{name}-{place + 1}"


def _render(job: Job, renderers: Sequence[str], folder: Path) -> dict[str, Any]:
    tunes = [
        dict(NO_FILES) if tune is None else _files(tune, stem(job.name, place), renderers, folder)
        for place, tune in enumerate(job.tunes)
    ]
    return {"number": job.number, "candidate": 0, "tunes": tunes}


def _files(tune: str, name: str, renderers: Sequence[str], folder: Path) -> dict[str, Any]:
    abc = f"{name}.abc"
    artifacts.write_text(folder / abc, tune.strip() + "\n")
    result: dict[str, Any] = {**NO_FILES, "files": [abc], "problems": []}
    try:
        result["editor_link"] = editor_link(tune)
    except RenderError as error:
        result["problems"].append(str(error))
    try:
        rendering = render_tune(tune, folder, name, only=renderers)
    except RenderError as error:
        result["problems"].append(str(error))
        return result
    result["files"] += [path.name for path in rendering.files.values()]
    result["problems"] += rendering.problems
    return {**result, "sound_engine": rendering.sound_engine}
