"""Where metrics go beside metrics.jsonl, one module for each kind of logger.

A kind builds Lightning's logger, checks its settings, and displays tunes and results where it can.
Packages are imported only when a logger is built, since `checks` imports the kinds, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from musicllm.errors import Problem
from musicllm.launch import ranks
from musicllm.registry import Registry
from musicllm.schema import LoggerConfig
from musicllm.train import metrics
from musicllm.train.tunes import SampleTune, read_tunes


@dataclass(frozen=True)
class LoggedRun:
    """A run, as loggers need it.

    Attributes:
        folder: the run folder.
        start_step: finished steps; CSV files of different starts do not overwrite each other.
        run_id: identifies the job, so that a run which continues is one run in a logger.
        logged_settings: settings beside the metrics in a logger; holds no secrets.
    """

    folder: Path
    start_step: int
    run_id: str
    logged_settings: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Name for people: the end of the recipe's name, and the name of the run folder."""
        return f"{self.folder.parent.name}-{self.folder.name}"

    def finished(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield the steps that are done with their metrics, without those that were not finite."""
        for line in metrics.read(self.folder / metrics.NAME):
            if line["step"] <= self.start_step:
                values = {name: value for name, value in line.items() if value is not None}
                yield values.pop("step"), values

    def finished_tunes(self) -> Iterator[tuple[int, list[SampleTune]]]:
        """Yield the steps that are done with their tunes."""
        for step, tunes in read_tunes(self.folder):
            if step <= self.start_step:
                yield step, tunes


@dataclass(frozen=True)
class ResultTable:
    """A table of texts.

    Attributes:
        columns: their names.
        rows: a text for every column.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class LoggerKind:
    """A kind of logger.

    Attributes:
        name: value of `logger.<name>.kind`.
        takes_artifacts: `log_artifact` is supported.
    """

    name: ClassVar[str]
    takes_artifacts: ClassVar[bool] = False

    def build(self, settings: LoggerConfig, run: LoggedRun) -> Any:
        """Return Lightning's logger of a run, or None if it is disabled.

        Raises:
            NotAvailableError: the logger's package is not installed.
        """
        raise NotImplementedError

    def problems(self, key: str, settings: LoggerConfig) -> Iterator[Problem]:
        """Yield settings that are wrong or have no effect on this kind.

        Args:
            key: of the settings, such as `logger.csv`.
            settings: the group of that key.
        """
        if settings.log_artifact and not self.takes_artifacts:
            rule = f"has no effect: a logger of kind {self.name} takes no artifacts"
            yield Problem(f"{key}.log_artifact", True, rule, "write false")
        if settings.options:
            rule = f"has no effect on a logger of kind {self.name}"
            yield Problem(f"{key}.options", settings.options, rule, "write {}")

    def show_tunes(self, logger: Any, step: int, tunes: Sequence[SampleTune]) -> None:
        """Display tunes with their scores and sounds, if this kind supports it."""

    def show_results(
        self,
        logger: Any,
        step: int,
        tables: Mapping[str, ResultTable],
        pictures: Mapping[str, Path],
        pages: Mapping[str, Path],
    ) -> None:
        """Display results of an evaluation or a comparison, if this kind supports it.

        Args:
            logger: of `build`.
            step: the last one.
            tables: by name.
            pictures: PNG files by name.
            pages: HTML files by name.
        """

    def log_artifact(self, settings: LoggerConfig, run: LoggedRun, path: Path, kind: str) -> None:
        """Store a folder with the run, if `takes_artifacts`.

        Args:
            settings: of the logger.
            run: the finished run.
            path: the folder.
            kind: of artifact, such as `adapter`.
        """

    def close(self) -> None:
        """Close what stays open after a training."""


LOGGERS: Registry[LoggerKind] = Registry("logger", __name__)


class OpenLogger(NamedTuple):
    """A logger of Lightning and its kind."""

    kind: LoggerKind
    logger: Any


def build(loggers: Iterable[LoggerConfig], run: LoggedRun) -> list[OpenLogger]:
    """Build the loggers that are configured; ranks other than 0 log nothing and have none.

    Raises:
        NotAvailableError: a logger's package is not installed.
    """
    if not ranks.is_main():
        return []
    kinds = [(LOGGERS[settings.kind], settings) for settings in loggers]
    built = [OpenLogger(kind, kind.build(settings, run)) for kind, settings in kinds]
    return [pair for pair in built if pair.logger is not None]


def log_artifact(loggers: Iterable[LoggerConfig], run: LoggedRun, path: Path, kind: str) -> None:
    """Log a folder with the loggers that are configured for it; on rank 0 only."""
    for settings in loggers:
        if settings.log_artifact:
            LOGGERS[settings.kind].log_artifact(settings, run, path, kind)


def close() -> None:
    """Close what loggers keep open after a training."""
    for kind in LOGGERS.values():
        kind.close()
