"""Results for loggers: CSV, TensorBoard and Weights & Biases.

Of a comparison every model is a step, so that a benchmark is a line over the order of models. wandb
also gets tables, pictures and the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from musicllm.evals.results import Metrics
from musicllm.report.tables import Table
from musicllm.schema import LoggerConfig
from musicllm.train import loggers
from musicllm.train.loggers import LoggedRun, ResultTable


def log_results(
    settings: Sequence[LoggerConfig],
    run: LoggedRun,
    artifact: Path,
    kind: str,
    *,
    steps: Sequence[Mapping[str, Metrics]],
    tables: Mapping[str, Table],
    pictures: Sequence[Path] = (),
    page: Path | None = None,
) -> None:
    """Log results to every logger, and close the loggers.

    Args:
        settings: of the loggers.
        run: whose artifact is complete; its `start_step` is 0.
        artifact: folder of the artifact.
        kind: of the artifact.
        steps: metrics by benchmark, of one model or of several in order.
        tables: by name.
        pictures: PNG files.
        page: HTML file.

    Raises:
        NotAvailableError: a logger's package is not installed.
    """
    for logger_kind, logger in loggers.build(settings, run):
        for step, metrics in enumerate(steps):
            logger.log_metrics(_numbers(metrics), step=step)
        logger_kind.show_results(
            logger,
            len(steps) - 1,
            {f"{kind}/{name}": _texts(table) for name, table in tables.items()},
            {f"{kind}/{path.stem}": path for path in pictures},
            {} if page is None else {f"{kind}/report": page},
        )
        logger.finalize("success")
    loggers.log_artifact(settings, replace(run, start_step=len(steps)), artifact, kind)
    loggers.close()


def _numbers(by_benchmark: Mapping[str, Metrics]) -> dict[str, float | int]:
    """Return what was measured of a model; what was not is left out."""
    return {
        f"{benchmark}/{metric}": value
        for benchmark, metrics in by_benchmark.items()
        for metric, value in metrics.items()
        if value is not None
    }


def _texts(table: Table) -> ResultTable:
    return ResultTable([name or "what" for name in table.columns], table.texts())
