"""Metrics as a table in the run folder."""

from __future__ import annotations

from typing import Any

from musicllm.schema import LoggerConfig
from musicllm.train.loggers import LOGGERS, LoggedRun, LoggerKind


class CsvKind(LoggerKind):
    """`csv/from-step-<N>/metrics.csv`."""

    name = "csv"

    def build(self, _settings: LoggerConfig, run: LoggedRun) -> Any:
        """See `LoggerKind`."""
        from lightning.pytorch.loggers import CSVLogger

        return CSVLogger(run.folder, name="csv", version=f"from-step-{run.start_step}")


CSV = LOGGERS.register(CsvKind())
