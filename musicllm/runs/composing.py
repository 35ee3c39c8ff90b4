"""Composes a command, with the config.json of the base where the option leaves it to the model.

The one step of composition that may read a file of the model, or, with a hub id, the network.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from musicllm import config as configuration
from musicllm.errors import ConfigError, Problem
from musicllm.model import gguf_file, published
from musicllm.runs.inputs import find_input
from musicllm.runs.stages import WRITING
from musicllm.schema import Config
from musicllm.schema.training import Dtype

BUILDING = ("train", "prepare", "bench")
"""Tasks that need `model.config` beside an input."""


def load(overrides: Sequence[str], folders: Sequence[Path] = ()) -> tuple[Config, str]:
    """Compose, check types and return the configuration and the recipe's name.

    Raises:
        MusicLLMError: as `config.load` and `with_base` do.
    """
    config, recipe = configuration.load(overrides, folders)
    config = with_base(config)
    prefix = "model.config."
    written = [word.lstrip("+").removeprefix(prefix) for word in overrides if prefix in word]
    keys = list(dict.fromkeys(re.split(r"[.=]", word)[0] for word in written))
    if keys and config.model.config:
        from musicllm.model.architecture import refuse_unknown_keys  # imports transformers

        refuse_unknown_keys(config.model.config, keys)
    return config, recipe


def with_base(config: Config) -> Config:
    """Return a configuration whose `model.config` is complete.

    What the user wrote under `model.config` is put over what is read; see `published.read`.

    Raises:
        ConfigError: nothing names the model.
        MusicLLMError: as `published.read` and `inputs.find_input` do.
    """
    model = config.model
    if "model_type" in model.config and model.dtype is None:
        model = dataclasses.replace(model, dtype=_dtype(model.config))
        return dataclasses.replace(config, model=model)
    if "model_type" in model.config or config.task == "pipeline":
        return config
    if config.task not in BUILDING and {"model", "adapter"} & config.inputs.keys():
        return config  # the input has its own
    if config.task in WRITING and _is_written_elsewhere(config):
        return config
    location = model.location
    if location is None and "model" in config.inputs:
        location = str(find_input("inputs.model", config.inputs["model"], config).path)
    if location is None:
        rule = "names no model to read config.json from"
        fix = "write model.location=<hub id or folder>, or choose an option: model=qwen3_0_6b"
        raise ConfigError([Problem("model.location", "null", rule, fix)])
    raw = published.read(location, model.revision)
    dtype = model.dtype or _dtype(raw)
    merged = _over(raw, model.config)
    return dataclasses.replace(config, model=dataclasses.replace(model, config=merged, dtype=dtype))


def _is_written_elsewhere(config: Config) -> bool:
    """Whether a server or a GGUF file writes, which knows the architecture itself."""
    location = config.model.location or ""
    return config.model.endpoint is not None or location.endswith(gguf_file.SUFFIX)


def _dtype(raw: Mapping[str, Any]) -> Any:
    """Return the dtype that config.json names; transformers takes float32 where it names none."""
    parts = (raw, raw.get("text_config") or {})
    names = [part[key] for part in parts for key in ("dtype", "torch_dtype") if part.get(key)]
    name = str(names[0]).removeprefix("torch.") if names else "float32"
    return name if name in get_args(Dtype) else "bfloat16"


def _over(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of config.json with changes, in the text decoder where it has several."""
    if "text_config" not in raw or "text_config" in changes:
        return {**raw, **changes}
    return {**raw, "text_config": {**raw["text_config"], **changes}}
