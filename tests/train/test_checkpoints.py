from __future__ import annotations

from pathlib import Path

import pytest
import torch

from musicllm import artifacts
from musicllm.train import checkpoints

IDENTITY = "0123456789ab"


def save(run: Path, step: int, identity: str = IDENTITY) -> Path:
    weights = {"a": torch.full((2, 3), float(step)), "b": torch.arange(4.0)[::2]}
    return checkpoints.save(run, step, identity, weights, {"optimizer": {"step": step}})


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    path = save(tmp_path, 12)
    assert path == tmp_path / "checkpoints" / "step-00000012"
    found = checkpoints.newest(tmp_path, IDENTITY)
    assert found is not None
    assert found.step == 12
    assert found.weights()["a"].tolist() == [[12.0] * 3] * 2
    assert found.weights()["b"].tolist() == [0.0, 2.0]
    assert found.state() == {"optimizer": {"step": 12}}


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path, IDENTITY) is None


@pytest.mark.parametrize("file", ["weights.safetensors", "state.pt", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_one_is_named_and_the_one_before_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, damage: str
) -> None:
    save(tmp_path, 5)
    damaged = save(tmp_path, 10) / file
    content = damaged.read_bytes()
    damaged.unlink()
    if damage == "cut":
        damaged.write_bytes(content[:-3])
    found = checkpoints.newest(tmp_path, IDENTITY)
    assert found is not None
    assert found.step == 5
    said = capsys.readouterr().err
    assert said.startswith(f"skipping the damaged checkpoint {damaged.parent}: ")
    assert file in said


def test_one_of_another_job_is_named_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path, 5, "ba9876543210")
    assert checkpoints.newest(tmp_path, IDENTITY) is None
    expected = f"skipping the checkpoint {path}: it was made with other settings or inputs\n"
    assert capsys.readouterr().err == expected


def test_a_save_that_fails_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 5)

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(artifacts, "write_json", full_disk)
    with pytest.raises(OSError, match="no space"):
        save(tmp_path, 10)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]


def test_only_the_last_ones_and_nothing_half_written_stay(tmp_path: Path) -> None:
    for step in (3, 6, 100000000):
        save(tmp_path, step)
    (tmp_path / "checkpoints" / ".step-00000006.123").mkdir()
    checkpoints.keep_last(tmp_path, 2)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000006", "step-100000000"]
