"""Base models and tokenizers: built from their dimensions, or loaded from a folder or the hub.

Loading requires safetensors and runs no remote code unless enabled. Nothing here trains,
attaches adapters (`adapters`) or converts packaged weights (`packaged`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from musicllm import console
from musicllm.errors import ConfigError, InputError, NotAvailableError
from musicllm.model import attention as varlen
from musicllm.model import checkpoint, piece_model, published, tensors
from musicllm.model.architecture import (
    READ_AS,
    config_of,
    decoder_config,
    refuse_differences,
    refuse_quantized,
)
from musicllm.model.audio import bundle
from musicllm.model.published import WEIGHT_FILES
from musicllm.model.quantization import keep_differentiable, nf4_options
from musicllm.model.spec import ModelSpec
from musicllm.model.weights import WeightFiles

TOKENIZER_FILES = "tokenizer.json and tokenizer_config.json"


def build(
    spec: ModelSpec,
    *,
    seed: int,
    vocab_size: int | None = None,
    attention: str = varlen.NAME,
) -> PreTrainedModel:
    """Build a model with random weights, which depend on `seed` alone.

    Special token ids are left unset; see `adopt_special_tokens`.

    Args:
        spec: the architecture; `dtype` is that of the weights.
        seed: of the random weights; torch's global random state is not changed.
        vocab_size: tokens, if a tokenizer decides; None for the option's.
        attention: name in `hardware.attention`, or one known to transformers.
    """
    varlen.register()
    config = config_of(spec, vocab_size=vocab_size)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    with seeded(seed):
        return AutoModelForCausalLM.from_config(
            config,
            dtype=getattr(torch, spec.dtype),
            attn_implementation=varlen.implementation(attention),
        )


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch inside the block; its global random state is not changed.

    Args:
        seed: for the CPU and `device`.
        device: the device of the model; it is seeded if it is a CUDA device.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every device
        for cuda in devices:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(seed)
        yield


def load(
    path: str | Path,
    *,
    dtype: str,
    attention: str | None = varlen.NAME,
    dropout: Mapping[str, float] | None = None,
    ignored_tensors: Sequence[str] = (),
    revision: str | None = None,
    trust_remote_code: bool = False,
    quantization: str | None = None,
    accelerator: str = "cpu",
) -> PreTrainedModel:
    """Load a causal language model, from safetensors only.

    Weights are read once and memory-mapped. The headers of local files are checked first. A model
    is returned only if the files contain all of its tensors with their shapes and no others, and
    all elements are finite; tied heads may be missing.

    Args:
        path: a folder, or a hub id.
        dtype: of the weights in memory: float32, float16 or bfloat16.
        attention: name in `hardware.attention`, or one known to transformers; None for torch's
            attention (`sdpa`), or `eager` where the class does not have it, as to read and write.
        dropout: probabilities during training by key of the configuration, such as
            `attention_dropout`; None for the model's own.
        ignored_tensors: regular expressions of stored tensors that are not part of the model.
        revision: of a hub repository.
        trust_remote_code: run code from the model repository.
        quantization: nf4, or None.
        accelerator: cpu or gpu, where a quantized model is loaded; others are on the CPU at first.

    Raises:
        InputError: the folder is missing or lacks files, or files are damaged
            or contain other tensors than the model has; the message names them.
        NotAvailableError: the hub cannot be reached, transformers has no class for this model,
            or quantization is not available.
    """
    varlen.register()
    transformers.utils.logging.disable_progress_bar()
    options = _hub_options(revision, trust_remote_code)
    config = load_config(path, revision=revision, trust_remote_code=trust_remote_code)
    raw = published.read(path, revision)
    config.name_or_path = str(path)
    for key, probability in (dropout or {}).items():
        setattr(config, key, probability)
    if quantization is not None:
        options |= _quantized(quantization, dtype, accelerator)
    options |= {
        "config": config,
        "dtype": getattr(torch, dtype),
        "attn_implementation": varlen.implementation(attention),
        "use_safetensors": True,
        "ignore_mismatched_sizes": True,  # rejected below, all in one error
        "output_loading_info": True,
    }
    stored = checkpoint.open_weights(Path(path)).shapes if Path(path).is_dir() else {}
    try:
        with tensors.reported(path):
            if checkpoint.has_own_layout(raw):
                model, info = _from_own_layout(path, revision, config, options)
            else:
                model, info = AutoModelForCausalLM.from_pretrained(path, **options)
    except OSError as error:
        raise _unreadable(path, WEIGHT_FILES, error) from error
    except SafetensorError as error:
        raise InputError(f"the weights of {path} are damaged: {error}; copy them again") from error
    tensors.refuse_loading_faults(path, model, info, ignored_tensors)
    if Path(path).is_dir():
        tensors.refuse_other_dtypes(path, model, WeightFiles.of_model(Path(path)).dtypes)
    if quantization is not None:
        keep_differentiable(model)
        tensors.refuse_linear_shapes(path, model, stored)
    tensors.refuse_not_finite(path, chain(model.named_parameters(), model.named_buffers()))
    if Path(path).is_dir() and bundle.is_in(path):
        bundle.load(model, Path(path))
    return model


def _from_own_layout(
    path: str | Path, revision: str | None, config: PreTrainedConfig, options: Mapping[str, Any]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load a model whose files have other names than its class, tensor by tensor."""
    folder = checkpoint.local_folder(path, revision)
    weights = checkpoint.open_weights(folder)
    if isinstance(weights, checkpoint.DecoderWeights) and weights.towers:
        console.note(
            f"{len(weights.towers)} tensors of {path} are left out, such as {min(weights.towers)}: "
            f"of a multimodal model, only the text decoder is used"
        )
    own = {key: value for key, value in options.items() if key != "trust_remote_code"}
    loader = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    model, info = loader.from_pretrained(None, state_dict=checkpoint.lazy(weights), **own)
    model.config.name_or_path = model.name_or_path = str(path)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model, info


def load_config(
    path: str | Path, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedConfig:
    """Load the configuration of a model, of its text decoder; errors as in `load`."""
    raw = published.read(path, revision)
    kind = raw["model_type"]
    if kind not in CONFIG_MAPPING and not trust_remote_code and kind not in READ_AS:
        own = ", but may have its own code (model.trust_remote_code)" if "auto_map" in raw else ""
        raise NotAvailableError(
            f"{path} is a model of type {kind!r}, and transformers {transformers.__version__} has "
            f"no class for it{own}"
        )
    try:
        return decoder_config(raw, (str(path), revision) if trust_remote_code else None)
    except ConfigError as error:
        raise InputError(f"{path}/config.json is not that of a model for here: {error}") from error


def check_architecture(spec: ModelSpec) -> None:
    """Compare an option, which plans use, with config.json at its location; reads no weights.

    Raises:
        ConfigError: with a problem for every key that differs and matters.
        MusicLLMError: as `load_config` does.
    """
    assert spec.location is not None, "random weights have the architecture of the option"
    refuse_quantized(spec.location, published.read(spec.location, spec.revision))
    refuse_differences(
        spec,
        load_config(
            spec.location, revision=spec.revision, trust_remote_code=spec.trust_remote_code
        ),
    )


def load_tokenizer(path: str | Path, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a folder or the hub; InternLM2's also from its published files.

    Raises:
        InputError: the folder is missing or lacks files; the message lists them.
        NotAvailableError: the hub cannot be reached, or as `piece_model.load`.
    """
    _refuse_missing_folder(path, TOKENIZER_FILES)
    if (folder := piece_model.folder_of(path, revision)) is not None:
        return piece_model.load(folder)
    if Path(path).is_dir() and not (Path(path) / "tokenizer.json").is_file():
        raise InputError(f"{path} has no tokenizer.json; place {TOKENIZER_FILES} there")
    try:
        return AutoTokenizer.from_pretrained(path, **_hub_options(revision, False))  # never asks
    except OSError as error:
        raise _unreadable(path, TOKENIZER_FILES, error) from error


def load_adapter_tokenizer(
    adapter: Path, path: str | Path, *, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """Load the tokenizer beside an adapter, or else that of its base.

    Args:
        adapter: folder of the adapter.
        path: folder or hub id of the base.
        revision: of the base, if it is on the hub.

    Raises:
        InputError: there is none; the message lists the missing files.
        NotAvailableError: the hub cannot be reached.
    """
    if (adapter / "tokenizer.json").is_file():
        return load_tokenizer(adapter)
    return load_tokenizer(path, revision=revision)


def num_rows_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of embedding rows that a tokenizer needs: its highest id plus one."""
    ids: dict[str, int] = tokenizer.get_vocab()
    return max(ids.values()) + 1


@torch.no_grad()
def add_rows(model: PreTrainedModel, num_rows: int) -> None:
    """Extend embeddings and head by rows with the mean of the old ones; not random.

    Args:
        model: modified in place, including its configuration.
        num_rows: of the result.
    """
    old = model.get_input_embeddings().num_embeddings
    assert num_rows > old, f"{num_rows} rows are not more than {old}"
    model.resize_token_embeddings(num_rows, mean_resizing=False)
    for end in (model.get_input_embeddings(), model.get_output_embeddings()):
        for rows in (end.weight, getattr(end, "bias", None)):
            if rows is not None:
                rows[old:] = rows[:old].float().mean(0)


def adopt_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set the BOS, EOS and padding ids of the model, so that its folder is self-contained."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = getattr(tokenizer, name)
        setattr(model.config, name, value)
        setattr(model.generation_config, name, value)


def _hub_options(revision: str | None, trust_remote_code: bool) -> dict[str, Any]:
    return {"revision": revision or "main", "trust_remote_code": trust_remote_code}


def _quantized(quantization: str, dtype: str, accelerator: str) -> dict[str, Any]:
    """Return keyword arguments for quantization while loading (QLoRA, arXiv 2305.14314)."""
    assert quantization == "nf4", f"unknown quantization {quantization!r} passed the checks"
    return nf4_options(getattr(torch, dtype), accelerator)


def _refuse_missing_folder(path: str | Path, files: str) -> None:
    """Reject missing folders; since hub ids look like paths, only unambiguous paths are checked."""
    text = str(path)
    is_path = isinstance(path, Path) or text.startswith(("/", ".", "~"))
    if is_path and not Path(path).is_dir():
        raise InputError(f"{path} is not a folder; place {files} there")


def _unreadable(path: str | Path, files: str, error: OSError) -> InputError | NotAvailableError:
    if Path(path).is_dir():
        return InputError(f"{path} cannot be read as a model; it needs {files}: {error}")
    return published.offline(str(path), files)
