"""Serve: the API over a model, until it is stopped. It makes no artifact."""

from __future__ import annotations

from musicllm.job import Job
from musicllm.runs.serving import serve


def run(job: Job) -> list[tuple[str, object]]:
    """Serve `inputs.model`, or the model of the configuration; raises as `serve`."""
    serve(job, page=False)
    return []
