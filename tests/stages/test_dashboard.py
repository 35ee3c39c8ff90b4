"""The dashboard stage: what is written, what is sent to wandb, and what it says otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.checks import check
from musicllm.errors import ArtifactError, ConfigError, NotAvailableError
from musicllm.job import public
from musicllm.launch import runner
from musicllm.report.dashboard.tune_table import tune_table
from musicllm.stages import dashboard
from musicllm.train.tunes import SampleTune
from tests.helpers import make_tune
from tests.report import wandb_server
from tests.train.offline_wandb import Recording

pytest.importorskip("wandb_workspaces", reason="the extra dashboard is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")

LINES: list[dict[str, Any]] = [
    {"step": 0, "eval/theory/accuracy": 0.25},
    {"step": 5, "train/loss": 4.0, "val/loss": 4.5, "perf/step_time_s": 1.5},
    {"step": 10, "train/loss": 2.0, "val/loss": 2.5, "perf/step_time_s": 1.5},
    {"step": 10, "eval/theory/accuracy": 0.5, "val/loss/books": None},
]
HOSTILE = "| a <script>alert(1)</script>\n```\n# b"


def artifact(folder: Path, recipe: str, kind: str, files: dict[str, str]) -> Artifact:
    config, _ = configuration.load([f"recipe={recipe}"])
    provenance = {"recipe": recipe, "config": public(config), "inputs": {}, "musicllm": "0.1.0"}
    with artifacts.writing(folder / "artifact", kind, folder.name, provenance) as (new, _):
        for name, text in files.items():
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_text(text)
    return artifacts.read(folder / "artifact")


def training(runs: Path, recipe: str, wandb_id: str | None) -> Path:
    """Write a finished training as its stage leaves it."""
    folder = runs / recipe / "0123456789ab"
    artifact(folder, recipe, "adapter", {})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    artifacts.write_json(folder / "plan.json", {"expected": {"step_time_s": 1.25, "mfu": None}})
    decides = {"settings": {"optimizer.lr": 0.001}}
    artifacts.write_json(folder / "identity.json", {"fingerprint": "ab", "decides": decides})
    if wandb_id is not None:
        (folder / "wandb" / f"offline-run-20261130_120000-{wandb_id}").mkdir(parents=True)
    return folder


def pipeline(runs: Path) -> list[str]:
    """Write a training, its evaluation and tunes; return the inputs of the stage."""
    sft = training(runs, "quickstart/sft", "sft0")
    results = {
        "models": {
            "model": {"theory": {"accuracy": 0.5}},
            "baseline": {"theory": {"accuracy": 0.25}},
        }
    }
    evaluation = artifact(
        runs / "evaluate", "quickstart/evaluate", "evaluation",
        {"results.json": json.dumps(results)},
    )  # fmt: skip
    tune = {"name": "001", "parses": True, "num_bars": 8, "num_bars_fitting": 7}
    lines = [
        {"prompt": "Write a reel.", "answer": make_tune(1), "name": "001", "skipped": "",
         "tunes": [tune]},
        {"prompt": HOSTILE, "answer": HOSTILE, "name": "002", "skipped": "", "tunes": []},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    files = {"generations.jsonl": text, "tunes/001.svg": "<svg/>", "tunes/001.wav": ""}
    tunes = artifact(runs / "generate", "quickstart/generate", "tunes", files)
    return [f"inputs.sft={sft}", f"inputs.evaluation={evaluation.path}",
            f"inputs.tunes={tunes.path}", "~inputs.pretrain", "~inputs.free"]  # fmt: skip


@pytest.fixture(autouse=True)
def without_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[wandb_server.Server]:
    """A server of wandb that has a key."""
    import wandb

    with wandb_server.serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        wandb.teardown()  # so that it reads the variables again
        yield server
        wandb.teardown()


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Run the stage; return the run folder."""

    def run(recipe: str, *words: str) -> Path:
        config, name = configuration.load([f"recipe={recipe}", f"paths.runs={tmp_path}", *words])
        check(config)
        return runner.run(config, name).folder

    return run


def written(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "artifact" / "definition.json").read_text())
    return content


def test_offline_the_definition_is_written(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training(tmp_path, "quickstart/pretrain", "id0")
    training(tmp_path, "quickstart/sft", None)
    folder = make("dashboard", "runs=[quickstart/pretrain,quickstart/sft]")
    content = written(folder)
    shown = {
        section["key"]: [p["key"] for p in section["panels"]] for section in content["sections"]
    }
    assert shown == {"losses": ["loss"], "speed": ["step_time"], "plan": ["step_time"],
                     "benchmarks": ["accuracy"]}  # fmt: skip
    assert content["left_out"]["losses.by_source"] == "no run has val/loss/*"
    assert content["report"] == []
    (run,) = content["runs"]
    assert run["wandb"] == "id0"
    printed = capsys.readouterr()
    assert "left out, since they were not logged to wandb: quickstart/sft" in printed.err
    assert (
        "wandb is offline: there is no key; wandb login stores one; nothing is sent" in printed.err
    )
    assert re.search(r"to send it +the same command, where wandb can be reached", printed.out)


def test_the_report_tells_of_the_pipeline(make: Make, tmp_path: Path) -> None:
    blocks = written(make("quickstart/dashboard", *pipeline(tmp_path)))["report"]
    headings = [block["text"] for block in blocks if block["block"] == "Heading"]
    assert headings == ["quickstart/sft", "quickstart/evaluate", "quickstart/generate",
                        "Tunes with score and sound", "Time"]  # fmt: skip
    text = "\n".join(block["markdown"] for block in blocks if block["block"] == "Text")
    assert "| eval/theory/accuracy | 0 | 0.25 | 10 | 0.5 |" in text
    assert "| perf/step_time_s | 1.25 | 1.5 | 1.2 |" in text
    assert "| accuracy | 0.5 | 0.25 |" in text
    assert "7 of 8 bars fit the metre" in text
    assert f"````\n{HOSTILE}\n````" in text
    of_run, of_tunes = [block for block in blocks if block["block"] == "Panels"]
    assert of_run["wandb_ids"] == ["sft0"]
    assert [panel["key"] for panel in of_run["panels"]] == [
        "loss", "step_time", "step_time", "accuracy",
    ]  # fmt: skip
    assert (of_tunes["runs"], of_tunes["panels"]) == ("samples", [])


def test_view_and_report_are_saved_and_later_replaced(
    make: Make, tmp_path: Path, server: wandb_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[list[str]] = []

    def log_tunes(_job: object, _settings: object, tunes: list[SampleTune]) -> None:
        logged.append([tune.text for tune in tunes])

    monkeypatch.setattr(dashboard, "_log_tunes", log_tunes)  # see the test of a run with them
    words = pipeline(tmp_path)
    folder = make("quickstart/dashboard", *words)
    view, report = server.of_type("project-view"), server.of_type("runs")
    assert (view["entityName"], view["projectName"]) == (wandb_server.ENTITY, "musicllm")
    assert (view["displayName"], report["displayName"]) == (
        "musicllm", "quickstart: before and after",
    )  # fmt: skip
    bank = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in bank] == [
        "Loss by source", "Speed and memory", "Plan against measured", "Benchmarks during training",
    ]  # fmt: skip
    kinds = [block["type"] for block in json.loads(report["spec"])["blocks"]]
    assert kinds.count("panel-grid") == 2
    assert logged == [[make_tune(1), HOSTILE]]
    sent = json.loads((folder / "sent.json").read_text())
    assert sent.keys() == {"view", "report"}
    assert server.num_saves == 2

    (tmp_path / "quickstart/sft/0123456789ab/metrics.jsonl").write_text(
        json.dumps({"step": 1, "train/loss": 1.0}) + "\n"
    )
    assert make("quickstart/dashboard", *words) == folder
    assert json.loads((folder / "sent.json").read_text()) == sent, "the same addresses"
    assert (server.num_saves, len(server.views)) == (4, 2)
    bank = json.loads(server.of_type("project-view")["spec"])["section"]["panelBankConfig"]
    assert [section["name"] for section in bank["sections"]] == ["Loss by source"]

    make("quickstart/dashboard", *words, "logger.wandb.project=other")
    assert [view["projectName"] for view in server.views.values()] == [
        "musicllm", "musicllm", "other", "other",
    ]  # fmt: skip


def test_what_was_deleted_in_wandb_is_saved_anew(
    make: Make,
    tmp_path: Path,
    server: wandb_server.Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    training(tmp_path, "quickstart/pretrain", "id0")
    folder = make("dashboard", "runs=[quickstart/pretrain]")
    url = json.loads((folder / "sent.json").read_text())["view"]
    server.views.clear()
    make("dashboard", "runs=[quickstart/pretrain]")
    assert f"{url} is gone; a new one is saved" in capsys.readouterr().err
    assert len(server.views) == 1


def test_runs_that_wait_for_their_upload_are_named(
    make: Make,
    tmp_path: Path,
    server: wandb_server.Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = training(tmp_path, "quickstart/pretrain", "id0")
    recording = folder / "wandb" / "offline-run-20261130_120000-id0"
    said = (
        f"quickstart/pretrain was recorded offline; its panels are empty until: wandb sync "
        f"{recording}\n"
    )
    make("dashboard", "runs=[quickstart/pretrain]")
    assert said in capsys.readouterr().err
    (recording / "run-id0.wandb.synced").touch()
    make("dashboard", "runs=[quickstart/pretrain]")
    assert said not in capsys.readouterr().err
    assert server.num_saves == 2


def test_written_tunes_are_a_run_with_score_and_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    inputs = pipeline(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    soundfile.write(tmp_path / "generate" / "artifact" / "tunes" / "001.wav", np.zeros(800), 8000)
    words = ["recipe=quickstart/dashboard", f"paths.runs={tmp_path}", *inputs]
    job = runner.bind(*configuration.load(words))
    job.folder.mkdir(parents=True)
    dashboard._log_tunes(job, job.config.logger["wandb"], tune_table(job.inputs["tunes"]))
    wandb.teardown()
    recording = Recording(job.folder / "wandb" / "latest-run")
    assert recording.run_id == job.fingerprint, "the run that the report shows"
    (line,) = [line for line in recording.history if "samples/path" in line]
    table = json.loads((job.folder / "wandb/latest-run/files" / line["samples/path"]).read_text())
    first, second = table["data"]
    assert first[1:3] == ["Write a reel.", make_tune(1)]
    assert first[3:] == ["Html", "Audio"], "files of the table's artifact"
    assert second[1:] == [HOSTILE, HOSTILE, None, None]
    (paths,) = [paths for name, paths in recording.artifacts.items() if "samples" in name]
    assert {Path(path).suffix for path in paths} == {".json", ".html", ".wav"}


def test_what_wandb_refuses_is_told(
    make: Make, tmp_path: Path, server: wandb_server.Server
) -> None:
    training(tmp_path, "quickstart/pretrain", "id0")
    server.refusal = "project not found"
    with pytest.raises(NotAvailableError) as raised:
        make("dashboard", "runs=[quickstart/pretrain]")
    text = str(raised.value)
    assert text.startswith("wandb refuses the dashboard: ")
    assert "project not found" in text
    assert "and project musicllm (logger.wandb)" in text
    assert text.endswith("wandb sync <run folder>/wandb/latest-run")


def test_runs_that_wandb_does_not_have_are_refused(make: Make, tmp_path: Path) -> None:
    training(tmp_path, "quickstart/pretrain", None)
    with pytest.raises(ArtifactError) as raised:
        make("dashboard", "runs=[quickstart/pretrain]")
    assert str(raised.value) == (
        "nothing was logged to wandb (quickstart/pretrain), so every panel would be empty; train "
        "with logger=[wandb], or show runs without wandb: recipe=report runs=[...]"
    )


def test_a_dashboard_without_values_is_refused(make: Make, tmp_path: Path) -> None:
    training(tmp_path, "quickstart/pretrain", "id0")
    panel = "{title:M,kind:lines,metrics:[mine/x],settings:[],log_scale:false}"
    section = f"dashboard.sections.mine={{title:Mine,is_open:true,panels:{{m:{panel}}}}}"
    with pytest.raises(ArtifactError) as raised:
        make("dashboard", "runs=[quickstart/pretrain]", "dashboard=none", section)
    assert str(raised.value) == (
        "no panel of dashboard.sections has a value of quickstart/pretrain: mine.m (no run has "
        "mine/x)"
    )


PANEL = "dashboard.sections.losses.panels.loss"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["runs=[]"], "runs=[] names no training; write runs=[<run>,<run>]"),
        (["dashboard=none"], "dashboard.sections={} shows nothing; write dashboard=default"),
        (["logger=[csv]"], "logger=[csv] must have one logger of kind wandb, whose project the "
         "dashboard belongs to; write logger=[wandb]"),
        (["logger.wandb.project=null"], "logger.wandb.project=null must be set: a dashboard "
         "belongs to a project; write musicllm"),
        ([f"{PANEL}.metrics=[]"], f"{PANEL}.metrics=[] names no metric"),
        ([f"{PANEL}.settings=[optimizer.lr]"], f"{PANEL}.settings=['optimizer.lr'] has no effect "
         "on a panel of kind lines; write []"),
        ([f"{PANEL}.kind=bars"], f"{PANEL}.kind=bars must be one of importance, lines, parallel, "
         "planned, tunes"),
        (["dashboard.sections.sweep.panels.settings.settings=[optimizer.lt]"],
         "dashboard.sections.sweep.panels.settings.settings=optimizer.lt is not a setting; did you "
         "mean optimizer.lr?"),
        (["dashboard.sections.samples.panels.tunes.metrics=[music/finished]"],
         "dashboard.sections.samples.panels.tunes.metrics=['music/finished'] are no tunes, which "
         "are logged as samples; write [samples]"),
        (["dashboard.sections.speed.title=Sweep"],
         "dashboard.sections=Sweep is the title of 2; give each its own"),
    ],
)  # fmt: skip
def test_wrong_settings_are_told(words: list[str], text: str) -> None:
    config, _ = configuration.load(["recipe=dashboard", *words])
    with pytest.raises(ConfigError) as raised:
        check(config)
    assert text in str(raised.value)
