"""A run in Weights & Biases: made, filled with tunes, given its artifact, and ended.

Metrics reach it through Lightning's logger. A run that continues is one run there: online by its
id, and offline, where wandb cannot continue a run, by telling the new recording what came before;
so the newest recording is always the whole run, and the one to upload.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicllm import console
from musicllm.errors import NotAvailableError
from musicllm.train import metrics, wandb_mode
from musicllm.train.tunes import SampleTune, read_tunes

if TYPE_CHECKING:
    from musicllm.train.loggers import LoggerSpec

STEP = "trainer/global_step"
"""Lightning's name of the step, over which everything is drawn."""
COLUMNS: list[str | int] = ["step", "prompt", "text", "score", "sound"]


def make(
    spec: LoggerSpec, folder: Path, *, start_step: int, run_id: str, settings: Mapping[str, Any]
) -> Any:
    """Return Lightning's logger of a run, None if wandb is disabled; see `loggers.build`.

    Raises:
        NotAvailableError: wandb is not installed, or its server refuses the run.
    """
    if find_spec("wandb") is None:
        raise NotAvailableError("logger wandb needs a package: pip install wandb")
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    server = str(wandb.setup(wandb.Settings(silent=True)).settings.base_url)
    choice = wandb_mode.choose(spec.mode, server)
    offline = choice.mode == "offline"
    if choice.mode == "disabled":
        console.note("wandb is disabled; metrics.jsonl has everything")
        return None
    if offline:
        upload = f"wandb sync {shlex.quote(f'{folder}/wandb/latest-run')}"
        console.note(f"wandb is offline: {choice.reason}; to upload: {upload}")
    wandb.setup(wandb.Settings(silent=offline))  # the note says it in one line
    run = _init(
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


def _init(**settings: Any) -> Any:
    """Begin the run.

    Raises:
        NotAvailableError: the server does not take it: a wrong key, another team's project.
    """
    import wandb

    try:
        return wandb.init(**settings)
    except wandb.Error as error:
        said = " ".join(str(error).split())
        raise NotAvailableError(
            f"logger wandb: {said}; check the key (wandb login) and logger.wandb.entity and "
            f".project, or write logger.wandb.mode=offline"
        ) from error


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

    run = wandb.run or getattr(reopen(), "experiment", None)
    if run is None:  # disabled
        return
    artifact = wandb.Artifact(name, type=kind)
    artifact.add_dir(str(path))
    run.log_artifact(artifact)


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
