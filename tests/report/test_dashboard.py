"""Dashboards show what trainings really log: every panel of the definition, and nothing else."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from musicllm import config as configuration
from musicllm.errors import ArtifactError
from musicllm.evals import samples_in_training
from musicllm.inference.requests import Completion
from musicllm.launch import runner
from musicllm.report.dashboard.filling import FilledDashboard, fill
from musicllm.report.dashboard.panels import PANELS
from musicllm.report.dashboard.story import before_and_after, plan_against_measured
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.runs.watching import watched_runs
from musicllm.schema import Config
from musicllm.sweep import comparison
from musicllm.sweep.trial import DONE, FAILED, Result, Trial
from musicllm.train import module
from musicllm.train.callbacks import loss_scale
from tests.helpers import make_corpus, make_tune
from tests.stages.test_train import SMALL
from tests.train.offline_wandb import Recording

pytest.importorskip("wandb_workspaces", reason="the extra dashboard is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")

ELSEWHERE = {
    "losses.router": (module, "train/router_loss"),
    "optimization.loss_scale": (loss_scale, "train/loss_scale"),
    "optimization.skipped": (loss_scale, "train/skipped_steps"),
}
"""Panels of mixtures of experts and of fp16, with what names their metrics."""

LENGTH = ["training.step_choices=[]", "training.time_budget_min=null",
          "training.validate_every_steps=1"]  # fmt: skip
OFFLINE = ["logger=[wandb]", "logger.wandb.mode=offline"]
WATCHED = [
    "callbacks.samples_every_steps=2", "callbacks.num_samples=2",
    "benchmark=[theory,language]", "callbacks.evaluate_every_steps=2",
    "callbacks.num_eval_questions=2",
]  # fmt: skip


def load(runs: Path, *words: str) -> Config:
    return configuration.load(["recipe=dashboard", f"paths.runs={runs}", *words])[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trainings of a sweep of the learning rate; the first is evaluated and writes tunes."""
    runs = tmp_path_factory.mktemp("runs")
    corpus = make_corpus(runs / "corpus", content="messages")
    (runs / "prose.txt").write_text("The cat sat on the mat, and nobody minded. " * 3)
    places = [f"paths.runs={runs}", f"inputs.corpus={corpus.path}"]
    base = ["recipe=quickstart/pretrain", *SMALL, *places, *LENGTH, *OFFLINE]
    watched = [*WATCHED, f"benchmark.language.location={runs / 'prose.txt'}"]

    def sample(*_: object, **__: object) -> list[Completion]:
        tune = make_tune(1)
        return [Completion(tune, 5, finished=True, num_prompt_tokens=3)] * 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(runs))
        patch.setattr(samples_in_training, "sample", sample)  # random weights write no tune
        for place, lr in enumerate(("1e-3", "2e-3", "3e-3")):
            words = [*base, *([] if place else watched), f"optimizer.lr={lr}", f"name=run{place}"]
            runner.run(*configuration.load(words))
    wandb.teardown()  # its process has written everything when it is gone
    folders = [runs / "quickstart" / "pretrain" / f"run{place}" for place in range(3)]
    job = Trial(0, {}, (), runs)
    results = [*(Result(job, DONE, folder) for folder in folders), Result(job, FAILED)]
    (runs / "sweep").mkdir()
    comparison.write_json(results, runs / "sweep")
    return runs


@pytest.fixture(scope="module")
def filled(runs: Path) -> FilledDashboard:
    config = load(runs, f"runs=[{runs / 'sweep'}]")
    return fill(config.dashboard, watched_runs(config))


def test_no_panel_of_the_definition_can_be_empty(filled: FilledDashboard) -> None:
    assert filled.left_out.keys() == ELSEWHERE.keys()
    for place, (logging, name) in ELSEWHERE.items():
        assert filled.left_out[place] == f"no run has {name}"
        source = inspect.getsource(logging)
        assert f'"{name}"' in source or f'"{name.removeprefix("train/")}"' in source


def of_wandb(filled: FilledDashboard) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the panels as wandb's library writes them."""
    for section in filled.sections:
        for each in section.panels:
            for panel in PANELS[each.panel.kind].in_wandb(each.panel, each.filling):
                yield each.key, panel._to_model().model_dump(by_alias=True, exclude_none=True)


def test_panels_name_what_is_recorded_in_wandb(runs: Path, filled: FilledDashboard) -> None:
    folder = runs / "quickstart" / "pretrain" / "run0"
    recording = Recording(folder / "wandb" / "latest-run")
    recorded = {name for line in recording.history for name in line}
    count = 0
    for key, panel in of_wandb(filled):
        kind, settings = panel["viewType"], panel["config"]
        count += 1
        if kind == "Run History Line Plot":
            assert settings["xAxis"] in recorded
            assert set(settings["metrics"]) & recorded or settings.get("useMetricRegex"), key
            pattern = settings.get("metricRegex")
            assert pattern is None or any(re.search(pattern, name) for name in recorded), key
        elif kind == "Scatter Plot":
            section, name = settings["yAxis"].split(":", 1)
            assert (section, name in recorded) == ("summary", True), key
            assert leaf(recording.config, settings["xAxis"]) > 0, key
        elif kind == "Parallel Coordinates Plot":
            axes = [column["accessor"] for column in settings["columns"]]
            assert axes == ["config:optimizer.value.lr", "summary:val/loss"]
            assert leaf(recording.config, axes[0]) == 1e-3
        elif kind == "Parameter Importance":
            assert settings["targetKey"] == "val/loss"
        else:
            assert kind == "Weave", key
            assert '"samples"' in json.dumps(settings)
            assert any(name.startswith("samples/") for name in recorded)
    assert count >= 25


def leaf(config: dict[str, Any], accessor: str) -> Any:
    """Return the setting that wandb calls `config:<group>.value.<key>`."""
    name = accessor.removeprefix("config:")
    assert name != accessor
    group, value, *rest = name.split(".")
    assert value == "value"
    found = config[group]
    for part in rest:
        found = found[part]
    return found


def test_a_single_run_is_no_sweep(runs: Path) -> None:
    config = load(runs, "runs=[quickstart/pretrain]")
    (run,) = watched_runs(config)
    assert run.label == "quickstart/pretrain"
    left_out = fill(config.dashboard, [run]).left_out
    assert left_out["sweep.settings"] == "there is one run"
    assert left_out["sweep.importance"] == "fewer than 3 runs measured it"
    assert left_out["samples.tunes"] == "no run wrote tunes (callbacks.samples_every_steps)"


def test_runs_of_a_sweep_are_told_apart(runs: Path) -> None:
    each = watched_runs(load(runs, f"runs=[{runs / 'sweep'},{runs}/quickstart/pretrain/run1]"))
    assert [run.label for run in each] == [f"quickstart/pretrain/run{n}" for n in range(3)]
    assert [run.settings["optimizer.lr"] for run in each] == [1e-3, 2e-3, 3e-3]


def test_a_run_that_still_trains_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "live"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 1, "train/loss": 2.5}\n{"step": 2, "trai')
    (run,) = watched_runs(load(tmp_path, f"runs=[{folder}]"))
    assert (run.label, run.names, run.curve("train/loss")) == (
        "mine/live",
        ["train/loss"],
        [(1, 2.5)],
    )
    assert (run.wandb_id, run.plan, run.expected) == (None, None, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("quickstart/sft", "no run of this recipe in {runs} has metrics (metrics.jsonl); start it: "
         "python -m musicllm recipe=quickstart/sft, or name the recipe of a training; "
         "recipe=report with --watch waits for a run that has not begun"),
        ("{runs}", "there is no metrics.jsonl in it; name the folder of a training that has begun, "
         "or of a sweep of trainings; recipe=report with --watch waits for a run that has not "
         "begun"),
        ("quickstart/pretrian", "neither a recipe with a training in {runs} nor a folder; did you "
         "mean quickstart/pretrain?"),
    ],
)  # fmt: skip
def test_what_has_no_metrics_is_refused(tmp_path: Path, name: str, text: str) -> None:
    name = name.format(runs=tmp_path)
    with pytest.raises(ArtifactError) as raised:
        watched_runs(load(tmp_path, f"runs=[{name}]"))
    assert str(raised.value) == f"runs={name}: {text.format(runs=tmp_path)}"


def test_a_sweep_without_trainings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text('[{"folder": null}]')
    with pytest.raises(ArtifactError, match=r"no job of this sweep has metrics; name one of"):
        watched_runs(load(tmp_path, f"runs=[{tmp_path}]"))
    (tmp_path / "comparison.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"no job of this sweep has metrics"):
        watched_runs(load(tmp_path, f"runs=[{tmp_path}]"))
    (tmp_path / "comparison.json").write_text('["one"]')
    with pytest.raises(ArtifactError, match=r"comparison\.json cannot be read"):
        watched_runs(load(tmp_path, f"runs=[{tmp_path}]"))


def test_before_and_after_and_the_plan() -> None:
    lines = [
        {"step": 0, "eval/quiz/accuracy": 0.25, "eval/quiz/accuracy_low": 0.1},
        {"step": 5, "train/loss": 4.0, "perf/step_time_s": 1.0},
        {"step": 10, "train/loss": 2.0, "perf/step_time_s": 2.0, "val/loss": 2.25},
        {"step": 10, "eval/quiz/accuracy": 0.5, "eval/quiz/accuracy_low": 0.3},
    ]
    plan = {"expected": {"step_time_s": 1.25, "mfu": 0.4, "tokens_per_s": None}}
    run = WatchedRun("sft", Path(), "0", None, {}, plan, lines, [])
    table = before_and_after(run)
    assert table.texts() == [
        ["train/loss", "5", "4", "10", "2"],
        ["eval/quiz/accuracy", "0", "0.25", "10", "0.5"],
    ]
    planned = plan_against_measured(run)
    assert planned is not None
    assert planned.texts() == [["perf/step_time_s", "1.25", "1.5", "1.2"]]
