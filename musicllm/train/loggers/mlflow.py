"""Metrics, settings, tunes, results and artifacts in MLflow.

By default in a database on this machine that all runs share; with a server, there. Metrics go
through Lightning's logger. A run that continues after its last logged step is the same run in
MLflow; one that repeats steps, since it was killed after a checkpoint, becomes a new run that holds
the whole training, and the old one is deleted (MLflow can restore it). `runtime` switches MLflow's
telemetry off.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from musicllm import console
from musicllm.errors import NotAvailableError, Problem
from musicllm.schema import LoggerConfig
from musicllm.train.loggers import LOGGERS, LoggedRun, LoggerKind, ResultTable
from musicllm.train.tunes import SampleTune

URI = "tracking_uri"
"""The option with MLflow's address of a database or a server."""
SQLITE = "sqlite:///"
TAG = "musicllm.run_id"
"""Tag of MLflow's run with the identity of the job."""
MAX_METRICS, MAX_PARAMETERS = 1000, 100
"""Of one request to MLflow."""
MAX_LENGTH = 6000
"""Characters of a parameter; the file settings.json has all of it."""


class MlflowKind(LoggerKind):
    """A run in MLflow; needs mlflow or, for a server or SQLite, mlflow-skinny."""

    name = "mlflow"
    takes_artifacts = True

    def problems(self, key: str, settings: LoggerConfig) -> Iterator[Problem]:
        """Yield what is missing, has no effect, or would store a password."""
        if settings.project is None:
            yield Problem(f"{key}.project", "null", "must be set when kind=mlflow")
        for name in ("entity", "mode"):
            if getattr(settings, name) is not None:
                rule = "has no effect on a logger of kind mlflow"
                yield Problem(f"{key}.{name}", getattr(settings, name), rule, "write null")
        uri = settings.options.get(URI)
        if set(settings.options) != {URI} or not isinstance(uri, str) or not uri:
            rule = f"must be {{{URI}: <address>}} when kind=mlflow"
            fix = "write sqlite:///runs/mlflow.db, or the address of a server"
            yield Problem(f"{key}.options", settings.options, rule, fix)
        elif urlsplit(uri).password:
            rule = "has a password, and the configuration is saved with every run"
            fix = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            yield Problem(f"{key}.options.{URI}", "...", rule, fix)

    def build(self, settings: LoggerConfig, run: LoggedRun) -> Any:
        """See `LoggerKind`.

        Raises:
            NotAvailableError: a package is missing, or the database or server refuses the run.
        """
        uri = settings.options[URI]
        packages = ["mlflow", *(("sqlalchemy", "alembic") if uri.startswith(SQLITE) else ())]
        if lacking := [name for name in packages if find_spec(name) is None]:
            raise NotAvailableError(
                f"logger mlflow needs {', '.join(lacking)}: pip install 'musicllm[mlflow]'"
            )
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        if uri.startswith(SQLITE):
            Path(uri.removeprefix(SQLITE)).absolute().parent.mkdir(parents=True, exist_ok=True)
            console.note(f"MLflow: to look at the runs: mlflow ui --backend-store-uri {uri}")
        from lightning.pytorch.loggers import MLFlowLogger

        with _refusal(uri):
            return MLFlowLogger(
                settings.project, tracking_uri=uri, run_id=self._open(settings, run)
            )

    def show_tunes(self, logger: Any, step: int, tunes: Sequence[SampleTune]) -> None:
        """Store texts, scores and sounds in `samples/step-<N>`."""
        _store_tunes(logger.experiment, logger.run_id, step, tunes)

    def show_results(
        self,
        logger: Any,
        _step: int,
        tables: Mapping[str, ResultTable],
        pictures: Mapping[str, Path],
        pages: Mapping[str, Path],
    ) -> None:
        """Store tables as CSV, pictures and pages."""
        client, run_id = logger.experiment, logger.run_id
        for name, table in tables.items():
            text = io.StringIO()
            csv.writer(text).writerows([table.columns, *table.rows])
            client.log_text(run_id, text.getvalue(), f"{name}.csv")
        for name, path in {**pictures, **pages}.items():
            client.log_artifact(run_id, str(path), name.rpartition("/")[0] or None)

    def log_artifact(self, settings: LoggerConfig, run: LoggedRun, path: Path, kind: str) -> None:
        """Store a folder with the run."""
        logger = self.build(settings, run)
        logger.experiment.log_artifacts(logger.run_id, str(path), kind)
        logger.finalize("success")

    def _open(self, settings: LoggerConfig, run: LoggedRun) -> str:
        """Return the id of the run in MLflow, which has the metrics of the steps that are done."""
        from mlflow import MlflowClient

        client, name = MlflowClient(settings.options[URI]), settings.project
        experiment = client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment else _create(client, settings)
        earlier = client.search_runs([place], f"tags.`{TAG}` = '{run.run_id}'")
        for found in earlier:
            if run.start_step and _last_step(client, found) <= run.start_step:
                client.update_run(found.info.run_id, status="RUNNING")
                return str(found.info.run_id)
        tags = {TAG: run.run_id, "mlflow.runName": run.title} | dict.fromkeys(settings.tags, "")
        run_id: str = client.create_run(place, tags=tags).info.run_id
        client.log_dict(run_id, dict(run.logged_settings), "settings.json")
        _log_parameters(client, run_id, run.logged_settings)
        _repeat(client, run_id, run)
        for replaced in earlier:
            client.delete_run(replaced.info.run_id)
        return run_id


def _create(client: Any, settings: LoggerConfig) -> str:
    """Create an experiment; beside a database on this machine are the files of its runs."""
    uri, place = settings.options[URI], None
    if uri.startswith(SQLITE):
        database = Path(uri.removeprefix(SQLITE)).absolute()
        place = (database.parent / f"{database.stem}-artifacts").as_uri()
    experiment: str = client.create_experiment(settings.project, artifact_location=place)
    return experiment


def _last_step(client: Any, found: Any) -> int:
    """Return the last step with a metric, or -1."""
    histories = (client.get_metric_history(found.info.run_id, name) for name in found.data.metrics)
    return max((metric.step for history in histories for metric in history), default=-1)


def _log_parameters(client: Any, run_id: str, settings: Mapping[str, Any]) -> None:
    """Log settings by full name; what MLflow cannot name or hold is in settings.json alone."""
    from mlflow.entities import Param

    parameters = [
        Param(name, str(value)[:MAX_LENGTH])
        for name, value in _leaves(settings)
        if re.fullmatch(r"[\w./ -]{1,250}", name, re.ASCII)
    ]
    for part in _parts(parameters, MAX_PARAMETERS):
        client.log_batch(run_id, params=part)


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _repeat(client: Any, run_id: str, run: LoggedRun) -> None:
    """Repeat metrics and tunes of the steps that are done."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [
        Metric(name, value, now, step)
        for step, values in run.finished()
        for name, value in values.items()
    ]
    for part in _parts(metrics, MAX_METRICS):
        client.log_batch(run_id, metrics=part)
    for step, tunes in run.finished_tunes():
        _store_tunes(client, run_id, step, tunes)


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _store_tunes(client: Any, run_id: str, step: int, tunes: Sequence[SampleTune]) -> None:
    folder = f"samples/step-{step:08d}"
    for number, tune in enumerate(tunes, 1):
        text = f"{tune.prompt}\n\n{tune.text}\n"
        client.log_text(run_id, text, f"{folder}/{number:03d}.txt")
        for path in (tune.score, tune.sound):
            if path is not None:
                client.log_artifact(run_id, str(path), folder)


@contextmanager
def _refusal(uri: str) -> Iterator[None]:
    """Say what to do where MLflow's database or server refuses a run."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        reason = " ".join(str(error).split())
        raise NotAvailableError(
            f"logger mlflow: {uri}: {reason}; check logger.mlflow.options.{URI} and .project"
        ) from error


MLFLOW = LOGGERS.register(MlflowKind())
