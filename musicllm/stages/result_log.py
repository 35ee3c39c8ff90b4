"""Results where metrics go: in CSV, TensorBoard and Weights & Biases.

Of a comparison every model is a step, so that a benchmark is a line over the order of models. wandb
also gets tables, pictures and the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from musicllm.evals.results import Metrics
from musicllm.job import Job, public
from musicllm.report.tables import Table
from musicllm.stages.watching import logger_specs
from musicllm.train import loggers


def log(
    job: Job,
    steps: Sequence[Mapping[str, Metrics]],
    tables: Mapping[str, Table],
    pictures: Sequence[Path] = (),
    page: Path | None = None,
) -> None:
    """Tell every configured logger, and end what it keeps open.

    Args:
        job: whose artifact is complete.
        steps: metrics by benchmark, of one model or of several in order.
        tables: by name.
        pictures: PNG files.
        page: HTML.

    Raises:
        NotAvailableError: a logger's package is not installed.
    """
    specs, settings = logger_specs(job.config), public(job.config)
    made = loggers.build(specs, job.folder, start_step=0, run_id=job.fingerprint, settings=settings)
    for logger in made:
        for step, metrics in enumerate(steps):
            logger.log_metrics(_numbers(metrics), step=step)
        if type(logger).__name__ == "WandbLogger":
            shown = _shown(tables, pictures, page)
            named = {f"{job.kind}/{name}": value for name, value in shown.items()}
            logger.log_metrics(named, step=len(steps) - 1)
        logger.finalize("success")
    loggers.log_artifact(
        specs,
        job.folder,
        num_steps=len(steps),
        run_id=job.fingerprint,
        settings=settings,
        artifact=job.artifact_path,
        kind=job.kind,
    )
    loggers.close()


def _numbers(by_benchmark: Mapping[str, Metrics]) -> dict[str, float | int]:
    """Return what was measured of a model; what was not is left out."""
    return {
        f"{benchmark}/{metric}": value
        for benchmark, metrics in by_benchmark.items()
        for metric, value in metrics.items()
        if value is not None
    }


def _shown(
    tables: Mapping[str, Table], pictures: Sequence[Path], page: Path | None
) -> dict[str, Any]:
    import wandb

    shown: dict[str, Any] = {name: _table(table) for name, table in tables.items()}
    shown |= {path.stem: wandb.Image(str(path)) for path in pictures}
    if page is not None:
        shown["report"] = wandb.Html(page.read_text(encoding="utf-8"), inject=False)
    return shown


def _table(table: Table) -> Any:
    """Return a table of texts for wandb, every interval in brackets behind its value."""
    import wandb

    cells = [[row.head, *map(str, row.cells)] for row in table.rows]
    return wandb.Table(columns=[name or "what" for name in table.columns], data=cells)
