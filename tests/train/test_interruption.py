from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from musicllm.train.interruption import REQUEUE_EXIT_CODE, SIGNALS, Interruption


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    listener = Interruption()
    listener.listen()
    yield listener
    listener.ignore()


def test_a_second_ctrl_c_is_not_held_back(interruption: Interruption) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert interruption.signal == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_slurm_may_repeat_itself(interruption: Interruption, number: signal.Signals) -> None:
    for sent in (number, signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), sent)
    assert interruption.signal == number


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)]
)
def test_exit_codes(interruption: Interruption, number: signal.Signals, code: int) -> None:
    os.kill(os.getpid(), number)
    assert interruption.exit_code == code


def test_a_rank_that_no_signal_reached_asks_to_be_started_again() -> None:
    assert Interruption().exit_code == REQUEUE_EXIT_CODE == os.EX_TEMPFAIL


def test_who_had_the_signals_gets_them_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    interruption = Interruption()
    interruption.listen()
    assert all(signal.getsignal(number) != was for number, was in zip(SIGNALS, before, strict=True))
    interruption.ignore()
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert interruption.signal is None


def test_another_thread_leaves_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=Interruption().listen)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before
