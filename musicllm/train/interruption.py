"""Signals become a request to stop, which the training loop honours at the end of a step.

    signal    sent by                                   exit code after the save
    SIGINT    Ctrl-C                                    130: stopped by a person
    SIGTERM   Slurm's preemption, `kill`, a launcher     75: start the same command again
    SIGUSR1   Slurm's time limit (`--signal=B:USR1@300`) 75: likewise

75 is `EX_TEMPFAIL` of sysexits.h: try again later. A launch script requeues on it:
`srun ... || code=$?; [ "${code:-0}" -eq 75 ] && scontrol requeue "$SLURM_JOB_ID"`. `--signal=B:`
reaches the script only, which forwards the signal to the training with `kill -USR1 $pid`.
A process that receives a signal before it listens exits as usual, with 143 or 138 in the shell:
nothing is lost, and it can be requeued as well.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

REQUEUE_EXIT_CODE = 75
"""`EX_TEMPFAIL`: stopped before the end of the run with everything saved; the command continues."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interruption:
    """Listens to signals between `listen` and `ignore`.

    A second Ctrl-C goes to the handler from before. Further SIGTERM and SIGUSR1 change nothing,
    since Slurm and launchers send them repeatedly.

    Attributes:
        signal: number of the first signal received, or None.
    """

    def __init__(self) -> None:
        """Save the current handlers."""
        self.signal: int | None = None
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    @property
    def exit_code(self) -> int:
        """Exit code after the save; see the module.

        75 also on a rank that received no signal itself.
        """
        return 128 + signal.SIGINT if self.signal == signal.SIGINT else REQUEUE_EXIT_CODE

    def listen(self) -> None:
        """Install the handlers; does nothing outside the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._request)

    def ignore(self) -> None:
        """Restore the handlers from before."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _request(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number
        signal.signal(signal.SIGINT, self._before[signal.SIGINT])
