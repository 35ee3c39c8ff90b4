"""Where metrics go beside metrics.jsonl: CSV, TensorBoard and Weights & Biases, by Lightning.

Each is imported only when it is asked for.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.errors import NotAvailableError

WANDB_HOST = "api.wandb.ai"


@dataclass(frozen=True)
class LoggerSpec:
    """One place where metrics go.

    Attributes:
        kind: csv, tensorboard or wandb.
        project: of wandb; None is its default, as the next.
        entity: user or team of wandb.
        mode: of wandb: online, offline or auto, which is offline where there is no key.
        tags: of wandb.
    """

    kind: str
    project: str | None
    entity: str | None
    mode: str | None
    tags: tuple[str, ...]


def build(
    specs: Sequence[LoggerSpec],
    folder: Path,
    *,
    start_step: int,
    run_id: str,
    settings: Mapping[str, Any],
) -> list[Any]:
    """Make Lightning's loggers.

    Args:
        specs: what is wanted.
        folder: the run folder.
        start_step: finished steps; CSV files of different starts do not overwrite each other.
        run_id: identifies the job, so that a run which continues is one run in wandb.
        settings: shown beside the metrics in wandb; holds no secrets.

    Raises:
        NotAvailableError: a logger's package is not installed.
    """
    return [_build(spec, folder, start_step, run_id, settings) for spec in specs]


def _build(
    spec: LoggerSpec, folder: Path, start_step: int, run_id: str, settings: Mapping[str, Any]
) -> Any:
    if spec.kind == "csv":
        from lightning.pytorch.loggers import CSVLogger

        return CSVLogger(folder, name="csv", version=f"from-step-{start_step}")
    if spec.kind == "tensorboard":
        if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
            raise NotAvailableError("logger tensorboard needs a package: pip install tensorboard")
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(folder, name="tensorboard", version="")
    assert spec.kind == "wandb", f"logger {spec.kind!r} passed the checks"
    return _wandb(spec, folder, run_id, settings)


def _wandb(spec: LoggerSpec, folder: Path, run_id: str, settings: Mapping[str, Any]) -> Any:
    if find_spec("wandb") is None:
        raise NotAvailableError("logger wandb needs a package: pip install wandb")
    from lightning.pytorch.loggers import WandbLogger

    offline = spec.mode == "offline" or (spec.mode != "online" and not has_wandb_key())
    if offline:
        console.note(f"wandb is offline; to upload later: wandb sync {folder}/wandb/offline-run-*")
    return WandbLogger(
        project=spec.project,
        entity=spec.entity,
        tags=list(spec.tags),
        save_dir=folder,
        id=run_id,
        resume=None if offline else "allow",
        offline=offline,
        config=dict(settings),
        settings={"silent": offline},  # the note says it in one line
    )


def has_wandb_key() -> bool:
    """Tell whether this user has a wandb key, without importing wandb or reading the key."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(WANDB_HOST) is not None
    except (OSError, netrc.NetrcParseError):
        return False
