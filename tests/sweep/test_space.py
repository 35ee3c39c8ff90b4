"""Hydra's syntax of lists, ranges and intervals, and what a sweep may not go over."""

from __future__ import annotations

import pytest

from musicllm.errors import ConfigError
from musicllm.sweep import space
from musicllm.sweep.search import Draw, Grid
from musicllm.sweep.space import Axis, Interval


def test_lists_ranges_and_choices_are_swept_and_the_rest_stays() -> None:
    found = space.parse(
        ["recipe=sft", "optimizer.lr=1e-4,2e-4", "adapter.r=choice(16,64)", "seed=range(1,4)"]
    )
    assert found.fixed == ("recipe=sft",)
    assert found.axes == (
        Axis("optimizer.lr", ("0.0001", "0.0002")),
        Axis("adapter.r", ("16", "64")),
        Axis("seed", ("1", "2", "3")),
    )
    assert found.words({"seed": 2}) == ("recipe=sft", "seed=2")


def test_a_list_of_lists_sweeps_lists_and_one_list_is_a_value() -> None:
    found = space.parse(["adapter.targets=[attention],[mlp]", "benchmark=[theory,mmlu]"])
    assert found.fixed == ("benchmark=[theory,mmlu]",)
    assert found.axes == (Axis("adapter.targets", ("[attention]", "[mlp]")),)


def test_intervals_are_whole_when_cast_and_logarithmic_when_tagged() -> None:
    found = space.parse(
        ["optimizer.lr=tag(log,interval(1e-5,1e-3))", "adapter.r=int(interval(4,64))"]
    )
    lr, rank = (axis.values for axis in found.axes)
    assert lr == Interval(1e-5, 1e-3, log=True)
    assert rank == Interval(4, 64, log=False)
    assert isinstance(rank, Interval)
    assert isinstance(rank.low, int)
    assert found.corner() == {"optimizer.lr": 1e-5, "adapter.r": 4}


def test_the_grid_is_every_combination_the_last_setting_changing_fastest() -> None:
    grid = Grid(space.parse(["seed=1,2", "adapter.r=16,64"]))
    assert grid.num_jobs == 4
    drawn = [grid.ask() for _ in range(5)]
    assert drawn[0] == Draw(0, {"seed": "1", "adapter.r": "16"})
    assert drawn[1] == Draw(1, {"seed": "1", "adapter.r": "64"})
    assert drawn[3] == Draw(3, {"seed": "2", "adapter.r": "64"})
    assert drawn[4] is None


def test_without_a_swept_setting_there_is_one_job() -> None:
    grid = Grid(space.parse(["recipe=sft"]))
    assert (grid.num_jobs, grid.ask(), grid.ask()) == (1, Draw(0, {}), None)


def refused(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Grid(space.parse(words))
    return "; ".join(map(str, caught.value.problems))


def test_a_grid_refuses_an_interval() -> None:
    assert refused("optimizer.lr=interval(0.1,1)") == (
        "optimizer.lr=interval(0.1,1.0) has no steps, so a grid cannot try all of it; write a "
        "list, or sweep=optuna"
    )


def test_what_holds_for_the_whole_sweep_is_not_swept() -> None:
    assert refused("launcher.num_parallel=1,2", "name=a,b") == (
        "launcher.num_parallel=<several values> holds for the whole sweep; give it one value; "
        "name=<several values> holds for the whole sweep; give it one value"
    )


def test_globs_and_bad_grammar_are_refused() -> None:
    assert refused("data=glob(*)") == ("data=glob(*) names no values; write the options, as in a,b")
    assert "command=nonsense is not a setting; write group=option" in refused("nonsense")
