from __future__ import annotations

import os
import signal
import threading

import pytest

from musicllm.train.interruption import Interruption


def test_a_signal_is_kept_and_a_second_one_is_not_held_back() -> None:
    interruption = Interruption()
    interruption.listen()
    os.kill(os.getpid(), signal.SIGINT)
    assert interruption.signal == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_who_had_the_signals_gets_them_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    interruption = Interruption()
    interruption.listen()
    assert signal.getsignal(signal.SIGTERM) != before
    interruption.ignore()
    assert signal.getsignal(signal.SIGTERM) == before
    assert interruption.signal is None


def test_another_thread_leaves_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=Interruption().listen)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before
