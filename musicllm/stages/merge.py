"""Merge: an adapter goes into its base, and the model that comes out is checked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.job import Job
from musicllm.model import base, packaged
from musicllm.model.merge import merge
from musicllm.stages.models import remember_ends

CHECK_TEXT = """X:1
T:The Merge
M:6/8
L:1/8
K:D
|: A | dfd edB | AFA ABc | dfd efg | fdd d2 :|
|: g | faf gbg | fed e2 f | gbg faf | edc d2 :|
"""


def run(job: Job) -> list[tuple[str, object]]:
    """Merge `inputs.adapter` into `inputs.model`, or into the base that it was trained on.

    The merged weights have the type of the base's own.
    """
    adapter = job.input("adapter")
    base_path, revision = _base_of(job, adapter)
    dtype = str(base.load_config(base_path, revision=revision).dtype).removeprefix("torch.")
    tokenizer = base.load_tokenizer(adapter.path)
    check_ids = tokenizer(CHECK_TEXT, add_special_tokens=False)["input_ids"]
    with job.writing() as (folder, facts):
        report = merge(
            base_path, adapter.path, folder, dtype=dtype, check_ids=check_ids, revision=revision
        )
        remember_ends(folder)
        facts.update(dataclasses.asdict(report), base=base_path, dtype=dtype)
    return [
        ("base", base_path),
        ("dtype", dtype),
        ("largest change by the adapter", f"{report.max_abs_effect:.3g} in a logit"),
        ("largest difference after merging", f"{report.max_abs_difference:.3g} in a logit"),
        ("allowed", f"{report.tolerance:.3g}"),
        ("same most likely token", f"{report.same_top_token:.1%} of {report.num_positions}"),
    ]


def _base_of(job: Job, adapter: Artifact) -> tuple[str, str | None]:
    """Return folder or hub id of the base, and its revision: an input, or what the adapter says."""
    if "model" in job.inputs:
        return str(job.inputs["model"].path), None
    remembered = adapter.provenance.get("inputs", {}).get("model")
    if remembered is not None:
        return str(remembered["path"]), None
    model = adapter.provenance.get("config", {}).get("model", {})
    if model.get("location") is None:
        raise ArtifactError(
            f"{adapter.path} does not say which base it was trained on; "
            f"write inputs.model=<recipe name or folder of a finished run>"
        )
    return packaged.find(model["location"], Path(job.config.paths.cache)), model["revision"]
