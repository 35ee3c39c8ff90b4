"""A run in Weights & Biases: made, filled with tunes, given its artifact, and ended.

Metrics reach it through Lightning's logger. A run that continues is one run there: online by its
id, and offline, where wandb cannot continue a run, by telling the new recording what came before;
so the newest recording is always the whole run, and the one to upload.
"""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicllm import console
from musicllm.errors import NotAvailableError
from musicllm.train import metrics
from musicllm.train.tunes import SampleTune, read_tunes

if TYPE_CHECKING:
    from musicllm.train.loggers import LoggerSpec

HOST = "api.wandb.ai"
STEP = "trainer/global_step"
"""Lightning's name of the step, over which everything is drawn."""
COLUMNS: list[str | int] = ["step", "prompt", "text", "score", "sound"]


def make(
    spec: LoggerSpec, folder: Path, *, start_step: int, run_id: str, settings: Mapping[str, Any]
) -> Any:
    """Return Lightning's logger of a run; for the arguments see `loggers.build`.

    Raises:
        NotAvailableError: wandb is not installed.
    """
    if find_spec("wandb") is None:
        raise NotAvailableError("logger wandb needs a package: pip install wandb")
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    offline = spec.mode == "offline" or (spec.mode != "online" and not has_key())
    if offline:
        console.note(f"wandb is offline; to upload: wandb sync {folder}/wandb/latest-run")
    wandb.setup(wandb.Settings(silent=offline))  # the note says it in one line
    run = wandb.init(
        project=spec.project,
        entity=spec.entity,
        tags=spec.tags,
        dir=folder,
        id=run_id,
        resume=None if offline else "allow",
        mode="offline" if offline else "online",
        config=dict(settings),
    )
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP)
    logger = WandbLogger(experiment=run)
    if offline:
        _tell_what_was(logger, folder, start_step)
    return logger


def has_key() -> bool:
    """Tell whether this user has a wandb key, without importing wandb or reading the key."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(HOST) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def show_tunes(logger: Any, step: int, tunes: Sequence[SampleTune]) -> None:
    """Add a table of tunes with their pictures and sounds to the run of a logger."""
    import wandb

    rows = [[step, tune.prompt, tune.text, _picture(tune), _sound(tune)] for tune in tunes]
    logger.log_metrics({"samples": wandb.Table(columns=COLUMNS, data=rows)}, step=step)


def log_artifact(path: Path, *, kind: str, name: str, reopen: Callable[[], Any]) -> None:
    """Add a folder to the run; offline it is uploaded when the run is.

    Args:
        path: the folder.
        kind: of artifact, such as `adapter`.
        name: of this one, without blanks.
        reopen: makes the logger again, where training left no open run in this process.
    """
    import wandb

    artifact = wandb.Artifact(name, type=kind)
    artifact.add_dir(str(path))
    (wandb.run or reopen().experiment).log_artifact(artifact)


def close() -> None:
    """End the run of this process, if there is one, so that the next one is another."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.run.finish()


def _tell_what_was(logger: Any, folder: Path, start_step: int) -> None:
    """Repeat metrics and tunes of the steps that are done."""
    for line in metrics.read(folder / metrics.NAME):
        if line["step"] <= start_step:
            known = {name: value for name, value in line.items() if value is not None}
            logger.log_metrics(known, step=known.pop("step"))
    for step, tunes in read_tunes(folder):
        if step <= start_step:
            show_tunes(logger, step, tunes)


def _picture(tune: SampleTune) -> Any:
    import wandb

    if tune.score is None:
        return None
    if tune.score.suffix == ".svg":  # wandb shows pictures made of pixels only
        return wandb.Html(tune.score.read_text(encoding="utf-8"), inject=False)
    return wandb.Image(str(tune.score))


def _sound(tune: SampleTune) -> Any:
    import wandb

    return None if tune.sound is None else wandb.Audio(str(tune.sound))
