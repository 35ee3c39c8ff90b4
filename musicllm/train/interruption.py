"""Signals become a request, which the training loop grants at the end of a step.

    signal    sent by                                   exit code after the save
    SIGINT    Ctrl-C                                    130: a person wanted it to end
    SIGTERM   Slurm's preemption, `kill`, a launcher     75: start the same command again
    SIGUSR1   Slurm's time limit (`--signal=B:USR1@300`) 75: likewise

75 is `EX_TEMPFAIL` of sysexits.h: not failed, try again later. A launch script requeues on it:
`srun ... || code=$?; [ "${code:-0}" -eq 75 ] && scontrol requeue "$SLURM_JOB_ID"`. `--signal=B:`
reaches the script alone, which hands the signal on to the training with `kill -USR1 $pid`.
A process that a signal ends before it listens exits as always, with 143 or 138 in the shell:
nothing of it was lost, and it can be requeued as well.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

REQUEUE_EXIT_CODE = 75
"""All was saved before the end of the run, and the same command continues: `EX_TEMPFAIL`."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interruption:
    """Listens to signals between `listen` and `ignore`.

    A second Ctrl-C is not held back: it does what it would have done without this module. Further
    SIGTERM and SIGUSR1 are the same request again, since Slurm and launchers send them repeatedly.

    Attributes:
        signal: number of the first signal that came, or None.
    """

    def __init__(self) -> None:
        """Remember the handlers of now, to give them back."""
        self.signal: int | None = None
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    @property
    def exit_code(self) -> int:
        """Return what to exit with after the save; see the module.

        A rank that no signal reached, but another one did, asks to be started again, too.
        """
        return 128 + signal.SIGINT if self.signal == signal.SIGINT else REQUEUE_EXIT_CODE

    def listen(self) -> None:
        """Take over the signals; only the main thread may, elsewhere nothing happens."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._ask)

    def ignore(self) -> None:
        """Give the signals back to who had them."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number
        signal.signal(signal.SIGINT, self._before[signal.SIGINT])
