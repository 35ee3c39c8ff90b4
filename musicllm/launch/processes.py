"""Runs a stage in as many processes as it takes: here, or one per device of this machine.

With several the command itself stays the parent: it holds the run folder, passes signals on, and
prints the summary; the processes that it starts are the ranks, with the environment that `torchrun`
would give them. Under an external launcher (`torchrun`, `srun`, `deepspeed`) nothing is started.
Ranks die with their parent, however it dies.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from musicllm import console, runtime
from musicllm.errors import InputError, MusicLLMError, NotAvailableError, StageError
from musicllm.job import Job
from musicllm.launch import ranks
from musicllm.registry import load_extensions
from musicllm.runs.stages import STAGES
from musicllm.schema import Config

Rows = Sequence[tuple[str, object]]

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

GRACE_S = 10.0
"""How long the other ranks may take to end after one has failed; they may hang in each other."""


@dataclass(frozen=True)
class _Rank:
    """A started process, and the pipe of its result."""

    number: int
    process: SpawnProcess
    result: Connection


def work(job: Job) -> Rows:
    """Run the stage, in as many processes as it takes."""
    config = job.config
    if STAGES[config.task].spreads and config.strategy.kind != "single" and not ranks.launched():
        return _spread(job, config.hardware.devices_per_node)
    return verb(job)(job)


def verb(job: Job) -> Callable[[Job], Rows]:
    """Return what runs a job's stage; its module is imported now."""
    run: Callable[[Job], Rows] = importlib.import_module(f"musicllm.stages.{job.config.stage}").run
    return run


def refuse_other_ranks(config: Config, recipe: str) -> None:
    """Refuse what a launcher started in another number than the hardware profile says.

    Raises:
        InputError: with the number that fits.
    """
    started, hardware = ranks.world_size(), config.hardware
    if not STAGES[config.task].spreads:
        if started > 1:
            raise InputError(
                f"recipe={recipe} runs in one process, but a launcher started {started}; "
                f"write python -m musicllm recipe={recipe}"
            )
        return
    devices = hardware.num_nodes * hardware.devices_per_node
    if started != devices:
        raise InputError(
            f"a launcher started {started} processes, but hardware={hardware.name} has "
            f"{hardware.num_nodes} x {hardware.devices_per_node} devices; start {devices}, or set "
            f"hardware.num_nodes and hardware.devices_per_node"
        )


def _spread(job: Job, num_ranks: int) -> Rows:
    """Run a stage in several processes of this machine, and return what rank 0 returns.

    Args:
        job: its stage runs in every process.
        num_ranks: processes; one for each device.

    Raises:
        NotAvailableError: the hardware profile has several machines, and this is one.
        MusicLLMError: the first that a rank raised.
        StageError: a rank died without a word, of a signal or out of memory.
        SystemExit: the ranks stopped for a signal, with their exit code.
    """
    if job.config.hardware.num_nodes > 1:
        raise NotAvailableError(
            f"hardware={job.config.hardware.name} has {job.config.hardware.num_nodes} machines, "
            f"and this command starts processes on one; launch/README.md shows how torchrun, "
            f"Slurm or DeepSpeed start it on all of them"
        )
    started: list[_Rank] = []
    before = {number: signal.signal(number, _pass_on(started)) for number in PASSED_ON}
    try:
        started.extend(_start(job, num_ranks))
        failed = _wait(started)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed is not None:
        raise _reason(failed, started)
    rows: Rows = started[0].result.recv()
    return rows


def _start(job: Job, num_ranks: int) -> Iterator[_Rank]:
    context = multiprocessing.get_context("spawn")
    port = free_port()
    for number in range(num_ranks):
        ours, theirs = context.Pipe(duplex=False)
        place = {
            "RANK": number,
            "LOCAL_RANK": number,
            "WORLD_SIZE": num_ranks,
            "LOCAL_WORLD_SIZE": num_ranks,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        environment = {name: str(value) for name, value in place.items()}
        process = context.Process(target=_run_rank, args=(job, environment, theirs))
        process.start()
        theirs.close()
        yield _Rank(number, process, ours)


def _run_rank(job: Job, environment: dict[str, str], result: Connection) -> None:
    """Be one rank; runs in a new process."""
    os.setpgrp()  # Ctrl-C in a terminal reaches the parent, which passes it on once
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # data workers start as in any other process: a spawned one would hand on that it was spawned
    multiprocessing.set_start_method("fork", force=True)
    os.environ.update(environment)
    runtime.prepare(job.config.hardware.accelerator)
    if not ranks.is_main():
        console.mute()
    try:
        load_extensions(job.config.extensions)
        result.send(verb(job)(job))
    except MusicLLMError as error:
        result.send(error)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # before training listens, when nothing is there to save
        raise SystemExit(128 + signal.SIGINT) from None


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a rank has a parent"
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _pass_on(started: Sequence[_Rank]) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, _frame: FrameType | None) -> None:
        for rank in started:
            with suppress(ProcessLookupError):
                os.kill(rank.process.pid or 0, number)

    return handler


def _wait(started: Sequence[_Rank]) -> _Rank | None:
    """Wait for all; return the first that failed, after the others have ended, too."""
    running: dict[Any, _Rank] = {rank.process.sentinel: rank for rank in started}
    failed = None
    deadline = float("inf")
    while running:
        timeout = None if failed is None else max(0.0, deadline - time.monotonic())
        ended = wait(list(running), timeout=timeout)
        for sentinel in ended:
            rank = running.pop(sentinel)
            rank.process.join()
            if rank.process.exitcode and failed is None:
                failed, deadline = rank, time.monotonic() + GRACE_S
        if not ended:
            for rank in running.values():
                rank.process.kill()
    return failed


def _reason(failed: _Rank, started: Sequence[_Rank]) -> BaseException:
    """Return what to raise; what a rank said comes before that others lost it."""
    code = failed.process.exitcode
    for rank in started if code == 1 else ():
        with suppress(EOFError, OSError):
            error = rank.result.recv() if rank.result.poll() else None
            if isinstance(error, MusicLLMError):
                return error
    if code is not None and code > 1:
        return SystemExit(code)
    if code is not None and -code in PASSED_ON:  # before training listens
        return SystemExit(128 - code)
    how = f"was killed by signal {-code}" if code is not None and code < 0 else "failed"
    advice = "; signal 9 is often the system's answer to too little memory" if code == -9 else ""
    return StageError(f"rank {failed.number} {how}{advice}; what it said is above")


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
