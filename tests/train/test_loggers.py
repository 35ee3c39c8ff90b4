from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import wandb
from torch import nn

from musicllm.errors import NotAvailableError
from musicllm.music.render import abc_to_svg
from musicllm.music.render.kinds.png import svg_to_png
from musicllm.schema import LoggerConfig
from musicllm.train import loggers, metrics, wandb_mode
from musicllm.train.fit import TrainingRun
from musicllm.train.loggers import LoggedRun, tensorboard
from musicllm.train.loggers import wandb as wandb_kind
from musicllm.train.tunes import SampleReport, SampleTune
from tests.helpers import make_tune
from tests.train.conftest import CSV
from tests.train.offline_wandb import Recording

MakeRun = Callable[..., TrainingRun]

TENSORBOARD = dataclasses.replace(CSV, kind="tensorboard")
WANDB = dataclasses.replace(
    CSV, kind="wandb", project="tunes", mode="auto", tags=["quick"], log_artifact=True
)


@pytest.fixture
def without_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    yield
    loggers.close()


def build(settings: LoggerConfig, folder: Path) -> Any:
    ((_, logger),) = loggers.build([settings], LoggedRun(folder, 0, "0123", {"seed": 1}))
    return logger


def lines(run: TrainingRun) -> list[dict[str, Any]]:
    return list(metrics.read(run.folder / metrics.NAME))


def write_tune(_model: nn.Module, step: int, folder: Path | None) -> SampleReport:
    assert folder is not None
    tune = make_tune(step)
    (folder / "001.png").write_bytes(svg_to_png(abc_to_svg(tune)))
    soundfile.write(folder / "001.wav", np.zeros(800), 8000)
    made = SampleTune("X:1", tune, folder / "001.png", folder / "001.wav")
    return SampleReport(
        {"music/parse_share": 1.0}, [made, SampleTune("X:1", "no tune", None, None)]
    )


def test_every_logger_has_the_names_of_metrics_jsonl(make_run: MakeRun) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the extra tensorboard is not installed",
    )
    run = make_run(
        loggers=(CSV, TENSORBOARD), max_steps=2, flops_per_token=1e6, peak_flops_per_s=1e12
    )
    run.fit()
    names = {name for line in lines(run) for name in line} - {"step"}
    assert names == {
        "train/loss", "train/perplexity", "train/grad_norm", "train/learning_rate",
        "perf/tokens_per_s", "perf/supervised_tokens_per_s", "perf/mfu", "perf/step_time_s",
        "perf/data_wait_s", "perf/memory_peak_gb", "val/loss", "val/perplexity",
    }  # fmt: skip
    head, *rows = (run.folder / "csv" / "from-step-0" / "metrics.csv").read_text().splitlines()
    assert set(head.split(",")) == names | {"step"}
    assert len(rows) == 3, "two steps and a validation"
    events = accumulator.EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == names
    told = [(event.step, event.value) for event in events.Scalars("train/loss")]
    logged = [(line["step"], line["train/loss"]) for line in lines(run) if "train/loss" in line]
    assert told == [(step, pytest.approx(loss, rel=1e-6)) for step, loss in logged]


@pytest.mark.usefixtures("without_key")
def test_an_offline_recording_holds_the_whole_run(make_run: MakeRun, tmp_path: Path) -> None:
    shown = {"seed": 11, "plan": {"num_steps": 4}, "corpus": {"sources": ["music", "text"]}}

    def part(max_steps: int) -> TrainingRun:
        run = make_run(
            loggers=(WANDB,), logged_settings=shown, samples_every_steps=2, max_steps=max_steps,
            checkpoint_every_steps=1,
        )  # fmt: skip
        object.__setattr__(run, "write_samples", write_tune)
        return run

    part(2).fit()
    loggers.close()
    run = part(4)
    assert run.fit().start_step == 2
    made = tmp_path / "artifact"
    made.mkdir()
    (made / "adapter_model.safetensors").write_bytes(b"weights")
    loggers.log_artifact(
        (CSV, WANDB), LoggedRun(run.folder, 4, run.identity, shown), made, "adapter"
    )
    loggers.close()
    wandb.teardown()  # its process has written everything when it is gone

    first, _ = sorted((run.folder / "wandb").glob("offline-run-*"))
    recording = Recording(run.folder / "wandb" / "latest-run")
    assert Recording(first).run_id == recording.run_id == run.identity, "one run in wandb"
    assert {name: recording.config[name] for name in shown} == shown
    told = [line for line in recording.history if "samples/path" not in line]
    assert [line.pop(wandb_kind.STEP) for line in told] == [line["step"] for line in lines(run)]
    assert told == [{k: v for k, v in line.items() if k != "step"} for line in lines(run)]
    assert recording.artifacts[f"adapter-{run.identity}"] == ["adapter_model.safetensors"]

    tables = [line["samples/path"] for line in recording.history if "samples/path" in line]
    assert len(tables) == 2, "of steps 2 and 4"
    folder = run.folder / "wandb" / "latest-run" / "files"
    table = json.loads((folder / tables[1]).read_text())
    assert table["columns"] == ["step", "prompt", "text", "score", "sound"]
    first_row, second_row = table["data"]
    assert first_row[:3] == [4, "X:1", make_tune(4)]
    assert second_row == [4, "X:1", "no tune", None, None]
    of_tables = [paths for name, paths in recording.artifacts.items() if "samples" in name]
    for paths in of_tables:
        assert {Path(path).suffix for path in paths} == {".json", ".png", ".wav"}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (tensorboard, wandb_kind):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(
        NotAvailableError, match=r"^logger tensorboard needs a package: pip install"
    ):
        build(TENSORBOARD, tmp_path)
    with pytest.raises(
        NotAvailableError, match=r"^logger wandb needs a package: pip install wandb"
    ):
        build(WANDB, tmp_path)


def test_other_ranks_log_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RANK", "1")
    assert loggers.build([CSV, WANDB], LoggedRun(tmp_path, 0, "0123", {})) == []


@pytest.mark.parametrize(
    ("mode", "key", "reason"),
    [("auto", "", "there is no key; wandb login stores one"), ("auto", "made-up", ""),
     ("offline", "made-up", "as configured"), ("online", "", "")],
)  # fmt: skip
def test_wandb_is_offline_without_a_key_and_says_how_to_upload(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    key: str,
    reason: str,
) -> None:
    offline = bool(reason)
    seen: dict[str, Any] = {}

    def init(**given: Any) -> Any:
        seen.update(given)
        return SimpleNamespace(define_metric=lambda *_, **__: None)

    monkeypatch.setattr("wandb.init", init)
    monkeypatch.setattr(wandb_mode, "unreachable", lambda _: "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", key)
    build(dataclasses.replace(WANDB, mode=mode, log_artifact=False), tmp_path)
    assert seen["mode"] == ("offline" if offline else "online")
    assert seen["resume"] == (None if offline else "allow")
    assert (seen["id"], seen["project"], seen["config"]) == ("0123", "tunes", {"seed": 1})
    assert capsys.readouterr().err == (
        f"wandb is offline: {reason}; to upload: wandb sync {tmp_path}/wandb/latest-run\n"
        if offline
        else ""
    )
