"""The objective of a training, and its teacher: a model on the fly (`inputs.teacher`)."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.data.corpus import Corpus
from musicllm.errors import ArtifactError, ConfigError, NotAvailableError, Problem
from musicllm.job import Job
from musicllm.model import base, isolation
from musicllm.model.architecture import skeleton
from musicllm.model.attention import choose, needs_of
from musicllm.runs import stored_teacher
from musicllm.runs.certifying import certified
from musicllm.runs.settings import model_spec
from musicllm.runs.teacher_plan import teacher_dtype, with_teacher
from musicllm.schema import Config
from musicllm.train.capabilities import probe
from musicllm.train.distillation.teachers import ModelTeacher, StoredTeacher, Teacher
from musicllm.train.objectives import OBJECTIVES, Objective

ROLE = "teacher"
"""Of a model on the fly, among the inputs."""


def objective_of(job: Job, corpus: Corpus) -> Objective:
    """Return what a training minimises, bound to its teacher if it has one.

    Raises:
        MusicLLMError: as `model_teacher` does.
    """
    settings = job.config.objective
    objective = OBJECTIVES[settings.name]
    return objective.bound(settings, _teacher(job, corpus) if objective.has_teacher else None)


def _teacher(job: Job, corpus: Corpus) -> Teacher:
    if stored_teacher.ROLE in job.inputs:
        return StoredTeacher()
    return model_teacher(job, corpus, top_k=job.config.objective.top_k)


def model_teacher(job: Job, corpus: Corpus, *, top_k: int | None) -> ModelTeacher:
    """Return `inputs.teacher`, loaded and certified as the model that is trained.

    Args:
        job: of the training, or of a stage that stores what the teacher says.
        corpus: whose rows it reads.
        top_k: see `ModelTeacher`.

    Raises:
        ArtifactError: its vocabulary is another than the corpus's, or its context is too short.
        ConfigError: the device does not support its dtype, or `top_k` leaves no rest.
        InputError: its files are missing or damaged.
        NotAvailableError: it would compute another function than it has.
    """
    location = job.input(ROLE).path
    tokenizer = base.load_tokenizer(corpus.tokenizer_path)
    refuse_other_vocabulary(location, base.load_tokenizer(location), corpus.path, tokenizer)
    num_tokens = base.num_rows_of(tokenizer)
    if top_k is not None and top_k >= num_tokens:
        rule = f"leaves no rest of {num_tokens} tokens"
        raise ConfigError([Problem("objective.top_k", top_k, rule, "write null for all of them")])
    config = with_teacher(job.config, location)
    length = corpus.facts["max_length"]
    most = config.model.num_positions
    if most is not None and length > most:
        raise ArtifactError(
            f"inputs.teacher={location} has {most} positions, and the corpus {corpus.path} rows of "
            f"{length} tokens; prepare it again with data.max_length={most}"
        )
    return ModelTeacher(_load(config, length), num_tokens=num_tokens, top_k=top_k)


def _load(config: Config, length: int) -> PreTrainedModel:
    """Load `config.model`, with its documents isolated."""
    hardware, dtype = config.hardware, teacher_dtype(config)
    able = probe(hardware.accelerator)
    if dtype == "bfloat16" and not able.bf16 and hardware.accelerator == "gpu":
        rule = f"is not there on {able.device}, which has no bfloat16"
        raise ConfigError([Problem("objective.teacher_dtype", dtype, rule, "write float16")])
    spec = model_spec(config)
    try:
        attention = choose(
            hardware.attention,
            hardware.accelerator,
            needs_of(skeleton(spec)),
            dtype=dtype,
            lacking=able.lacking,
        )
        certificate = certified(config, attention, length, dtype)
    except NotAvailableError as error:
        raise NotAvailableError(f"inputs.teacher={spec.location}: {error}") from error
    assert spec.location is not None, "a teacher has weights"
    model = base.load(
        spec.location,
        dtype=dtype,
        attention=certificate.attention,
        trust_remote_code=config.model.trust_remote_code,
        quantization=config.objective.teacher_quantization,
        accelerator=hardware.accelerator,
    )
    isolation.choose(model, certificate.isolation)
    return model


def refuse_other_vocabulary(
    location: Path,
    theirs: PreTrainedTokenizerBase,
    corpus: Path,
    ours: PreTrainedTokenizerBase,
) -> None:
    """Compare two vocabularies token by token; how texts are cut into tokens does not matter.

    Args:
        location: of the teacher.
        theirs: its tokenizer.
        corpus: its folder.
        ours: its tokenizer, which is the student's.

    Raises:
        ArtifactError: with the first token that differs.
    """
    pairs = [{number: token for token, number in t.get_vocab().items()} for t in (theirs, ours)]
    for number in range(max(map(max, pairs)) + 1):
        of_teacher, of_student = (tokens.get(number) for tokens in pairs)
        if of_teacher != of_student:
            raise ArtifactError(
                f"inputs.teacher={location} has another vocabulary than the corpus {corpus}: token "
                f"{number} is {_quoted(of_teacher)} there and {_quoted(of_student)} here, so "
                f"distributions cannot be compared; take a teacher with this tokenizer, or train "
                f"on texts that the teacher writes (recipe=distill/sequence)"
            )


def _quoted(token: str | None) -> str:
    return "missing" if token is None else repr(token)
