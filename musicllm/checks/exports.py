"""Rules on exports: those of their format, and where they are uploaded to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from musicllm.checks.tasks import needs
from musicllm.errors import Problem
from musicllm.model.export import EXPORTERS
from musicllm.schema import Config

REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
"""A repository of the hub, with its owner."""


def settings(config: Config) -> Iterator[Problem]:
    """Yield what the format refuses or misses, and a repository that cannot be one."""
    if config.task != "export":
        return
    spec = config.export
    exporter = EXPORTERS.get(spec.format)  # `values` reports one that does not exist
    if exporter is not None:
        yield from exporter.problems(spec)
        if exporter.needs_texts and "texts" not in config.inputs:
            yield needs("texts", exporter.needs_texts)
    if spec.push_to_hub is not None and not REPOSITORY.fullmatch(spec.push_to_hub):
        rule = "is no repository of the hub"
        yield Problem("export.push_to_hub", spec.push_to_hub, rule, "write <owner>/<name>")
    if spec.push_to_hub is None and not spec.dry_run:
        rule = "uploads nothing, since export.push_to_hub=null names no repository"
        yield Problem("export.dry_run", "false", rule, "write export.push_to_hub=<owner>/<name>")
    if "model" not in config.inputs and config.model.location is None:
        yield needs("model", "there is nothing to export")
