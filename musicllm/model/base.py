"""Base models and tokenizers: built from their dimensions, or loaded from a folder or the hub.

Loading requires safetensors and runs no remote code unless enabled. Nothing here trains,
attaches adapters (`adapters`) or converts packaged weights (`packaged`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from musicllm import quoting
from musicllm.errors import ConfigError, InputError, NotAvailableError, Problem
from musicllm.model import attention as varlen
from musicllm.model import piece_model, tensors
from musicllm.model.spec import ModelSpec
from musicllm.model.weights import WeightFiles

LAYOUTS = {"llama": "llama", "internlm2": "llama"}
"""Architecture of an option -> transformers class that has its shapes. InternLM2 is Llama with
the query, key and value matrices stacked into one, so its parameters count the same."""

WEIGHT_FILES = "config.json and model.safetensors (or its shards with their index)"
TOKENIZER_FILES = "tokenizer.json and tokenizer_config.json"


def architecture_of(spec: ModelSpec, *, vocab_size: int | None = None) -> PreTrainedConfig:
    """Return the transformers configuration with the dimensions of a model option.

    Args:
        spec: the model option.
        vocab_size: tokens, if a tokenizer decides; None for the option's.

    Raises:
        ConfigError: an architecture that is not supported here.
    """
    if spec.architecture not in LAYOUTS:
        rule = f"is not known here; known: {', '.join(LAYOUTS)}"
        raise ConfigError([Problem("model.architecture", spec.architecture, rule)])
    return AutoConfig.for_model(
        LAYOUTS[spec.architecture],
        vocab_size=vocab_size or spec.vocab_size,
        hidden_size=spec.hidden_size,
        intermediate_size=spec.intermediate_size,
        num_hidden_layers=spec.num_hidden_layers,
        num_attention_heads=spec.num_attention_heads,
        num_key_value_heads=spec.num_key_value_heads,
        max_position_embeddings=spec.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": spec.rope_theta},
        rms_norm_eps=spec.rms_norm_eps,
        tie_word_embeddings=spec.tie_word_embeddings,
        attention_dropout=spec.attention_dropout,
        initializer_range=spec.initializer_range,
    )


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
    config = architecture_of(spec, vocab_size=vocab_size)
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
    attention: str = varlen.NAME,
    attention_dropout: float | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    quantization: str | None = None,
) -> PreTrainedModel:
    """Load a causal language model, from safetensors only.

    Weights are read once and memory-mapped. The headers of local files are checked first. A model
    is returned only if the files contain all of its tensors with their shapes and no others, and
    all elements are finite; tied heads may be missing.

    Args:
        path: a folder, or a hub id.
        dtype: of the weights in memory: float32, float16 or bfloat16.
        attention: name in `hardware.attention`, or one known to transformers.
        attention_dropout: probability during training; None for the model's own.
        revision: of a hub repository.
        trust_remote_code: run code from the model repository.
        quantization: nf4, or None.

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
    config.name_or_path = str(path)
    if attention_dropout is not None:
        config.attention_dropout = attention_dropout
    if quantization is not None:
        options |= _quantized(quantization, dtype)
    stored = WeightFiles.of_model(Path(path)).shapes if Path(path).is_dir() else {}
    try:
        with tensors.reported(path):
            model, info = AutoModelForCausalLM.from_pretrained(
                path,
                config=config,
                dtype=getattr(torch, dtype),
                attn_implementation=varlen.implementation(attention),
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # rejected below, all in one error
                output_loading_info=True,
                **options,
            )
    except OSError as error:
        raise _unreadable(path, WEIGHT_FILES, error) from error
    except SafetensorError as error:
        raise InputError(f"the weights of {path} are damaged: {error}; copy them again") from error
    tensors.refuse_loading_faults(path, model, info)
    if quantization is not None:
        tensors.refuse_linear_shapes(path, model, stored)
    tensors.refuse_not_finite(path, chain(model.named_parameters(), model.named_buffers()))
    return model


def load_config(
    path: str | Path, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedConfig:
    """Load the configuration of a model; errors as in `load`."""
    options = _hub_options(revision, trust_remote_code)
    _refuse_missing_folder(path, WEIGHT_FILES)
    _refuse_adapter(path)
    try:
        raw, _ = PreTrainedConfig.get_config_dict(path, revision=revision)
        kind = raw.get("model_type")
        if kind is None:
            raise InputError(f"{path}/config.json does not say model_type, so it is of no model")
        if kind not in CONFIG_MAPPING and not trust_remote_code:
            raise NotAvailableError(
                f"{path} is a model of type {kind!r}, and transformers "
                f"{transformers.__version__} has no class for it, so it can be planned but not "
                f"loaded"
            )
        return AutoConfig.from_pretrained(path, **options)
    except OSError as error:
        raise _unreadable(path, WEIGHT_FILES, error) from error


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
        return AutoTokenizer.from_pretrained(path, revision=revision or "main")
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


def check_architecture(spec: ModelSpec, config: PreTrainedConfig) -> None:
    """Compare the dimensions of an option, which plans use, with those of the actual model.

    Raises:
        ConfigError: with a problem for every value that differs.
    """
    real: dict[str, Any] = {
        "architecture": config.model_type,
        "rope_theta": (config.rope_parameters or {}).get("rope_theta"),
    }
    names = (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "max_position_embeddings",
        "rms_norm_eps", "tie_word_embeddings",
    )  # fmt: skip
    real |= {name: getattr(config, name) for name in names}
    problems = [
        Problem(
            f"model.{name}",
            getattr(spec, name),
            f"differs from the weights of {spec.location}, which have {value}",
            f"write {value}",
        )
        for name, value in real.items()
        if not _same(getattr(spec, name), value)
    ]
    if problems:
        raise ConfigError(problems)


def _same(planned: object, real: object) -> bool:
    """Compare two values; some formats store 1e-5 in float32."""
    if isinstance(planned, float) and isinstance(real, float):
        return math.isclose(planned, real, rel_tol=1e-6)
    return planned == real


def _hub_options(revision: str | None, trust_remote_code: bool) -> dict[str, Any]:
    return {"revision": revision or "main", "trust_remote_code": trust_remote_code}


def _quantized(quantization: str, dtype: str) -> dict[str, Any]:
    """Return keyword arguments for quantization while loading (QLoRA, arXiv 2305.14314)."""
    from musicllm.model.quantization import nf4_options

    assert quantization == "nf4", f"unknown quantization {quantization!r} passed the checks"
    return nf4_options(getattr(torch, dtype))


def _refuse_missing_folder(path: str | Path, files: str) -> None:
    """Reject missing folders; since hub ids look like paths, only unambiguous paths are checked."""
    text = str(path)
    is_path = isinstance(path, Path) or text.startswith(("/", ".", "~"))
    if is_path and not Path(path).is_dir():
        raise InputError(f"{path} is not a folder; place {files} there")


def _refuse_adapter(path: str | Path) -> None:
    folder = Path(path)
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        merge = quoting.command("recipe=merge", quoting.argument("inputs.adapter", path))
        raise InputError(
            f"{path} is an adapter and no whole model; evaluate it or write with it by "
            f"{quoting.typed('inputs.model', path)}, or merge it into its base: {merge}"
        )


def _unreadable(path: str | Path, files: str, error: OSError) -> InputError | NotAvailableError:
    if Path(path).is_dir():
        return InputError(f"{path} cannot be read as a model; it needs {files}: {error}")
    return NotAvailableError(
        f"{path} is neither a folder here nor a repository that can be reached on the hub; "
        f"without a network place {files} in a folder and name that folder instead"
    )
