"""A comparison where metrics go: in CSV, TensorBoard and Weights & Biases.

Every model is a step, so that a benchmark is a line over the order of models. wandb also gets the
tables, the pictures and the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicllm.evals.report.compare_page import ComparePage
from musicllm.evals.report.contestants import Contestant
from musicllm.evals.report.tables import Table
from musicllm.job import Job, public
from musicllm.stages.watching import logger_specs
from musicllm.train import loggers


def log(
    job: Job, contestants: Sequence[Contestant], page: ComparePage, pictures: Sequence[Path]
) -> None:
    """Tell every configured logger, and end what it keeps open.

    Args:
        job: whose artifact is complete.
        contestants: the models, in order.
        page: the tables.
        pictures: PNG files.

    Raises:
        NotAvailableError: a logger's package is not installed.
    """
    specs, settings = logger_specs(job.config), public(job.config)
    made = loggers.build(specs, job.folder, start_step=0, run_id=job.fingerprint, settings=settings)
    for logger in made:
        for step, one in enumerate(contestants):
            logger.log_metrics(_numbers(one), step=step)
        if type(logger).__name__ == "WandbLogger":
            shown = _shown(page, pictures, job.folder / "report.html")
            logger.log_metrics(shown, step=len(contestants) - 1)
        logger.finalize("success")
    loggers.log_artifact(
        specs,
        job.folder,
        num_steps=len(contestants),
        run_id=job.fingerprint,
        settings=settings,
        artifact=job.artifact_path,
        kind=job.kind,
    )
    loggers.close()


def _numbers(one: Contestant) -> dict[str, float | int]:
    """Return what was measured of a model; what was not is left out."""
    return {
        f"{benchmark}/{metric}": value
        for benchmark, metrics in one.metrics.items()
        for metric, value in metrics.items()
        if value is not None
    }


def _shown(page: ComparePage, pictures: Sequence[Path], report: Path) -> dict[str, Any]:
    import wandb

    tables = {"overview": page.overview, "significance": page.significance}
    return {
        **{f"comparison/{name}": _table(table) for name, table in tables.items() if table},
        **{f"comparison/{path.stem}": wandb.Image(str(path)) for path in pictures},
        "comparison/report": wandb.Html(report.read_text(encoding="utf-8"), inject=False),
    }


def _table(table: Table) -> Any:
    """Return a table of texts for wandb, every interval in brackets behind its value."""
    import wandb

    cells = [
        [row.head, *(f"{c.text} ({c.interval})" if c.interval else c.text for c in row.cells)]
        for row in table.rows
    ]
    return wandb.Table(columns=[name or "what" for name in table.columns], data=cells)
