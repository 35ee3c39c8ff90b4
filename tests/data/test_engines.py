from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from musicllm.data.engines import LocalEngine, base, make_engine
from musicllm.errors import ConfigError, NotAvailableError, Problem, StageError
from musicllm.music.abc import AbcError
from tests.waiting import PATIENCE_S, has_ended, wait_for


def square(number: int) -> tuple[int, int, str | None]:
    return number * number, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def fail(number: int) -> int:
    if number == 3:
        raise ConfigError([Problem("data.x", number, "is three"), Problem("data.y", 1, "too")])
    if number == 5:
        raise AbcError("is five", line=5, column=1)
    assert number != 7, "seven"
    return number


def give_a_lock(number: int) -> object:
    return (lambda: number) if number else number


@dataclass(frozen=True)
class Slow:
    """Writes a file after a while, or dies on the way."""

    folder: Path
    dies: bool = False

    def __call__(self, number: int) -> int:
        (self.folder / f"started-{number}").touch()
        if self.dies and number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02 if number else 0.3)
        return number


def test_results_come_in_order_from_several_processes_of_one_thread() -> None:
    results = list(LocalEngine(2).map(square, range(20), "squaring"))
    assert [result[0] for result in results] == [n * n for n in range(20)]
    assert {result[2] for result in results} == {"1"}
    assert os.getpid() not in {result[1] for result in results}


@pytest.mark.parametrize(("num_workers", "num_items"), [(1, 5), (4, 1), (2, 0)])
def test_one_worker_or_one_item_needs_no_other_process(num_workers: int, num_items: int) -> None:
    results = list(LocalEngine(num_workers).map(square, range(num_items), "squaring"))
    assert [result[1] for result in results] == [os.getpid()] * num_items


def test_the_machines_cores_are_the_default() -> None:
    assert LocalEngine().num_workers == len(os.sched_getaffinity(0))


def test_an_error_of_the_user_arrives_as_it_was_raised() -> None:
    results = LocalEngine(2).map(fail, range(6), "failing")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ConfigError) as caught:
        next(results)
    assert str(caught.value) == (
        "2 problems in the configuration:\n  data.x=3 is three\n  data.y=1 too"
    )
    assert caught.value.problems[0] == Problem("data.x", 3, "is three")
    assert not hasattr(caught.value, "__notes__")


def test_an_error_with_places_keeps_them() -> None:
    with pytest.raises(AbcError, match="line 5, column 1: is five") as caught:
        list(LocalEngine(2).map(fail, [5, 5], "failing"))
    assert (caught.value.reason, caught.value.line) == ("is five", 5)


def test_a_bug_carries_the_workers_traceback() -> None:
    with pytest.raises(AssertionError, match="seven") as caught:
        list(LocalEngine(2).map(fail, [7, 7], "failing"))
    assert "in fail" in caught.value.__notes__[0]


def test_a_result_that_cannot_be_pickled_is_an_error_and_no_dead_worker() -> None:
    with pytest.raises(Exception, match="give_a_lock"):
        list(LocalEngine(2).map(give_a_lock, [0, 1], "giving"))


def test_few_items_are_started_before_their_turn(tmp_path: Path) -> None:
    results = LocalEngine(2).map(Slow(tmp_path), range(40), "working")
    assert next(results) == 0
    assert len(list(tmp_path.iterdir())) <= 8
    assert list(results) == list(range(1, 40))


def test_a_killed_worker_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        list(LocalEngine(2).map(Slow(tmp_path, dies=True), range(4), "reading"))
    assert str(caught.value) == (
        "reading: a worker process was killed by SIGKILL, as the system does when memory runs "
        "out; run the same command again, which continues where it stopped, with fewer workers "
        "(engine.num_workers=1 needs the least memory)"
    )


WAITS = """
import sys, signal, time
from musicllm.data.engines import LocalEngine
signal.signal(signal.SIGINT, signal.default_int_handler)
list(LocalEngine(2).map(time.sleep, [6000.0, 6001.0], "sleeping"))
"""


def _family(pid: int) -> set[int]:
    """Return what a process has started when all of it is there, or nothing."""
    family = {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return family if len(family) >= 4 else set()


@pytest.mark.parametrize(
    "stop",
    [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM, signal.SIGKILL],
)
def test_stopping_the_caller_ends_the_workers_at_once(stop: signal.Signals) -> None:
    caller = subprocess.Popen([sys.executable, "-c", WAITS], stderr=subprocess.PIPE, text=True)
    # resource tracker, server, two workers
    family = wait_for(lambda: _family(caller.pid), caller)
    caller.send_signal(stop)
    for pid in family:
        wait_for(partial(has_ended, pid))
    said = caller.communicate(timeout=PATIENCE_S)[1]
    assert said.count("Traceback") == (stop == signal.SIGINT)


def test_settings_that_make_no_sense_come_together() -> None:
    with pytest.raises(ConfigError) as caught:
        make_engine("locl", 0)
    assert str(caught.value) == (
        "2 problems in the configuration:\n"
        "  engine.name=locl is no engine; there are local and ray\n"
        "  engine.num_workers=0 is less than 1; write null for all cores"
    )
    with pytest.raises(ConfigError, match=r"engine.address=auto is the address of a Ray cluster"):
        make_engine("local", address="auto")


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        NotAvailableError, match=r"pip install musicllm\[ray\], or take engine=local"
    ):
        make_engine("ray")


def test_an_answer_is_opened_where_it_is_wanted() -> None:
    assert base.outcome(base.Task(len).attempt(pickle.dumps("four"))) == 4
