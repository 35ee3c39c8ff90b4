"""Metrics, settings, tunes and results in Trackio, in a folder on this machine.

A run that continues becomes a new run there, which repeats the earlier metrics and replaces the old
one. Nothing is sent: Trackio's variables that name a Space or a server are refused, its question to
the Hugging Face Hub for the user's name is blocked, and it measures nothing of the machine.
"""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.errors import NotAvailableError, Problem
from musicllm.schema import LoggerConfig
from musicllm.train.loggers import LOGGERS, LoggedRun, LoggerKind, ResultTable
from musicllm.train.tunes import SampleTune

FOLDER = "folder"
"""The option with the folder that Trackio writes to."""
SENDING = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Variables with which Trackio sends what is logged."""
RUN_ID = "run_id"
"""Setting of Trackio's run with the identity of the job."""


class TrackioKind(LoggerKind):
    """A run in Trackio; needs the package trackio."""

    name = "trackio"

    def __init__(self) -> None:
        self._is_open = False

    def problems(self, key: str, settings: LoggerConfig) -> Iterator[Problem]:
        """Yield what is missing, has no effect, or would send what is logged."""
        if settings.project is None:
            yield Problem(f"{key}.project", "null", "must be set when kind=trackio")
        for name in ("entity", "mode"):
            if getattr(settings, name) is not None:
                rule = "has no effect on a logger of kind trackio"
                yield Problem(f"{key}.{name}", getattr(settings, name), rule, "write null")
        if settings.log_artifact:
            rule = "has no effect: a logger of kind trackio takes no artifacts"
            yield Problem(f"{key}.log_artifact", True, rule, "write false")
        folder = settings.options.get(FOLDER)
        if set(settings.options) != {FOLDER} or not isinstance(folder, str) or not folder:
            rule = f"must be {{{FOLDER}: <folder>}} when kind=trackio"
            yield Problem(f"{key}.options", settings.options, rule, "write {folder: runs/trackio}")
        for variable in filter(os.environ.get, SENDING):
            rule = f"stays on this machine, and the variable {variable} is set"
            yield Problem(f"{key}.kind", "trackio", rule, f"unset {variable}")

    def build(self, settings: LoggerConfig, run: LoggedRun) -> Any:
        """See `LoggerKind`.

        Raises:
            NotAvailableError: trackio is not installed, or logs elsewhere in this process.
        """
        if find_spec("trackio") is None:
            raise NotAvailableError("logger trackio needs trackio: pip install 'musicllm[trackio]'")
        trackio = _import(Path(settings.options[FOLDER]).absolute())
        view = f"TRACKIO_DIR={shlex.quote(str(trackio.TRACKIO_DIR))} trackio show"
        console.note(f"Trackio: to look at the runs: {view}")
        config = {RUN_ID: run.run_id, "tags": list(settings.tags)}
        with _quiet(), _unsent():
            earlier = _earlier(trackio, settings.project, run.run_id)
            recording = trackio.init(
                settings.project,
                name=run.title,
                config=config | dict(run.logged_settings),
                resume="never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self._is_open = True
        for step, values in run.finished():
            recording.log(values, step=step)
        logger = _lightning_logger(recording, self.close)
        for step, tunes in run.finished_tunes():
            self.show_tunes(logger, step, tunes)
        for replaced in earlier:
            replaced.delete()
        return logger

    def show_tunes(self, logger: Any, step: int, tunes: Sequence[SampleTune]) -> None:
        """Add a table of tunes with their scores, and their sounds."""
        import trackio

        rows = [[tune.prompt, tune.text, _picture(tune.score)] for tune in tunes]
        values: dict[str, Any] = {"samples": trackio.Table(["prompt", "text", "score"], rows)}
        for number, tune in enumerate(tunes, 1):
            if tune.sound is not None:
                values[f"samples/sound_{number}"] = trackio.Audio(tune.sound)
        logger.experiment.log(values, step=step)

    def show_results(
        self,
        logger: Any,
        step: int,
        tables: Mapping[str, ResultTable],
        pictures: Mapping[str, Path],
        pages: Mapping[str, Path],
    ) -> None:
        """Add tables, pictures and pages."""
        import trackio

        values: dict[str, Any] = {
            name: trackio.Table(list(table.columns), [list(row) for row in table.rows])
            for name, table in tables.items()
        }
        values |= {name: trackio.Image(path) for name, path in pictures.items()}
        values |= {name: trackio.Html(path) for name, path in pages.items()}
        logger.experiment.log(values, step=step)

    def close(self) -> None:
        """Finish the run of this process, if there is one; waits until it is written."""
        if self._is_open:
            import trackio

            self._is_open = False
            with _quiet():
                trackio.finish()


def _import(folder: Path) -> Any:
    """Import Trackio, which reads once where it writes.

    Raises:
        NotAvailableError: this process has imported it with another folder, or it would send.
    """
    if sending := [name for name in SENDING if os.environ.get(name)]:
        raise NotAvailableError(f"logger trackio stays on this machine; unset {sending[0]}")
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    if Path(trackio.TRACKIO_DIR) != folder:
        raise NotAvailableError(
            f"logger trackio writes to {trackio.TRACKIO_DIR} in this process, and "
            f"logger.trackio.options.{FOLDER} is {folder}; start this run in another process"
        )
    return trackio


def _earlier(trackio: Any, project: str | None, run_id: str) -> list[Any]:
    """Return the runs of this job that Trackio has."""
    try:
        runs = list(trackio.Api().runs(project))
    except ValueError:  # there is no such project
        return []
    return [run for run in runs if (run.config or {}).get(RUN_ID) == run_id]


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what Trackio prints; our note says it in one line."""
    with redirect_stdout(io.StringIO()):
        yield


@contextmanager
def _unsent() -> Iterator[None]:
    """Block requests to the Hugging Face Hub; with a token Trackio asks it for the user's name."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _lightning_logger(recording: Any, close: Any) -> Any:
    """Return a logger of Lightning, which has none for Trackio."""
    from lightning.pytorch.loggers import Logger

    class TrackioLogger(Logger):  # type: ignore[misc]
        """Sends metrics to a run of Trackio."""

        experiment = recording
        name = recording.project
        version = recording.name

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            """Log metrics of a step."""
            recording.log(dict(metrics), step=step)

        def log_hyperparams(self, *_: Any, **__: Any) -> None:
            """Do nothing; the settings were logged when the run began."""

        def finalize(self, status: str) -> None:  # noqa: ARG002
            """Write what is left, and finish the run."""
            close()

    return TrackioLogger()


def _picture(score: Path | None) -> Any:
    import trackio

    if score is None or score.suffix == ".svg":  # Trackio shows pictures made of pixels only
        return None
    return trackio.Image(score)


TRACKIO = LOGGERS.register(TrackioKind())
