"""The model that a stage uses: an input, or the one that the configuration names.

An input is a model or an adapter, which is loaded onto the base that it was trained on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from musicllm import console
from musicllm.data.encoder import Encoder
from musicllm.errors import ArtifactError, InputError, NotAvailableError
from musicllm.job import Job
from musicllm.launch import ranks
from musicllm.model import adapters, base, gguf_file, published
from musicllm.model.audio.bridge import bridge_of
from musicllm.runs.bases import Place, base_of, configured
from musicllm.runs.inputs import WRITE_WITH
from musicllm.runs.stages import WRITING
from musicllm.schema import Config
from musicllm.train.capabilities import probe, refuse_precision
from musicllm.train.threads import candidates, quickest

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def place_of(job: Job, role: str = "model") -> Place:
    """Return the location of a model: the input of this role, else `model.location`.

    With `inputs.adapter` the model is that adapter on `inputs.model` or on its own base.

    Raises:
        ArtifactError: there is neither, the input is no model and no adapter, or `bases.base_of`.
    """
    model = job.config.model
    role = "adapter" if role == "model" and "adapter" in job.inputs else role
    if role not in job.inputs and model.location is not None:
        place = configured(model.location, model.revision, job.config)
        return place._replace(ignored_tensors=tuple(model.ignored_tensors))
    artifact = job.input(role)
    if artifact.kind == "adapter":
        return base_of(artifact, job)._replace(adapter=artifact.path)
    if artifact.kind in WRITE_WITH:
        is_folder = (artifact.path / published.CONFIG).is_file()  # an export in 4 bits
        return Place(str(artifact.path if is_folder else gguf_file.find(artifact.path)))
    if artifact.kind != "model":
        raise ArtifactError(
            f"inputs.{role}={artifact.path} is of kind {artifact.kind}, and a model or an adapter "
            f"is needed here"
        )
    return Place(str(artifact.path), ignored_tensors=tuple(model.ignored_tensors))


def load_model(job: Job, role: str = "model") -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer.

    The dtype is that of `hardware.precision`; `auto` is float32 on a CPU, and the stored dtype on a
    GPU. `adapter.quantization=nf4` loads the base in 4 bits.

    Raises:
        MusicLLMError: as `place_of`, `model.base.load` and `model.adapters.load_adapter` do.
        InputError: the weights are in AutoAWQ's layout.
        ConfigError: the device does not support this precision.
        NotAvailableError: a GPU is configured, and there is none.
    """
    place = place_of(job, role)
    config = job.config
    _refuse_awq(place)
    _share_threads(config)
    on_gpu = config.hardware.accelerator == "gpu"
    quantization = config.adapter.quantization
    model: Any = base.load(
        place.path,
        dtype=_dtype(config, place),
        attention=None,
        ignored_tensors=place.ignored_tensors,
        revision=place.revision,
        trust_remote_code=config.model.trust_remote_code,
        quantization=quantization,
        accelerator=config.hardware.accelerator,
    )
    if quantization is None:
        model = model.to("cuda" if on_gpu else "cpu")
    if place.adapter is not None:
        model = adapters.load_adapter(model, place.adapter)
    if bridge_of(model) is not None and config.task in WRITING:
        raise NotAvailableError(
            f"{place.adapter or place.path} is a model that hears, and task={config.task} gives no "
            f"model audio yet; measure it with benchmark=[audio_questions] (docs/AUDIO.md)"
        )
    if not on_gpu and config.hardware.num_threads is None and not ranks.launched():
        torch.set_num_threads(_quickest_threads(model))
    if place.adapter is None:
        tokenizer = base.load_tokenizer(place.path, revision=place.revision)
    else:
        tokenizer = base.load_adapter_tokenizer(place.adapter, place.path, revision=place.revision)
    _note_lacking_rows(model, tokenizer, place)
    return model, tokenizer


def _refuse_awq(place: Place) -> None:
    """Refuse weights in AutoAWQ's layout, for which transformers needs kernels of its own.

    Raises:
        InputError: with the engine that reads them.
    """
    settings = published.read(place.path, place.revision).get("quantization_config") or {}
    if settings.get("quant_method") == "awq":
        raise InputError(
            f"the weights of {place.path} are in 4 bits (AWQ), which are for servers: write with "
            f"inference.engine=vllm, or name the model that they were made of"
        )


def _note_lacking_rows(model: nn.Module, tokenizer: PreTrainedTokenizerBase, place: Place) -> None:
    num_rows = adapters.causal_model(model).get_input_embeddings().num_embeddings
    beyond = [token for token, id_ in tokenizer.get_vocab().items() if id_ >= num_rows]
    if beyond:
        console.note(
            f"the tokenizer in {place.adapter or place.path} has {len(beyond)} tokens for which "
            f"the model has no row ({', '.join(sorted(beyond)[:5])}); a text that holds one of "
            f"them cannot be read"
        )


def _dtype(config: Config, place: Place) -> str:
    precision = config.hardware.precision
    able = probe(config.hardware.accelerator)
    if precision != "auto":
        refuse_precision(precision, able)
        return DTYPES[precision]
    if config.hardware.accelerator == "cpu":
        return "float32"
    stored = base.load_config(
        place.path, revision=place.revision, trust_remote_code=config.model.trust_remote_code
    )
    dtype = stored.dtype or torch.float32
    if dtype == torch.bfloat16 and not able.bf16:
        console.note(f"{able.device} has no bfloat16, in which {place.path} is stored: fp16")
        dtype = torch.float16
    return str(dtype).removeprefix("torch.")


def _share_threads(config: Config) -> None:
    """Divide the cores between the processes of this machine, unless the profile sets them."""
    num_threads = config.hardware.num_threads
    if num_threads is None and ranks.launched() and config.hardware.accelerator == "cpu":
        num_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        num_threads = max(1, torch.get_num_threads() // num_ranks)
    if num_threads is not None:
        torch.set_num_threads(num_threads)


def _quickest_threads(model: nn.Module) -> int:
    """Return the number of threads with which a short forward pass is fastest."""
    tokens = torch.zeros((1, 64), dtype=torch.long)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = model(input_ids=tokens).logits
        return logits

    options = candidates(torch.get_num_threads())
    return quickest(forward, options) if len(options) > 1 else options[0]


def remember_ends(folder: Path) -> None:
    """Store the ids that end an answer in the generation config, for other tools."""
    ends = Encoder(base.load_tokenizer(folder)).end_ids
    settings = GenerationConfig.from_pretrained(folder)
    if len(ends) > 1:
        settings.eos_token_id = ends
        settings.save_pretrained(folder)
