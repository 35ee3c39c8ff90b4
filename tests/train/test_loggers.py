from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicllm.errors import NotAvailableError
from musicllm.train import loggers
from musicllm.train.fit import TrainingRun
from musicllm.train.loggers import LoggerSpec

CSV = LoggerSpec("csv", None, None, None, ())
WANDB = LoggerSpec("wandb", "tunes", None, "auto", ("quick",))


def build(spec: LoggerSpec, folder: Path) -> Any:
    (made,) = loggers.build([spec], folder, start_step=0, run_id="0123", settings={"seed": 1})
    return made


def test_csv_has_the_metrics_of_every_start(make_run: Callable[..., TrainingRun]) -> None:
    run = make_run(loggers=(CSV,), max_steps=2)
    run.fit()
    head, *rows = (run.folder / "csv" / "from-step-0" / "metrics.csv").read_text().splitlines()
    assert "train/loss" in head
    assert len(rows) == 3, "two steps and a validation"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    with pytest.raises(
        NotAvailableError, match=r"^logger tensorboard needs a package: pip install"
    ):
        build(LoggerSpec("tensorboard", None, None, None, ()), tmp_path)
    with pytest.raises(
        NotAvailableError, match=r"^logger wandb needs a package: pip install wandb"
    ):
        build(WANDB, tmp_path)


def test_a_key_is_found_in_the_environment_or_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert not loggers.has_wandb_key()
    monkeypatch.setenv("WANDB_API_KEY", "made-up")
    assert loggers.has_wandb_key()
    monkeypatch.delenv("WANDB_API_KEY")
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password made-up\n")
    netrc.chmod(0o600)
    assert loggers.has_wandb_key()


@pytest.mark.parametrize(
    ("mode", "key", "offline"),
    [("auto", "", True), ("auto", "made-up", False), ("offline", "made-up", True),
     ("online", "", False)],
)  # fmt: skip
def test_wandb_is_offline_without_a_key_and_says_how_to_upload(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    key: str,
    offline: bool,
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", lambda **given: seen.update(given))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", key)
    build(LoggerSpec("wandb", "tunes", None, mode, ("quick",)), tmp_path)
    assert seen["offline"] is offline
    assert seen["project"] == "tunes"
    assert seen["config"] == {"seed": 1}
    command = f"wandb sync {tmp_path}/wandb/offline-run-*"
    assert (command in capsys.readouterr().err) is offline
