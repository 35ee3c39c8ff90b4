"""Panels on a page: what is drawn, and figures that are computed by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from musicllm.report.dashboard import watched
from musicllm.report.dashboard.figures import (
    MAX_POINTS,
    Line,
    line_figure,
    parallel_figure,
    thinned,
)
from musicllm.report.dashboard.panels import PANELS
from musicllm.report.dashboard.panels.importance import explained
from musicllm.schema import PanelConfig
from tests.report.watched_folders import begin, step

PANEL = PanelConfig("Loss", "lines", ["train/loss", "val/loss"], [], log_scale=False)


def run(folder: Path, settings: dict[str, object], loss: float) -> watched.WatchedRun:
    begin(folder, settings)
    step(folder, 1, train_loss=9.0)
    step(folder, 2, train_loss=loss)
    return watched.read(folder, folder.name)


def test_a_long_curve_keeps_its_ends_and_its_peaks() -> None:
    points = [(step, 1.0) for step in range(50_000)]
    points[31_415], points[27_182] = (31_415, 99.0), (27_182, -99.0)
    kept = thinned(points)
    assert len(kept) <= MAX_POINTS + 2
    assert kept == sorted(kept)
    assert {points[0], points[-1], points[31_415], points[27_182]} <= set(kept)
    assert thinned(points[:MAX_POINTS]) == points[:MAX_POINTS]


def test_lines_have_names_until_there_are_too_many() -> None:
    few = [Line(f"run {number}", [(1, 2.0), (2, 1.0)]) for number in range(3)]
    picture = line_figure(few, "Loss", "few", log_scale=False)
    assert all(line.label in picture for line in few)
    assert 'aria-label="Loss over the optimizer steps"' in picture
    many = [dataclasses.replace(few[0], label=f"run {number}") for number in range(11)]
    assert "run 3" not in line_figure(many, "Loss", "many", log_scale=False)


def test_values_that_a_logarithmic_axis_lacks_are_left_out() -> None:
    line = Line("loss", [(1, 0.0), (2, 10.0), (3, 100.0)])
    picture = line_figure([line], "Norm", "norm", log_scale=True)
    assert ">10<" in picture
    assert ">100<" in picture
    assert "10^" not in picture


def test_labels_say_only_what_differs(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", {}, 2.0), run(tmp_path / "b", {}, 3.0)
    kind = PANELS["lines"]
    alone = kind.on_page(PANEL, kind.fill(PANEL, [first]), [first])
    assert alone.picture is not None
    assert ">train/loss<" in alone.picture
    both = kind.on_page(PANEL, kind.fill(PANEL, [first, second]), [first, second])
    assert both.picture is not None
    assert ">a<" in both.picture
    assert ">b<" in both.picture


def test_parallel_coordinates_have_numbers_by_size_and_words_in_order() -> None:
    axes = {"optimizer.lr": [1e-3, 1e-2, None], "optimizer.name": ["adamw", "muon", "adamw"],
            "val/loss": [2.5, 2.25, 3.0]}  # fmt: skip
    picture = parallel_figure(axes, "Settings", "settings", log_scale=False)
    for text in ("optimizer.lr", "val/loss", " 0.001", " 0.01", " adamw", " muon", " 2.25", " 3"):
        assert f">{text}<" in picture, text


@pytest.mark.parametrize(
    ("values", "results", "share"),
    [
        ([1, 2, 3, 4], [9.0, 5.0, 4.0, 1.0], 1.0),  # the order is the reverse one
        ([1, 2, 3, 4], [1.0, 1.0, 1.0, 1.0], 0.0),
        ([1, 2, 3], [1.0, 3.0, 2.0], 0.25),  # Spearman's rho is 0.5
        (["a", "a", "b", "b"], [1.0, 1.0, 3.0, 3.0], 1.0),
        # the sum of squares is 1 in the groups and 17 in all: 1 - (1 / 2) / (17 / 3)
        (["a", "a", "b", "b"], [1.0, 2.0, 5.0, 6.0], 1 - 1.5 / 17),
        (["a", "b", "c"], [1.0, 2.0, 3.0], 0.0),  # no two results in a group
        ([True, True, False, False], [1.0, 3.0, 1.0, 3.0], 0.0),
    ],
)
def test_importance_is_a_share_of_the_variance(
    values: list[object], results: list[float], share: float
) -> None:
    assert explained(values, results) == pytest.approx(share)


def test_bars_of_importance_are_in_order(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / str(n), {"lr": rate, "warm": warm}, loss)
        for n, (rate, warm, loss) in enumerate([(1, 3, 2.0), (2, 1, 3.0), (3, 2, 4.0)])
    ]
    panel = PanelConfig("Importance", "importance", ["train/loss"], [], log_scale=False)
    kind = PANELS["importance"]
    (chart,) = kind.on_page(panel, kind.fill(panel, runs), runs).charts
    assert [(bar.label, bar.value) for bar in chart.bars] == [("lr", "100%"), ("warm", "25%")]
    assert chart.caption == "Last train/loss of 3 runs"
