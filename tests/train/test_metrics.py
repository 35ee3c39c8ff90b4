from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"null", "it is not a JSON object"),
        (b"[1, 2]", "it is not a JSON object"),
        (b'{"train/loss": 1.0}', "it has no step"),
        (b'{"step": "2"}', "its step is not a number of steps"),
        (b'{"step": 2.5}', "its step is not a number of steps"),
        (b'{"step": 2, "train/loss": "low"}', "its train/loss is not a number"),
        (b'{"step": 2, "train/loss": 1e999}', "its train/loss is not a number"),
        (b'{"step": 2, "train/lo', "it is not JSON"),
        (b'{"step": 2}{"step": 3}', "it is not JSON"),
        (b"\0\0\0", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"step": 2, "\xff\xfe": 1}', "it is not UTF-8"),
    ],
)
def test_a_damaged_line_hides_no_other(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3}\nnull\n{"step": 4, "lo')
    lines, damage = metrics.read_whole(path)
    assert lines == [{"step": 1}, {"step": 3}], "the last one is being written"
    assert damage == metrics.Damage(2, 2, reason)
    assert str(damage) == f"2 lines are damaged and left out, the first is line 2: {reason}"


def test_a_last_line_without_end_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert metrics.read_whole(path) == ([], None)
    path.write_bytes(b'{"step": 1, "a": NaN}\r\n\n{"step": 2}')
    assert metrics.read_whole(path) == ([{"step": 1, "a": None}, {"step": 2}], None)
    path.write_bytes(b'{"step": 1}\n\0\0')
    assert metrics.read_whole(path) == ([{"step": 1}], None)
