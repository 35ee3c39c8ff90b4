"""Which of several answers is selected, and what the summary says of those without a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from musicllm.music.grammar import TuneRules
from musicllm.serve.selection import Selection
from musicllm.serve.tally import Tally
from musicllm.serve.writing import breach


def line(candidate: int, value: float | None, *, finished: bool) -> dict[str, Any]:
    measures = {"as_asked": value}
    return {"candidate": candidate, "skipped": "", "finished": finished, "measures": measures}


def test_of_equal_ones_the_first_finished_one_is_selected_and_kept() -> None:
    selection = Selection("as_asked", keep=True, min_score=0.5)
    equal = [line(0, 1.0, finished=False), line(1, 1.0, finished=True), line(2, 1.0, finished=True)]
    assert selection.best(equal)["candidate"] == 1
    assert selection.is_kept(equal[1])
    better = [line(0, 0.9, finished=True), line(1, 1.0, finished=False)]
    assert selection.best(better)["candidate"] == 1
    assert selection.best(equal[:1])["candidate"] == 0


def test_without_a_value_the_order_decides_and_nothing_is_kept() -> None:
    selection = Selection("as_asked", keep=True, min_score=0.0)
    lines = [line(0, None, finished=False), line(1, None, finished=True)]
    assert selection.best(lines)["candidate"] == 1
    assert not selection.is_kept(lines[1])


def test_means_are_of_what_was_measured_and_the_summary_says_how_many(tmp_path: Path) -> None:
    tally = Tally("as_asked", 2)
    rest = {"num_new_tokens": 1, "is_kept": False, "tunes": [], "id": "1", "name": "1"}
    rest |= {"try": 1, "num_tries": 1, "num_tokens_of_tries": 1, "faults": ["none"]}
    for value in (0.5, None, 0.25):
        own = line(0, value, finished=True) | rest
        tally.add({**own, "score": value, "mean_score": value})
    metrics = tally.metrics()
    assert (metrics["score"], metrics["mean_score"]) == (0.375, 0.375)
    assert (metrics["num_with_conditions"], metrics["num_measured"]) == (2, 2)
    rows = dict(tally.rows(tmp_path, keeps=True))
    assert rows["prompts with conditions"] == "2 of 3 (66.7%)"
    assert rows["best by as_asked"] == "0.375; all 2 candidates 0.375"
    assert rows["without as_asked"] == (
        "1 with nothing to measure, such as no condition in the prompt; the first finished "
        "candidate is taken; not kept"
    )
    none = Tally("as_asked", 2)
    none.add({**line(0, None, finished=True), **rest, "score": None, "mean_score": None})
    assert none.metrics()["score"] is None
    assert "best by as_asked" not in dict(none.rows(tmp_path, keeps=False))


def test_a_breach_of_the_rules_is_told_with_its_place() -> None:
    tune = "X:1\nL:1/8\nM:4/4\nK:D\nABcd ABcd|ABcd ABcd|]\n"
    assert breach(tune, TuneRules(required=True)) == ""
    assert breach("none", TuneRules()) == ""
    assert breach("none", TuneRules(required=True)) == "it ends within a tune, or without one"
    assert breach(tune, TuneRules(metre="3/4")).startswith("line 3, column ")
