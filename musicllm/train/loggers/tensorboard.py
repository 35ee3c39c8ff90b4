"""Metrics for TensorBoard in the run folder."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from musicllm.errors import NotAvailableError
from musicllm.schema import LoggerConfig
from musicllm.train.loggers import LOGGERS, LoggedRun, LoggerKind


class TensorBoardKind(LoggerKind):
    """`tensorboard/`; needs the package tensorboard."""

    name = "tensorboard"

    def build(self, _settings: LoggerConfig, run: LoggedRun) -> Any:
        """See `LoggerKind`."""
        if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
            raise NotAvailableError(
                "logger tensorboard needs a package: pip install 'musicllm[tensorboard]'"
            )
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(run.folder, name="tensorboard", version="")


TENSORBOARD = LOGGERS.register(TensorBoardKind())
