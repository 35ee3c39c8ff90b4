"""Merge: an adapter goes into its base, and the model that comes out is checked."""

from __future__ import annotations

import dataclasses

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from musicllm import console
from musicllm.artifacts import Artifact
from musicllm.errors import ConfigError, NotAvailableError, Problem
from musicllm.job import Job
from musicllm.model import base, published
from musicllm.model.architecture import READ_AS
from musicllm.model.audio import bundle
from musicllm.model.checkpoint import local_folder
from musicllm.model.merge import MergeReport, merge
from musicllm.runs.bases import base_of, weights_at
from musicllm.runs.models import remember_ends

CHECK_TEXT = """X:1
T:The Merge
M:6/8
L:1/8
K:D
|: A | dfd edB | AFA ABc | dfd efg | fdd d2 :|
|: g | faf gbg | fed e2 f | gbg faf | edc d2 :|
"""


def run(job: Job) -> list[tuple[str, object]]:
    """Merge `inputs.adapter` into `inputs.model`, or into the base that it was trained on."""
    adapter, settings = job.input("adapter"), job.config.merge
    place = base_of(adapter, job)
    weights = weights_at(place, job.config)
    quantized = _was_quantized(job, adapter)
    tokenizer = base.load_adapter_tokenizer(adapter.path, place.path, revision=place.revision)
    check_ids = tokenizer(CHECK_TEXT, add_special_tokens=False)["input_ids"]
    _refuse_own_code(place.path, place.revision)
    base.load_config(place.path, revision=place.revision)  # before weights are downloaded
    source = local_folder(place.path, place.revision)
    with job.writing() as (folder, facts):
        report = merge(
            source,
            adapter.path,
            folder,
            dtype=settings.dtype,
            max_shard_gb=settings.max_shard_gb,
            check_ids=check_ids,
            dequantize=_dequantize(job, adapter),
            ignored_tensors=place.ignored_tensors,
            layout=settings.layout,
        )
        if not bundle.copy(adapter.path, folder):
            bundle.copy(source, folder)
        remember_ends(folder)
        facts.update(dataclasses.asdict(report), base=place.path, base_weights=weights)
        if quantized:
            facts["quantized_base"] = settings.quantized_base
    return [
        ("base", place.path),
        *([("base in 4 bits", settings.quantized_base)] if quantized else []),
        *_rows_of(report),
    ]


def _refuse_own_code(path: str, revision: str | None) -> None:
    """Refuse a base whose class is code of its own.

    Raises:
        NotAvailableError: merging does not run such code.
    """
    raw = published.read(path, revision)
    if "auto_map" in raw and raw["model_type"] not in {*CONFIG_MAPPING, *READ_AS}:
        raise NotAvailableError(
            f"{path} runs on code of its own, which merging does not do; use the adapter as it is: "
            f"inputs.model=<its folder> model.trust_remote_code=true"
        )


def _rows_of(report: MergeReport) -> list[tuple[str, object]]:
    """Return size and precision of the merged weights, as rows of the summary."""
    files = "1 file" if report.num_shards == 1 else f"{report.num_shards} files"
    return [
        ("dtype", report.dtype),
        ("parameters", f"{report.num_parameters:,}"),
        ("weights", f"{report.num_bytes / 1e9:.2f} GB in {files}"),
        ("largest change by the adapter", f"{report.max_abs_effect:.3g} in a logit"),
        ("largest difference after merging", f"{report.max_abs_difference:.3g} in a logit"),
        ("allowed", f"{report.tolerance:.3g}"),
        ("same most likely token", f"{report.same_top_token:.1%} of {report.num_positions}"),
    ]


def _dequantize(job: Job, adapter: Artifact) -> str | None:
    """Return the dtype that the base had in training before it was quantized, if it should be."""
    if job.config.merge.quantized_base == "full_precision":
        return None
    dtype: str = adapter.facts.get("compute_dtype", "stored")
    return dtype


def _was_quantized(job: Job, adapter: Artifact) -> bool:
    """Tell whether the adapter was trained over a base in 4 bits, and what that means here.

    Raises:
        ConfigError: dequantizing is configured, but the adapter was not trained over 4 bits.
    """
    quantized_base = job.config.merge.quantized_base
    trained = adapter.provenance.get("config", {}).get("adapter", {})
    quantized: bool = trained.get("quantization") == "nf4"
    if trained and not quantized and quantized_base == "dequantize":
        rule = f"does not fit {adapter.path}, which was trained over a base in full precision"
        fix = "write full_precision"
        raise ConfigError([Problem("merge.quantized_base", quantized_base, rule, fix)])
    if quantized and quantized_base == "full_precision":
        console.note(
            "the adapter was trained over a base in 4 bits and goes into one in full precision, "
            "so what comes out is not exactly what was trained; merge.quantized_base=dequantize "
            "merges into the base that the adapter saw"
        )
    return quantized
