"""Teacher logits: what a teacher says of every supervised token is stored beside the rows.

Shards are written into `partial/` of the run folder as they are finished: a killed run loses at
most those that were being written, and the same command continues with the others. Several
processes share the shards.
"""

from __future__ import annotations

import shutil
from datetime import timedelta

import torch
from transformers.utils.logging import disable_progress_bar

from musicllm import artifacts, console
from musicllm.data.corpus import Corpus
from musicllm.data.teacher_logits import SPLIT, ShardWriter, num_bytes, rows_identity
from musicllm.errors import StageError
from musicllm.facts import installed_versions
from musicllm.job import Job, code_fingerprint
from musicllm.launch import ranks
from musicllm.runs.distilling import ROLE, model_teacher
from musicllm.schema import ObjectiveConfig
from musicllm.train import group
from musicllm.train.distillation.storing import Lecture

PARTIAL = "partial"
LONGEST_WAIT = timedelta(days=7)
"""How long a process waits for another that has more left to write."""


def run(job: Job) -> list[tuple[str, object]]:
    """Let `inputs.teacher` read the training rows of `inputs.corpus`.

    Raises:
        MusicLLMError: as `model_teacher` does.
        StageError: the disk has no room for what is written.
    """
    disable_progress_bar()
    group.start(job.config.hardware.accelerator, LONGEST_WAIT)
    if ranks.launched():
        group.agree(job.agreement())
    corpus = Corpus.open(job.input("corpus").path)
    rows = corpus.rows(SPLIT)
    top_k, temperature = chosen(job.config.objective)
    vocab_size: int = corpus.facts["vocab_size"]
    size = num_bytes(int(rows.num_supervised.sum()), top_k, vocab_size)
    lecture = Lecture(
        model_teacher(job, corpus, top_k=top_k),
        rows,
        top_k,
        temperature,
        job.config.hardware.max_rows_per_device,
        _device(job),
    )
    writer = ShardWriter(
        job.folder / PARTIAL,
        rows,
        top_k=top_k,
        vocab_size=vocab_size,
        identity=_identity(job),
    )
    _write(job, lecture, writer, size)
    if ranks.is_main():
        with job.writing() as (folder, facts):
            writer.finish(folder / SPLIT)
            facts.update(
                top_k=top_k,
                temperature=temperature,
                vocab_size=vocab_size,
                rows=rows_identity(job.input("corpus")),
                teacher=job.input(ROLE).fingerprint,
                num_tokens=int(rows.num_supervised.sum()),
                num_bytes=size,
                metrics={},
            )
        shutil.rmtree(writer.folder)
    group.barrier()
    group.stop()
    return [
        ("supervised tokens", f"{int(rows.num_supervised.sum()):,} in {len(rows):,} rows"),
        ("top tokens", f"{top_k} of {vocab_size:,}, at temperature {temperature:g}"),
        ("size", f"{size / 1e9:.3f} GB in {len(writer.shards):,} shards"),
    ]


def chosen(settings: ObjectiveConfig) -> tuple[int, float]:
    """Return k and temperature, which the checks have seen to be there."""
    assert settings.top_k is not None, "checks refuse a missing objective.top_k"
    assert settings.temperature is not None, "checks refuse a missing temperature"
    return settings.top_k, settings.temperature


def _write(job: Job, lecture: Lecture, writer: ShardWriter, size: int) -> None:
    """Write this process's part of the missing shards."""
    missing = group.from_main(writer.missing)
    total = len(writer.shards)
    if ranks.is_main():
        if len(missing) < total:
            console.say(f"{total - len(missing):,} of {total:,} shards are there already")
        needed, free = round(size * len(missing) / max(1, total)), _free_bytes(job)
        if needed > free:
            raise StageError(
                f"{job.folder} has {free / 1e9:.1f} GB left, and {needed / 1e9:.1f} GB are to be "
                f"written; free some, or take a smaller objective.top_k"
            )
    own = missing[ranks.rank() :: ranks.world_size()]
    num_rows = sum(len(writer.shards[number]) for number in own)
    with console.progress("teacher", num_rows, "row") as advance:
        for number in own:
            lecture.write(writer, number, advance)
    group.barrier()


def _identity(job: Job) -> str:
    """Return what shards depend on: also what may have changed since they were written."""
    accelerator = job.config.hardware.accelerator
    return artifacts.fingerprint(
        [job.fingerprint, accelerator, code_fingerprint(), installed_versions()]
    )


def _free_bytes(job: Job) -> int:
    return shutil.disk_usage(job.folder).free


def _device(job: Job) -> torch.device:
    if job.config.hardware.accelerator == "cpu":
        if job.config.hardware.num_threads is not None:
            torch.set_num_threads(job.config.hardware.num_threads)
        return torch.device("cpu")
    return torch.device("cuda", ranks.local_rank() if ranks.launched() else 0)
