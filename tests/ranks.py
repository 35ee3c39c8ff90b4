"""Processes that stay, each a rank, for tests of what happens between processes."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from musicllm.launch.processes import free_port


class Ranks:
    """So many processes on the CPU, which run the same function together, again and again."""

    def __init__(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        port = str(free_port())
        self._ends = []
        self._processes = []
        for rank in range(number):
            ours, theirs = context.Pipe()
            place = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(number),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "DS_ACCELERATOR": "cpu",
                "OMP_NUM_THREADS": "1",
            }
            process = context.Process(target=_serve, args=(place, theirs))
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Return what the function returns on each rank; an error on any of them is raised."""
        for end in self._ends:
            end.send((function, args))
        results = [end.recv() for end in self._ends]
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    def stop(self) -> None:
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join()


def _serve(place: dict[str, str], end: Connection) -> None:
    multiprocessing.set_start_method("fork", force=True)  # as `launching` does
    os.environ.update(place)
    from musicllm.train import group

    group.start("cpu")
    while True:
        try:
            function, args = end.recv()
        except EOFError:
            os._exit(0)  # there is nothing to save, and to part in good order takes 10 s
        try:
            end.send(function(*args))
        except BaseException as error:  # noqa: BLE001
            error.add_note(traceback.format_exc())
            end.send(error)
