"""SIGINT and SIGTERM become a request, which the training loop grants at the end of a step.

A second signal is not held back: it does what it would have done without this module.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Listens to signals between `listen` and `ignore`.

    Attributes:
        signal: number of the signal that came, or None.
    """

    def __init__(self) -> None:
        """Remember the handlers of now, to give them back."""
        self.signal: int | None = None
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

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
        self.signal = number
        self.ignore()
