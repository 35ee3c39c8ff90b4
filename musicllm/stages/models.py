"""The model that a stage uses: an input, or the one that the configuration names."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.errors import ArtifactError
from musicllm.job import Job
from musicllm.model import base, packaged


def model_path(job: Job, role: str = "model") -> str:
    """Return the folder or hub id of a model that is ready to use.

    Args:
        job: the input of this role goes first, then `model.location`.
        role: of the input.

    Raises:
        ArtifactError: there is neither, or the input is an adapter.
    """
    location = job.config.model.location
    if role not in job.inputs and location is not None:
        return packaged.find(location, Path(job.config.paths.cache))
    artifact = job.input(role)
    if artifact.kind != "model":
        raise ArtifactError(
            f"inputs.{role}={artifact.path} is of kind {artifact.kind}, and a model is "
            f"needed here; an adapter becomes one with: python -m musicllm recipe=merge "
            f"inputs.adapter={artifact.path}"
        )
    return str(artifact.path)


def load_model(job: Job, role: str = "model") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer: in float32 on a CPU, as its weights are stored on a GPU.

    Raises:
        MusicLLMError: as `model_path` and `model.base.load` do.
    """
    path = model_path(job, role)
    config = job.config
    if config.hardware.num_threads is not None:
        torch.set_num_threads(config.hardware.num_threads)
    trusted = config.model.trust_remote_code
    device = "cuda" if config.hardware.accelerator == "gpu" else "cpu"
    stored = str(base.load_config(path, trust_remote_code=trusted).dtype).removeprefix("torch.")
    dtype = "float32" if device == "cpu" else stored
    model = base.load(path, dtype=dtype, attention="sdpa", trust_remote_code=trusted)
    return model.to(device), base.load_tokenizer(path)


def remember_ends(folder: Path) -> None:
    """Let other tools stop where our chat template ends an answer, which may not end the text."""
    ends = Encoder(base.load_tokenizer(folder)).end_ids
    settings = GenerationConfig.from_pretrained(folder)
    if len(ends) > 1:
        settings.eos_token_id = ends
        settings.save_pretrained(folder)
