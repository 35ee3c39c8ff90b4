"""The engine of one machine: a process per core.

Workers are forked from a server process that has imported the pipeline and runs one thread, so
that a worker starts in milliseconds and inherits no lock that some thread held. They live as long
as one `map`, and end at once when one of them dies, or the caller stops or is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from musicllm.data.engines.base import WORKER_ENVIRONMENT, Item, Result, Task, counted, outcome
from musicllm.errors import StageError

PRELOADED = ["musicllm.data.pipeline"]
"""What the server of workers imports, once."""

AHEAD = 4
"""Items per worker that may be started before the first unfinished one is finished."""

_CONTEXT = multiprocessing.get_context("forkserver")


class LocalEngine:
    """All cores of this machine, or `num_workers` processes."""

    def __init__(self, num_workers: int | None = None) -> None:
        self.num_workers = num_workers or num_cores()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        description: str,
        unit: str = "part",
    ) -> Iterator[Result]:
        """See `Engine.map`; a single item, or a single worker, stays in this process.

        Raises:
            StageError: a worker died, say because memory ran out.
        """
        num_workers = min(self.num_workers, len(items))
        if num_workers <= 1:
            results: Iterator[Result] = map(function, items)
        else:
            results = _in_order(function, items, num_workers, description)
        yield from counted(results, len(items), description, unit)


def num_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_order(
    function: Callable[[Item], Result], items: Sequence[Item], num_workers: int, description: str
) -> Iterator[Result]:
    with _workers(Task(function), num_workers) as workers:
        idle = list(workers)
        busy: dict[Connection, int] = {}
        answers: dict[int, bytes] = {}
        started = 0
        for turn in range(len(items)):
            while turn not in answers:
                while idle and started < min(len(items), turn + AHEAD * num_workers):
                    pipe = idle.pop()
                    pipe.send_bytes(pickle.dumps(items[started]))
                    busy[pipe] = started
                    started += 1
                for ready in connection.wait(busy):
                    assert isinstance(ready, Connection), f"not a pipe: {ready}"
                    answers[busy.pop(ready)] = _receive(ready, workers[ready], description)
                    idle.append(ready)
            yield outcome(answers.pop(turn))


def _receive(pipe: Connection, worker: BaseProcess, description: str) -> bytes:
    try:
        return pipe.recv_bytes()
    except (EOFError, ConnectionError):
        worker.join()
        code = worker.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        raise StageError(
            f"{description}: a worker process {how}, as the system does when memory runs out; run "
            "the same command again, which continues where it stopped, with fewer workers "
            "(engine.num_workers=1 needs the least memory)"
        ) from None


@contextmanager
def _workers(task: Task, num_workers: int) -> Iterator[dict[Connection, BaseProcess]]:
    """Yield running workers by our end of their pipes; they end with the block."""
    _start_server()
    workers: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(num_workers):
            ours, theirs = _CONTEXT.Pipe()
            workers[ours] = _CONTEXT.Process(target=_serve, args=(theirs, task), daemon=True)
            workers[ours].start()
            theirs.close()
        yield workers
    finally:
        for worker in workers.values():
            worker.terminate()
        for pipe, worker in workers.items():
            worker.join()
            pipe.close()


def _start_server() -> None:
    """Start the server of workers, unless it runs, with their environment and deaf to Ctrl-C."""
    _CONTEXT.set_forkserver_preload(PRELOADED)
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
    try:
        forkserver.ensure_running()
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, task: Task) -> None:
    """Answer items until the caller ends."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    with suppress(EOFError, BrokenPipeError):  # the caller ended first
        while True:
            pipe.send_bytes(task.attempt(pipe.recv_bytes()))


def _end_with_caller() -> None:
    caller = multiprocessing.parent_process()
    assert caller is not None, "a worker has a parent process"
    caller.join()
    os._exit(1)  # in the middle of whatever the other thread does
