"""Runs the jobs of a sweep: sample values, skip what is up to date, start, wait, report.

The folder of a sweep follows from its words, so the same command continues it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from musicllm import artifacts, console
from musicllm.checks import check
from musicllm.command import Command
from musicllm.errors import ConfigError, MusicLLMError, Problem
from musicllm.job import Job
from musicllm.launch.local import Local
from musicllm.launch.slurm import Slurm
from musicllm.runs import composing
from musicllm.runs.binding import bind, is_up_to_date
from musicllm.runs.stages import STAGES
from musicllm.schema import Config
from musicllm.sweep import comparison, space, trial
from musicllm.sweep.search import Draw, Grid, Search
from musicllm.sweep.space import Space
from musicllm.sweep.trial import FAILED, UP_TO_DATE, Result, Trial
from musicllm.train.interruption import Interruption

OWN = ("name", "launcher", "sweep")
"""Groups and settings that do not make another sweep."""


class Run(Protocol):
    """A running job."""

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""

    def stop(self, number: int) -> None:
        """Pass on the signal that stopped the sweep."""


class Launcher(Protocol):
    """Starts jobs.

    Attributes:
        interval_s: seconds between two polls of the running jobs.
        waits_when_stopped: its jobs end with the sweep, after they saved.
    """

    interval_s: float
    waits_when_stopped: bool

    def start(self, words: Sequence[str], logs: Path, config: Config, recipe: str, /) -> Run:
        """Start a command, which prints into files of a folder."""


def main(command: Command) -> int:
    """Run a sweep; return 0, or 1 when a job failed.

    Raises:
        ConfigError: the words of the sweep break a rule.
        NotAvailableError: an extra is not installed.
        SystemExit: a signal stopped the sweep.
    """
    swept = space.parse(command.overrides)
    config = _common(swept, command.folders)
    own = [word for word in command.overrides if word.split("=")[0].split(".")[0] not in OWN]
    identity = artifacts.fingerprint(sorted(own))
    folder = Path(config.paths.runs) / "sweeps" / (config.name or identity)
    folder.mkdir(parents=True, exist_ok=True)
    results = Sweep(
        _of_one_length(swept.without("name"), config), config, command.folders, folder, identity
    ).run()
    return comparison.show(results, config.sweep, folder)


def _common(swept: Space, folders: Sequence[Path]) -> Config:
    """Return the configuration of the first job, for what all jobs share.

    Raises:
        ConfigError: it does not compose, or breaks a rule that does not concern this job alone.
    """
    config, _ = composing.load(swept.words(swept.corner()), folders)
    if STAGES[config.task].interactive:
        rule = f"is a {config.task}, which a person holds, and no job of a sweep"
        raise ConfigError([Problem("task", config.task, rule, "leave out -m")])
    try:
        check(config)
    except ConfigError as error:
        shared = [p for p in error.problems if p.key.split(".")[0] in space.COMMON]
        if shared or config.sweep.name == "optuna":
            raise ConfigError(shared or error.problems) from None
    return config


def _of_one_length(swept: Space, config: Config) -> Space:
    """Fix the number of steps where each job would choose it by its speed: jobs are compared.

    Raises:
        ConfigError: each job would measure how many steps fit.
    """
    training = config.training
    if config.task == "train" and training.max_hours is not None:
        rule = "gives every job of a sweep another number of steps, and jobs are compared"
        fix = "write training.max_hours=null and training.max_steps=<number>"
        raise ConfigError([Problem("training.max_hours", training.max_hours, rule, fix)])
    if config.task != "train" or training.max_steps is not None or not training.step_choices:
        return swept
    most = max(training.step_choices)
    console.note(f"every job takes {most:,} steps, the most of training.step_choices")
    return replace(swept, fixed=(*swept.fixed, f"training.max_steps={most}"))


class Sweep:
    """The jobs of one sweep, finished and running."""

    def __init__(
        self, swept: Space, config: Config, folders: Sequence[Path], folder: Path, identity: str
    ) -> None:
        """Create the search and the launcher that the configuration names.

        Args:
            swept: fixed and swept settings.
            config: of any of its jobs.
            folders: of the user, laid out as conf/.
            folder: of the sweep.
            identity: fingerprint of its words; a search learns from jobs of the same words alone.
        """
        self._space = swept
        self._folders = folders
        self._folder = folder
        self._metric = config.sweep.metric
        self._search = _search(config, swept, folder, identity)
        self._launcher = _launcher(config, folders)
        self._num_parallel = config.launcher.num_parallel or self._search.num_jobs
        self._running: dict[int, tuple[Trial, Job, Run]] = {}
        self._results: list[Result] = []

    def run(self) -> list[Result]:
        """Run what is not up to date; return the results in the order in which the jobs ended."""
        count = self._search.num_jobs
        console.heading(f"sweep of {count} {'job' if count == 1 else 'jobs'} in {self._folder}")
        interruption = Interruption()
        interruption.listen()
        try:
            self._go_through(interruption)
        finally:
            interruption.ignore()
        return self._results

    def _go_through(self, interruption: Interruption) -> None:
        while True:
            if interruption.signal is not None:
                self._stop(interruption)
            while len(self._running) < self._num_parallel:
                draw = self._search.ask()
                if draw is None:
                    break
                self._begin(draw)
            if not self._running:
                return
            self._look()
            time.sleep(self._launcher.interval_s)

    def _begin(self, draw: Draw) -> None:
        """Start a job, unless it is up to date or cannot be composed."""
        words = self._space.job_words(draw.values)
        new = trial.make(draw.number, draw.values, words, self._folder)
        console.say()
        place = len(self._results) + len(self._running) + 1
        console.heading(f"[{place}/{self._search.num_jobs}] {new.title}")
        try:
            config, recipe = composing.load(new.words, self._folders)
            check(config)
            job = bind(config, recipe)
        except MusicLLMError as error:
            self._end(trial.refused(new, str(error)))
            return
        if is_up_to_date(job):
            self._end(trial.result(new, job, code=None))
        else:
            run = self._launcher.start(new.words, new.logs, config, recipe)
            self._running[new.number] = new, job, run

    def _look(self) -> None:
        for number, (ended, job, run) in list(self._running.items()):
            code = run.poll()
            if code is not None:
                del self._running[number]
                self._end(trial.result(ended, job, code=code))

    def _end(self, result: Result) -> None:
        self._results.append(result)
        self._search.tell(result.trial.number, result.metrics.get(self._metric))
        comparison.write_json(self._results, self._folder)
        if result.state == FAILED:
            console.err.print(f"failed: {result.error}", style="red", markup=False)
        elif result.state == UP_TO_DATE:
            console.say(f"up to date: {result.folder}")

    def _stop(self, interruption: Interruption) -> None:
        """End the sweep after its jobs saved.

        Raises:
            SystemExit: always.
        """
        console.note("the sweep was stopped; the same command continues")
        if self._launcher.waits_when_stopped:
            for _, _, run in self._running.values():
                run.stop(interruption.signal or 0)
            while any(run.poll() is None for _, _, run in self._running.values()):
                time.sleep(self._launcher.interval_s)
        raise SystemExit(interruption.exit_code)


def _search(config: Config, swept: Space, folder: Path, identity: str) -> Search:
    if config.sweep.name == "grid":
        return Grid(swept)
    from musicllm.sweep.optuna_search import OptunaSearch

    assert config.sweep.num_trials is not None, "checks.launch asks for it"
    return OptunaSearch(
        swept,
        folder / "optuna.db",
        num_trials=config.sweep.num_trials,
        study=f"{config.sweep.direction} {config.sweep.metric} {identity}",
        direction=config.sweep.direction,
        seed=config.seed,
    )


def _launcher(config: Config, folders: Sequence[Path]) -> Launcher:
    if config.launcher.name == "slurm":
        return Slurm(folders=folders)
    return Local(follow=config.launcher.num_parallel == 1, folders=folders)
