"""Metrics, tunes, results and artifacts in Weights & Biases.

Metrics reach it through Lightning's logger. A run that continues is one run there: online by its
id, and offline, where wandb cannot continue a run, by repeating the earlier metrics in the new
recording; so the newest recording is always the whole run, and the one to upload.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.errors import NotAvailableError, Problem
from musicllm.schema import LoggerConfig
from musicllm.train import wandb_mode
from musicllm.train.loggers import LOGGERS, LoggedRun, LoggerKind, ResultTable
from musicllm.train.tunes import SampleTune

STEP = "trainer/global_step"
"""Lightning's name of the step, the axis of every chart."""
COLUMNS: list[str | int] = ["step", "prompt", "text", "score", "sound"]


class WandbKind(LoggerKind):
    """A run in Weights & Biases; offline without a key or a network."""

    name = "wandb"
    takes_artifacts = True

    def problems(self, key: str, settings: LoggerConfig) -> Iterator[Problem]:
        """Yield a mode that is missing."""
        yield from super().problems(key, settings)
        if settings.mode is None:
            yield Problem(f"{key}.mode", "null", "must be set when kind=wandb", "write auto")

    def build(self, settings: LoggerConfig, run: LoggedRun) -> Any:
        """See `LoggerKind`.

        Raises:
            NotAvailableError: wandb is not installed, or its server refuses the run.
        """
        if find_spec("wandb") is None:
            raise NotAvailableError("logger wandb needs a package: pip install wandb")
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        server = str(wandb.setup(wandb.Settings(silent=True)).settings.base_url)
        choice = wandb_mode.choose(settings.mode, server)
        offline = choice.mode == "offline"
        if choice.mode == "disabled":
            console.note("wandb is disabled; metrics.jsonl has everything")
            return None
        if offline:
            upload = f"wandb sync {shlex.quote(f'{run.folder}/wandb/latest-run')}"
            console.note(f"wandb is offline: {choice.reason}; to upload: {upload}")
        wandb.setup(wandb.Settings(silent=offline))  # the note says it in one line
        recording = _init(
            project=settings.project,
            entity=settings.entity,
            tags=tuple(settings.tags),
            dir=run.folder,
            id=run.run_id,
            resume=None if offline else "allow",
            mode="offline" if offline else "online",
            config=dict(run.logged_settings),
        )
        recording.define_metric(STEP)
        recording.define_metric("*", step_metric=STEP)
        logger = WandbLogger(experiment=recording)
        if offline:
            self._repeat(logger, run)
        return logger

    def show_tunes(self, logger: Any, step: int, tunes: Sequence[SampleTune]) -> None:
        """Add a table of tunes with their scores and sounds."""
        import wandb

        rows = [[step, tune.prompt, tune.text, _picture(tune), _sound(tune)] for tune in tunes]
        logger.log_metrics({"samples": wandb.Table(columns=COLUMNS, data=rows)}, step=step)

    def show_results(
        self,
        logger: Any,
        step: int,
        tables: Mapping[str, ResultTable],
        pictures: Mapping[str, Path],
        pages: Mapping[str, Path],
    ) -> None:
        """Add tables, pictures and pages."""
        import wandb

        values: dict[str, Any] = {
            name: wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
            for name, table in tables.items()
        }
        values |= {name: wandb.Image(str(path)) for name, path in pictures.items()}
        for name, path in pages.items():
            values[name] = wandb.Html(path.read_text(encoding="utf-8"), inject=False)
        logger.log_metrics(values, step=step)

    def log_artifact(self, settings: LoggerConfig, run: LoggedRun, path: Path, kind: str) -> None:
        """Add a folder to the run; offline it is uploaded when the run is."""
        if settings.mode == "disabled":
            return
        import wandb

        # training may have left no open run in this process
        recording = wandb.run or getattr(self.build(settings, run), "experiment", None)
        if recording is None:  # disabled by WANDB_DISABLED
            return
        artifact = wandb.Artifact(f"{kind}-{run.run_id}", type=kind)
        artifact.add_dir(str(path))
        recording.log_artifact(artifact)

    def close(self) -> None:
        """Finish the run of this process, if there is one."""
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            wandb.run.finish()

    def _repeat(self, logger: Any, run: LoggedRun) -> None:
        """Repeat metrics and tunes of the steps that are done."""
        for step, values in run.finished():
            logger.log_metrics(values, step=step)
        for step, tunes in run.finished_tunes():
            self.show_tunes(logger, step, tunes)


def _init(**settings: Any) -> Any:
    """Start the run.

    Raises:
        NotAvailableError: the server refuses it: a wrong key, another team's project.
    """
    import wandb

    try:
        return wandb.init(**settings)
    except wandb.Error as error:
        reason = " ".join(str(error).split())
        raise NotAvailableError(
            f"logger wandb: {reason}; check the key (wandb login) and logger.wandb.entity and "
            f".project, or write logger.wandb.mode=offline"
        ) from error


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


WANDB = LOGGERS.register(WandbKind())
