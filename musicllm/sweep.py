"""Sweeps: `-m` runs one job per combination of values and compares them at the end.

Hydra expands the values and calls the jobs; each job has its own run folder as if it had been run
alone. A job that fails is reported and does not stop the others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

from musicllm import artifacts, config, console
from musicllm.command import Command
from musicllm.errors import MusicLLMError


def main(command: Command) -> int:
    """Hand the command to Hydra (`-m`, `--cfg`, `--info`); return the exit code."""
    import hydra

    failed: list[str] = []

    def task(_: Any) -> dict[str, Any]:
        from hydra.core.hydra_config import HydraConfig

        words = list(HydraConfig.get().overrides.task)
        try:
            return _job(words, command)
        except MusicLLMError as error:
            console.err.print(str(error), style="red", markup=False)
            failed.append(" ".join(words))
            return {"folder": "", "metrics": {}, "error": str(error)}

    search = [f"hydra.searchpath=[{','.join(f'file://{p.resolve()}' for p in command.folders)}]"]
    sys.argv = [
        sys.argv[0],
        *(search if command.folders else []),
        *config.opened(command.overrides),
    ]
    hydra.main(version_base="1.3", config_path=str(config.root().resolve()), config_name="config")(
        task
    )()
    return 1 if failed else 0


def _job(words: list[str], command: Command) -> dict[str, Any]:
    from musicllm import cli, runner
    from musicllm.checks import check

    settings, recipe = config.load(words, command.folders)
    check(settings)
    if settings.stage == "plan" or settings.task == "pipeline":
        cli.dispatch(settings, recipe, Command(tuple(words), command.folders, False))
        return {"folder": "", "metrics": {}}
    outcome = runner.run(settings, recipe)
    return {"folder": str(outcome.folder), "metrics": dict(outcome.metrics)}


class Comparison(Callback):
    """Collects what the jobs of a sweep report, and prints and saves one table at the end."""

    def __init__(self) -> None:
        """Start with no job."""
        self.jobs: list[dict[str, Any]] = []

    def on_job_end(self, config: Any, job_return: Any, **_: Any) -> None:  # noqa: ARG002
        """Keep a job's overrides, folder and metrics."""
        if isinstance(job_return._return_value, dict):
            words = [word for word in job_return.overrides if not word.startswith("recipe=")]
            self.jobs.append({"overrides": words, **job_return._return_value})

    def on_multirun_end(self, config: Any, **_: Any) -> None:
        """Print the table and write `comparison.json` into the sweep's folder."""
        names = sorted({name for job in self.jobs for name in job["metrics"]})
        rows = [
            (" ".join(job["overrides"]), *(_cell(job, name) for name in names), job["folder"])
            for job in self.jobs
        ]
        console.say()
        console.table("Comparison", ("job", *names, "where"), rows)
        file = Path(config.hydra.sweep.dir) / "comparison.json"
        artifacts.write_json(file, self.jobs)
        console.say(f"saved: {file}")


def _cell(job: dict[str, Any], name: str) -> str:
    if "error" in job:
        return "failed"
    value = job["metrics"].get(name, "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
