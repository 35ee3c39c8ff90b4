"""MLflow and Trackio: runs are really logged, continued, read back, and nothing is sent."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from torch import nn

from musicllm.errors import NotAvailableError
from musicllm.music.render import abc_to_svg
from musicllm.music.render.kinds.png import svg_to_png
from musicllm.schema import LoggerConfig
from musicllm.train import loggers, metrics
from musicllm.train.fit import TrainingRun
from musicllm.train.loggers import LoggedRun, ResultTable
from musicllm.train.loggers import mlflow as mlflow_kind
from musicllm.train.loggers import trackio as trackio_kind
from musicllm.train.tunes import SampleReport, SampleTune
from tests.helpers import make_tune
from tests.train.conftest import CSV

MakeRun = Callable[..., TrainingRun]

MLFLOW = dataclasses.replace(CSV, kind="mlflow", project="tunes", tags=["quick"])
TRACKIO = dataclasses.replace(CSV, kind="trackio", project="tunes", tags=["quick"])
SETTINGS = {"seed": 11, "plan": {"num_steps": 4, "rows": {"strange name!": 1}}, "empty": None}

pytestmark = pytest.mark.filterwarnings("default")  # of these packages


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a database, which takes seconds to create."""
    for package in ("mlflow", "alembic"):
        pytest.importorskip(package, reason="the extra mlflow is not installed")
    return tmp_path_factory.mktemp("mlflow") / "runs"


@pytest.fixture
def mlflow(mlflow_folder: Path, request: pytest.FixtureRequest) -> Iterator[LoggerConfig]:
    """Settings of an experiment of its own."""
    options = {"tracking_uri": f"sqlite:///{mlflow_folder}/mlflow.db"}
    name = request.node.name
    yield dataclasses.replace(MLFLOW, project=name, log_artifact=True, options=options)
    loggers.close()


@pytest.fixture(scope="session")
def trackio_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Trackio, which reads it once in a process."""
    pytest.importorskip("gradio_client", reason="the extra trackio is not installed")
    return tmp_path_factory.mktemp("trackio")


@pytest.fixture
def trackio(trackio_folder: Path, request: pytest.FixtureRequest) -> Iterator[LoggerConfig]:
    """Settings of a project of its own."""
    project = request.node.name.replace("[", "-").replace("]", "")
    yield dataclasses.replace(TRACKIO, project=project, options={"folder": str(trackio_folder)})
    loggers.close()


def lines(run: TrainingRun) -> list[dict[str, Any]]:
    return list(metrics.read(run.folder / metrics.NAME))


def points(run: TrainingRun) -> set[tuple[int, str, float]]:
    """Return every metric of metrics.jsonl with its step."""
    return {
        (line["step"], name, value)
        for line in lines(run)
        for name, value in line.items()
        if name != "step" and value is not None
    }


def write_tune(_model: nn.Module, step: int, folder: Path | None) -> SampleReport:
    assert folder is not None
    tune = make_tune(step)
    (folder / "001.png").write_bytes(svg_to_png(abc_to_svg(tune)))
    soundfile.write(folder / "001.wav", np.zeros(800), 8000)
    written = SampleTune("X:1", tune, folder / "001.png", folder / "001.wav")
    return SampleReport({"music/parse_share": 1.0}, [written])


def part(make_run: MakeRun, logger: LoggerConfig, max_steps: int) -> TrainingRun:
    run = make_run(
        loggers=(logger,), logged_settings=SETTINGS, samples_every_steps=2, max_steps=max_steps,
        checkpoint_every_steps=2,
    )  # fmt: skip
    object.__setattr__(run, "write_samples", write_tune)
    return run


def test_mlflow_has_every_step_of_a_continued_run(
    make_run: MakeRun, mlflow: LoggerConfig, mlflow_folder: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    part(make_run, mlflow, 2).fit()
    run = part(make_run, mlflow, 4)
    assert run.fit().start_step == 2
    weights = tmp_path / "artifact"
    weights.mkdir()
    (weights / "adapter_model.safetensors").write_bytes(b"weights")
    logged = LoggedRun(run.folder, 4, run.identity, SETTINGS)
    loggers.log_artifact((CSV, mlflow), logged, weights, "adapter")

    client = MlflowClient(mlflow.options["tracking_uri"])
    experiment = client.get_experiment_by_name(mlflow.project)
    (stored,) = client.search_runs([experiment.experiment_id], "")
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["quick"] == ""
    assert stored.data.params == {"seed": "11", "plan.num_steps": "4", "empty": "None"}
    run_id = stored.info.run_id
    histories = [client.get_metric_history(run_id, name) for name in stored.data.metrics]
    told = [(metric.step, metric.key, metric.value) for part in histories for metric in part]
    assert len(told) == len(set(told)), "no step stands there twice"
    assert set(told) == points(run)
    folder = Path(client.download_artifacts(run_id, ""))
    assert folder.is_relative_to(mlflow_folder / "mlflow-artifacts")
    assert json.loads((folder / "settings.json").read_text()) == SETTINGS
    for step in (2, 4):
        samples = folder / "samples" / f"step-{step:08d}"
        assert (samples / "001.txt").read_text().endswith(f"{make_tune(step)}\n")
        assert {path.name for path in samples.iterdir()} == {"001.txt", "001.png", "001.wav"}
    assert (folder / "adapter" / "adapter_model.safetensors").read_bytes() == b"weights"


def test_a_run_that_repeats_steps_replaces_its_old_one_in_mlflow(
    make_run: MakeRun, mlflow: LoggerConfig
) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    first = part(make_run, mlflow, 2)
    first.fit()
    killed = loggers.build([mlflow], LoggedRun(first.folder, 2, first.identity, SETTINGS))
    killed[0].logger.log_metrics({"train/loss": 99.0}, step=3)  # after the last checkpoint
    run = part(make_run, mlflow, 4)
    run.fit()
    client = MlflowClient(mlflow.options["tracking_uri"])
    place = [client.get_experiment_by_name(mlflow.project).experiment_id]
    (stored,) = client.search_runs(place, "")
    history = client.get_metric_history(stored.info.run_id, "train/loss")
    assert {(metric.step, metric.value) for metric in history} == {
        (line["step"], line["train/loss"]) for line in lines(run) if "train/loss" in line
    }
    assert len(client.search_runs(place, "", ViewType.DELETED_ONLY)) == 1


def logs_of(project: str) -> list[dict[str, Any]]:
    """Return what Trackio has of the only run of a project, in order, without times."""
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    (run,) = trackio.Api().runs(project)
    logs = SQLiteStorage.get_logs(project, run.name, run_id=run.id)
    return [{key: value for key, value in log.items() if key != "timestamp"} for log in logs]


def test_trackio_has_every_step_of_a_continued_run(
    make_run: MakeRun, trackio: LoggerConfig, trackio_folder: Path, tmp_path: Path
) -> None:
    part(make_run, trackio, 2).fit()
    (killed,) = loggers.build([trackio], LoggedRun(tmp_path / "run", 2, "0123456789ab", {}))
    killed.logger.log_metrics({"train/loss": 99.0}, step=3)
    loggers.close()
    run = part(make_run, trackio, 4)
    assert run.fit().start_step == 2
    assert trackio.project is not None
    logs = logs_of(trackio.project)
    assert {
        (log["step"], name, value)
        for log in logs
        for name, value in log.items()
        if name != "step" and not name.startswith("samples")
    } == points(run)
    tables = {log["step"]: log for log in logs if "samples" in log}
    assert list(tables) == [2, 4]
    (row,) = tables[4]["samples"]["_value"]
    assert (row["prompt"], row["text"]) == ("X:1", make_tune(4))
    for medium in (row["score"], tables[4]["samples/sound_1"]):
        assert (trackio_folder / "media" / medium["file_path"]).stat().st_size > 100
    (stored,) = sys.modules["trackio"].Api().runs(trackio.project)
    config = {name: value for name, value in stored.config.items() if name[0] != "_"}
    assert config == SETTINGS | {"run_id": run.identity, "tags": ["quick"]}


@pytest.mark.parametrize("kind", ["mlflow", "trackio"])
def test_results_are_logged(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings: LoggerConfig = request.getfixturevalue(kind)
    picture, page = tmp_path / "mmlu.png", tmp_path / "report.html"
    picture.write_bytes(svg_to_png(abc_to_svg(make_tune(1))))
    page.write_text("<p>page</p>")
    table = ResultTable(["model", "accuracy"], [["base", "0.25, chance"]])
    for _ in range(2):  # the second replaces the first
        ((of_kind, logger),) = loggers.build([settings], LoggedRun(tmp_path, 0, "0123", {}))
        logger.log_metrics({"mmlu/accuracy": 0.25}, step=0)
        of_kind.show_results(logger, 0, {"evaluation/mmlu": table}, {"evaluation/mmlu": picture},
                             {"evaluation/report": page})  # fmt: skip
        logger.finalize("success")
    if kind == "mlflow":
        from mlflow import MlflowClient

        client = MlflowClient(settings.options["tracking_uri"])
        (stored,) = client.search_runs(
            [client.get_experiment_by_name(settings.project).experiment_id], ""
        )
        assert stored.data.metrics == {"mmlu/accuracy": 0.25}
        folder = Path(client.download_artifacts(stored.info.run_id, "evaluation"))
        assert (folder / "mmlu.csv").read_text().splitlines()[1] == 'base,"0.25, chance"'
        assert {path.name for path in folder.iterdir()} == {"mmlu.csv", "mmlu.png", "report.html"}
    else:
        assert settings.project is not None
        numbers, shown = logs_of(settings.project)
        assert numbers == {"mmlu/accuracy": 0.25, "step": 0}
        assert shown["evaluation/report"]["_type"] == "trackio.html"


SEND = """
import dataclasses, os, socket, sys
tried = []
def refuse(*args, **_):
    tried.append(args)
    raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from musicllm import runtime
runtime.prepare("cpu")
import deepspeed  # imports mlflow
from musicllm.schema import LoggerConfig
from musicllm.train import loggers
from musicllm.train.loggers import LoggedRun
from pathlib import Path
kind, options, folder = sys.argv[1], eval(sys.argv[2]), Path(sys.argv[3])
settings = LoggerConfig(kind, "tunes", None, None, [], False, options)
((_, logger),) = loggers.build([settings], LoggedRun(folder, 0, "0123", {"seed": 1}))
logger.log_metrics({"train/loss": 1.0}, step=1)
logger.finalize("success")
loggers.close()
import time
time.sleep(1)
print("tried", tried)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlflow", "trackio"])
def test_nothing_is_sent(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    request.getfixturevalue(kind)
    options = {
        "mlflow": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"},
        "trackio": {"folder": str(tmp_path / "trackio")},
    }[kind]
    silent = ("PYTEST_", "CI", "GITHUB_", "MLFLOW_", "TRACKIO_", "HF_", "DO_NOT_TRACK")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(silent)}
    environment["HF_TOKEN"] = "hf_" + "a" * 34  # with one Trackio asks for the user's name
    words = [sys.executable, "-c", SEND, kind, repr(options), str(tmp_path / "sft" / "run")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "tried []"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (mlflow_kind, trackio_kind):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    run = LoggedRun(tmp_path, 0, "0123", {})
    cases = {
        "mlflow, sqlalchemy, alembic": dataclasses.replace(
            MLFLOW, options={"tracking_uri": "sqlite:///mlflow.db"}
        ),
        "mlflow": dataclasses.replace(MLFLOW, options={"tracking_uri": "http://localhost:5000"}),
        "trackio": dataclasses.replace(TRACKIO, options={"folder": "runs/trackio"}),
    }
    for packages, settings in cases.items():
        with pytest.raises(NotAvailableError) as error:
            loggers.build([settings], run)
        assert str(error.value) == (
            f"logger {settings.kind} needs {packages}: pip install 'musicllm[{settings.kind}]'"
        )


def test_a_database_that_mlflow_refuses_is_named(mlflow: LoggerConfig, tmp_path: Path) -> None:
    uri = str(tmp_path / "mlruns")  # files instead of a database
    settings = dataclasses.replace(mlflow, options={"tracking_uri": uri})
    with pytest.raises(NotAvailableError) as error:
        loggers.build([settings], LoggedRun(tmp_path, 0, "0123", {}))
    assert str(error.value).startswith(f"logger mlflow: {uri}: The filesystem tracking backend")
    assert str(error.value).endswith("check logger.mlflow.options.tracking_uri and .project")


def test_trackio_writes_to_one_folder_in_a_process(trackio: LoggerConfig, tmp_path: Path) -> None:
    loggers.build([trackio], LoggedRun(tmp_path, 0, "0123", {}))
    other = dataclasses.replace(trackio, options={"folder": str(tmp_path / "other")})
    with pytest.raises(NotAvailableError, match="start this run in another process"):
        loggers.build([other], LoggedRun(tmp_path, 0, "4567", {}))


@pytest.mark.parametrize(
    ("settings", "variable", "said"),
    [
        (dataclasses.replace(MLFLOW, project=None, options={"tracking_uri": "sqlite:///m.db"}), "",
         "logger.mlflow.project=null must be set when kind=mlflow"),
        (MLFLOW, "", "logger.mlflow.options={} must be {tracking_uri: <address>} when kind=mlflow; "
         "write sqlite:///runs/mlflow.db, or the address of a server"),
        (dataclasses.replace(MLFLOW, options={"tracking_uri": "https://me:secret@host"}), "",
         "logger.mlflow.options.tracking_uri=... has a password, and the configuration is saved "
         "with every run; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (dataclasses.replace(TRACKIO, options={"folder": "t"}, mode="offline"), "",
         "logger.trackio.mode=offline has no effect on a logger of kind trackio; write null"),
        (dataclasses.replace(TRACKIO, options={"folder": "t"}, log_artifact=True), "",
         "logger.trackio.log_artifact=True has no effect: a logger of kind trackio takes no "
         "artifacts; write false"),
        (dataclasses.replace(TRACKIO, options={"space": "me"}), "",
         "logger.trackio.options={'space': 'me'} must be {folder: <folder>} when kind=trackio; "
         "write {folder: runs/trackio}"),
        (dataclasses.replace(TRACKIO, options={"folder": "t"}), "TRACKIO_SPACE_ID",
         "logger.trackio.kind=trackio stays on this machine, and the variable TRACKIO_SPACE_ID is "
         "set; unset TRACKIO_SPACE_ID"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(
    settings: LoggerConfig, variable: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, "someone/tunes")
    key = f"logger.{settings.kind}"
    (problem,) = loggers.LOGGERS[settings.kind].problems(key, settings)
    assert str(problem) == said


def test_a_loss_that_is_not_finite_is_logged(mlflow: LoggerConfig, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    ((_, logger),) = loggers.build([mlflow], LoggedRun(tmp_path, 0, "0123", {}))
    logger.log_metrics({"train/loss": math.nan}, step=1)
    (metric,) = MlflowClient(mlflow.options["tracking_uri"]).get_metric_history(
        logger.run_id, "train/loss"
    )
    assert math.isnan(metric.value)
