"""Where metrics go beside metrics.jsonl: CSV, TensorBoard and Weights & Biases, by Lightning.

Each is imported only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from musicllm.errors import NotAvailableError
from musicllm.launch import ranks
from musicllm.train import wandb_run
from musicllm.train.tunes import SampleTune


@dataclass(frozen=True)
class LoggerSpec:
    """One place where metrics go.

    Attributes:
        kind: csv, tensorboard or wandb.
        project: of wandb; None is its default, as the next.
        entity: user or team of wandb.
        mode: of wandb: online, offline, disabled, or auto, which is online where there is a key.
            Whatever it is, a run is offline where the server cannot be reached.
        tags: of wandb.
        log_artifact: also give wandb what was trained.
    """

    kind: str
    project: str | None
    entity: str | None
    mode: str | None
    tags: tuple[str, ...]
    log_artifact: bool


def build(
    specs: Sequence[LoggerSpec],
    folder: Path,
    *,
    start_step: int,
    run_id: str,
    settings: Mapping[str, Any],
) -> list[Any]:
    """Make Lightning's loggers; ranks other than 0 log nothing and have none.

    Args:
        specs: what is wanted.
        folder: the run folder.
        start_step: finished steps; CSV files of different starts do not overwrite each other.
        run_id: identifies the job, so that a run which continues is one run in wandb.
        settings: shown beside the metrics in wandb; holds no secrets.

    Raises:
        NotAvailableError: a logger's package is not installed.
    """
    if not ranks.is_main():
        return []
    built = [
        _build(spec, folder, start_step=start_step, run_id=run_id, settings=settings)
        for spec in specs
    ]
    return [logger for logger in built if logger is not None]


def show_tunes(loggers: Iterable[Any], step: int, tunes: Sequence[SampleTune]) -> None:
    """Show tunes where a logger can: in wandb, as a table. On rank 0 only."""
    for logger in loggers:
        if _is_wandb(logger):
            wandb_run.show_tunes(logger, step, tunes)


def log_artifact(
    specs: Sequence[LoggerSpec],
    folder: Path,
    *,
    num_steps: int,
    run_id: str,
    settings: Mapping[str, Any],
    artifact: Path,
    kind: str,
) -> None:
    """Give what was trained to the loggers that were asked to take it. On rank 0 only.

    Args:
        specs: of all loggers.
        folder: the run folder.
        num_steps: of the whole run.
        run_id: as for `build`.
        settings: as for `build`.
        artifact: the folder of what was trained.
        kind: of artifact: adapter or model.
    """
    for spec in specs:
        if spec.log_artifact and spec.mode != "disabled":
            make = partial(
                _build, spec, folder, start_step=num_steps, run_id=run_id, settings=settings
            )
            wandb_run.log_artifact(artifact, kind=kind, name=f"{kind}-{run_id}", reopen=make)


def close() -> None:
    """End what loggers keep open beyond a training, so that the next one begins anew."""
    wandb_run.close()


def _build(
    spec: LoggerSpec, folder: Path, *, start_step: int, run_id: str, settings: Mapping[str, Any]
) -> Any:
    if spec.kind == "csv":
        from lightning.pytorch.loggers import CSVLogger

        return CSVLogger(folder, name="csv", version=f"from-step-{start_step}")
    if spec.kind == "tensorboard":
        if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
            raise NotAvailableError(
                "logger tensorboard needs a package: pip install 'musicllm[tensorboard]'"
            )
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(folder, name="tensorboard", version="")
    assert spec.kind == "wandb", f"logger {spec.kind!r} passed the checks"
    return wandb_run.make(spec, folder, start_step=start_step, run_id=run_id, settings=settings)


def _is_wandb(logger: Any) -> bool:
    """Tell wandb's logger by its class's name, so that wandb is imported only where it is used."""
    return type(logger).__name__ == "WandbLogger"
