"""The search by Optuna: what it draws, and how it continues."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musicllm.errors import NotAvailableError
from musicllm.sweep import space
from musicllm.sweep.optuna_search import OptunaSearch
from musicllm.sweep.search import Draw

pytest.importorskip("optuna")

SWEPT = space.parse(["lr=tag(log,interval(1e-4,1e-1))", "r=int(interval(4,8))", "kind=a,b"])


def search(folder: Path, num_trials: int, direction: str = "minimize") -> OptunaSearch:
    return OptunaSearch(
        SWEPT,
        folder / "optuna.db",
        num_trials=num_trials,
        study="val/loss",
        direction=direction,
        seed=1,
    )


def drawn(found: OptunaSearch) -> Draw:
    draw = found.ask()
    assert draw is not None
    return draw


def test_values_lie_in_their_ranges_and_can_be_written_by_hand(tmp_path: Path) -> None:
    found = search(tmp_path, 3)
    for _ in range(3):
        values = drawn(found).values
        assert isinstance(values["lr"], float)
        assert 1e-4 <= values["lr"] <= 1e-1
        assert len(f"{values['lr']:.5g}") >= len(str(float(f"{values['lr']:.5g}"))) - 3
        assert values["r"] in range(4, 9)
        assert values["kind"] in ("a", "b")
    assert found.ask() is None


def test_it_continues_with_what_it_knows_and_draws_nothing_twice(tmp_path: Path) -> None:
    first = search(tmp_path, 2)
    known = [drawn(first), drawn(first)]
    for draw in known:
        first.tell(draw.number, 1.0)
    again = search(tmp_path, 4)
    assert again.num_jobs == 4
    assert [drawn(again), drawn(again)] == known
    again.tell(known[0].number, 1.0)  # known already: nothing happens
    new = [drawn(again), drawn(again)]
    assert all(draw.values not in [one.values for one in known] for draw in new)
    assert again.ask() is None


def test_what_failed_or_was_left_behind_is_tried_again(tmp_path: Path) -> None:
    first = search(tmp_path, 2)
    failed, left = drawn(first), drawn(first)
    first.tell(failed.number, None)
    again = search(tmp_path, 2)
    assert [drawn(again).values, drawn(again).values] == [failed.values, left.values]
    assert again.ask() is None


def test_it_learns_which_direction_is_better(tmp_path: Path) -> None:
    found = search(tmp_path, 20, "maximize")
    values = []
    while (draw := found.ask()) is not None:
        lr = draw.values["lr"]
        assert isinstance(lr, float)
        values.append(lr)
        found.tell(draw.number, lr)
    assert sum(values[-5:]) > 2 * sum(values[:5])


def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(NotAvailableError, match=r"^sweep=optuna needs the extra: pip install mus"):
        search(tmp_path, 2)
