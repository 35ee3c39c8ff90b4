"""Runs jobs through Slurm by submitit (extra `slurm`), a single run as well as those of a sweep.

Inside its Slurm job a run is a process of its own, so that its exit code is what counts: a run
that failed is a failed Slurm job. Before the time limit Slurm warns; the run is then told to save,
and the job is queued again. What a job asks of a machine follows from the hardware profile.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.command import Command
from musicllm.errors import NotAvailableError, StageError
from musicllm.launch import local
from musicllm.runs.binding import bind, is_up_to_date
from musicllm.schema import Config

INTERVAL_S = 2.0

ACTIVE = ("PENDING", "RUNNING", "REQUEUED", "COMPLETING", "PREEMPTED", "SUSPENDED")
"""States of a Slurm job that will still end."""


class Call:
    """What runs inside a Slurm job; submitit carries it there."""

    def __init__(self, words: Sequence[str], logs: Path, *, is_distributed: bool) -> None:
        """Take the words of the command, the folder of its logs, and whether srun starts ranks."""
        self._words = tuple(words)
        self._logs = logs
        self._is_distributed = is_distributed
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Run the command to its end.

        Raises:
            StageError: it failed; Slurm then counts the job as failed, too.
        """
        if self._is_distributed:
            from submitit.helpers import TorchDistributedEnvironment

            TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
        process = self._process = local.start(self._words, self._logs, mode="a", own_session=True)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        if code := process.wait():
            reason = local.why(self._logs, code)
            if code < 0:  # it could not say so itself
                with (self._logs / local.ERRORS).open("a", encoding="utf-8") as errors:
                    errors.write(f"{reason}\n")
            raise StageError(reason)

    def checkpoint(self) -> Any:
        """Let the command save; return what submitit queues again."""
        from submitit.helpers import DelayedSubmission

        assert self._process is not None, "signals come while the command runs"
        self._process.terminate()
        # not `wait`: this is a signal's handler, and what it interrupted may be waiting already
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._process = None  # cannot be carried
        return DelayedSubmission(self)


class SlurmRun:
    """A queued or running job."""

    def __init__(self, job: Any) -> None:
        """Take submitit's job."""
        self._job = job

    def poll(self) -> int | None:
        """Return 0 or 1 when the job ended, None before."""
        if not self._job.done():
            return None
        return 0 if self._job.exception() is None else 1

    def stop(self, number: int) -> None:
        """Leave the job where it is: the same command finds it again."""


class Slurm:
    """Submits jobs; see `sweep.main.Launcher`."""

    interval_s = INTERVAL_S
    waits_when_stopped = False

    def __init__(self, *, folders: Sequence[Path]) -> None:
        """Pass on the user's folders."""
        self._folders = folders

    def start(self, words: Sequence[str], logs: Path, config: Config, recipe: str) -> SlurmRun:
        """Submit a job, unless it is in the queue already."""
        return SlurmRun(_submitted(config, recipe, words, logs, self._folders))


def submit(config: Config, recipe: str, command: Command) -> None:
    """Submit a single run and say where it is.

    Raises:
        NotAvailableError: submitit or Slurm is not there.
    """
    bound = bind(config, recipe)
    if is_up_to_date(bound):
        console.say(f"up to date: {bound.folder}")
        return
    logs = bound.folder if bound.kind else bound.folder / "slurm"
    job = _submitted(config, recipe, command.overrides, logs, command.folders)
    console.say(f"{recipe} is Slurm job {job.job_id}: squeue --job {job.job_id}")
    console.say(f"it prints into {logs / local.OUTPUT} and {logs / local.ERRORS}")
    console.say("when it is done, the same command says that it is up to date")


def _submitted(
    config: Config, recipe: str, words: Sequence[str], logs: Path, folders: Sequence[Path]
) -> Any:
    """Return the job of a command: the one in the queue, or a new one."""
    marker = logs / "slurm" / "job_id"
    if marker.is_file() and config.launcher.cluster == "slurm":
        job = _submitit().SlurmJob(folder=marker.parent, job_id=marker.read_text().strip())
        if job.state in ACTIVE:
            return job
    for name in (local.OUTPUT, local.ERRORS):  # a job that is queued again adds to them
        (logs / name).unlink(missing_ok=True)
    own = [*words, "launcher=local", *(f"--config-dir={folder}" for folder in folders)]
    is_distributed = config.hardware.num_nodes > 1 and config.task == "train"
    executor = _executor(config, recipe, marker.parent, is_distributed)
    job = executor.submit(Call(own, logs.resolve(), is_distributed=is_distributed))
    marker.write_text(f"{job.job_id}\n")
    return job


def _executor(config: Config, recipe: str, folder: Path, is_distributed: bool) -> Any:
    launcher, hardware = config.launcher, config.hardware
    num_devices = hardware.devices_per_node
    num_cpus = launcher.num_cpus_per_device
    try:
        executor = _submitit().AutoExecutor(
            folder, cluster=launcher.cluster, slurm_max_num_timeout=launcher.num_requeues
        )
    except RuntimeError as error:  # no srun here
        fix = "run this where sbatch is, or try launcher.cluster=local"
        raise NotAvailableError(f"launcher=slurm: {error}; {fix}") from None
    executor.update_parameters(
        name=f"musicllm-{recipe.replace('/', '-')}",
        timeout_min=launcher.time_minutes,
        nodes=hardware.num_nodes if is_distributed else 1,
        tasks_per_node=num_devices if is_distributed else 1,
        cpus_per_task=num_cpus and num_cpus * (1 if is_distributed else num_devices),
        gpus_per_node=num_devices if hardware.accelerator == "gpu" else None,
        mem_gb=launcher.memory_gb,
        slurm_partition=launcher.partition,
        slurm_account=launcher.account,
        slurm_signal_delay_s=launcher.signal_delay_s,
        slurm_srun_args=launcher.srun_arguments,
        slurm_additional_parameters=launcher.options,
    )
    return executor


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise NotAvailableError(
            "launcher=slurm needs the extra: pip install musicllm[slurm]"
        ) from None
    return submitit
