from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from musicllm.bench.machine import describe_machine
from musicllm.bench.measuring import Contestant, Timing, in_fresh_process, measure, rows_of
from musicllm.bench.results import BenchResult
from musicllm.errors import StageError


def note(path: Path, name: str, seconds: float) -> float:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{name} {os.getpid()}\n")
    return seconds


def die() -> float:
    os._exit(9)


def test_a_timing_is_summed_up_by_its_median() -> None:
    timing = Timing((2.0, 8.0, 4.0), amount=100, unit="tokens")
    assert (timing.rate, timing.spread) == (25.0, 1.5)
    assert timing.as_json() == {
        "rate": 25.0,
        "unit": "tokens/s",
        "median_s": 4.0,
        "seconds": [2.0, 8.0, 4.0],
        "spread": 1.5,
    }
    assert rows_of({"ours": timing}) == [("ours", "25 tokens/s", "4.00", "150%", 3)]


def test_contestants_take_turns_each_in_a_process_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    contestants = {
        name: Contestant(partial(note, log, name, seconds), 10, "tokens")
        for name, seconds in (("a", 1.0), ("b", 2.0))
    }
    timings = measure(contestants, 2)
    names, pids = zip(*(line.split() for line in log.read_text().splitlines()), strict=True)
    assert names == ("a", "b", "b", "a")
    assert len({*pids, str(os.getpid())}) == 5
    assert {name: timing.rate for name, timing in timings.items()} == {"a": 10.0, "b": 5.0}


def test_a_contestant_that_dies_says_what_to_do() -> None:
    with pytest.raises(StageError, match=r"measured process died.*bench\.num_documents"):
        in_fresh_process(die)


def test_findings_hold_the_keys_of_bench_json() -> None:
    found = BenchResult({"vs": 0.5}, {"vs": "at least 0.7"}, {"a": Timing((2.0,), 10, "tokens")})
    content = found.as_json()
    assert content["ratios"] == {"vs": 0.5}
    assert (content["medians"], content["spread"]) == ({"a": 5.0}, {"a": 0.0})


def test_a_machine_is_described_by_what_bears_on_its_speed() -> None:
    machine = describe_machine()
    assert machine["cores"] == len(os.sched_getaffinity(0))
    assert machine["processor"]
    assert machine["packages"]["tokenizers"]
