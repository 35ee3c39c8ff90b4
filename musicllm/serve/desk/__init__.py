"""A queue in front of an engine: many clients, one model.

`Desk.write` takes a request from a coroutine and brings what is written as it is written. What
waits, how long one answer may take and who has left is decided here, for every kind of engine.
"""

from musicllm.serve.desk.desk import Desk, DeskLimits
from musicllm.serve.desk.events import BusyError, ClosedError, Done, End, Event, Piece, Waiting
from musicllm.serve.desk.writing import Writing

__all__ = [
    "BusyError",
    "ClosedError",
    "Desk",
    "DeskLimits",
    "Done",
    "End",
    "Event",
    "Piece",
    "Waiting",
    "Writing",
]
