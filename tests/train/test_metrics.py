from __future__ import annotations

from pathlib import Path

from musicllm.train import metrics


def test_lines_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics.append(path, 1, {"train/loss": 2.5})
    metrics.append(path, 2, {"train/loss": float("nan"), "train/grad_norm": float("inf")})
    assert list(metrics.read(path)) == [
        {"step": 1, "train/loss": 2.5},
        {"step": 2, "train/loss": None, "train/grad_norm": None},
    ]


def test_cutting_leaves_no_step_twice_and_repairs_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        metrics.append(path, step, {"train/loss": float(step)})
    with path.open("a") as file:
        file.write('{"step": 4, "trai')
    metrics.truncate(path, 2)
    metrics.append(path, 3, {"train/loss": 3.5})
    assert [line["train/loss"] for line in metrics.read(path)] == [1.0, 2.0, 3.5]


def test_the_last_value_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert metrics.last(path, "val/loss") is None
    metrics.append(path, 1, {"val/loss": 2.0})
    metrics.append(path, 2, {"val/loss": 1.0})
    metrics.append(path, 3, {"train/loss": 9.0})
    assert metrics.last(path, "val/loss") == 1.0
