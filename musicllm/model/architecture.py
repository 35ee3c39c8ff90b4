"""The architecture of a base model: from its config.json to a configuration and a class.

A `ModelSpec` carries the config.json of the base; all that depends on the architecture starts
here. Nothing reads weights. Code of the model's repository runs only where it is enabled.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from musicllm.errors import ConfigError, NotAvailableError, Problem
from musicllm.model import internlm2
from musicllm.model.spec import ModelSpec

READ_AS = {internlm2.MODEL_TYPE: internlm2.as_llama}
"""`model_type` without a class in transformers -> how its config.json reads for another class."""

INTERNLM2_KEYS = ("bias",)
"""Keys of InternLM2 that its class here does not have."""

WITHOUT_EFFECT = frozenset({
    "_name_or_path", "_model_name_or_path", "_commit_hash", "architectures", "auto_map", "dtype",
    "torch_dtype", "initializer_range", "transformers_version", "use_cache", "bos_token_id",
    "eos_token_id", "pad_token_id", "unk_token_id", "id2label", "label2id", "return_dict",
    "output_attentions", "output_hidden_states", "output_router_logits", "router_aux_loss_coef",
    "router_jitter_noise", "problem_type", "chunk_size_feed_forward", "is_encoder_decoder",
    "quantization_config", "model_type", "pretraining_tp", "_attn_implementation",
    "keys_to_ignore_at_inference", "max_window_layers",
})  # fmt: skip
"""Keys that do not change what the weights compute; others must agree with the base."""


def config_of(spec: ModelSpec, *, vocab_size: int | None = None) -> PreTrainedConfig:
    """Return the transformers configuration of a model option: that of its text decoder.

    Of a multimodal wrapper (one with a `text_config`) only the decoder is taken.

    Args:
        spec: the model option.
        vocab_size: tokens, if a tokenizer decides; None for the option's.

    Raises:
        ConfigError: a value that the class does not accept, a misspelled key, an encoder, or a
            `model_type` without a class in this version of transformers.
    """
    config = decoder_config(spec.config, _code_of(spec))
    if vocab_size is not None:
        config.vocab_size = vocab_size
    return config


def _code_of(spec: ModelSpec) -> tuple[str, str | None] | None:
    """Return location and revision of the model's own code, if it may run."""
    return (spec.location, spec.revision) if spec.trust_remote_code and spec.location else None


def decoder_config(
    raw: Mapping[str, Any], code: tuple[str, str | None] | None = None
) -> PreTrainedConfig:
    """Return the configuration of the text decoder from the content of a config.json.

    Args:
        raw: content of config.json.
        code: location and revision of the model's own code, if it may run; None otherwise.

    Raises:
        ConfigError: as `config_of`.
    """
    raw = _readable(raw)
    return copy.deepcopy(_config_of(_as_json(raw), code if "auto_map" in raw else None))


def skeleton(spec: ModelSpec, *, vocab_size: int | None = None) -> PreTrainedModel:
    """Return the model on torch's meta device: shapes only. Shared, so do not change it.

    Takes 0.1 s for most models, whatever their size.

    Raises:
        ConfigError: as `config_of`, or the class refuses the configuration.
    """
    code = _code_of(spec)
    raw = _readable(spec.config)
    return _skeleton(_as_json(raw), code if "auto_map" in raw else None, vocab_size)


def dropouts(config: PreTrainedConfig) -> dict[str, float]:
    """Return the dropout probabilities of a configuration by key; 0 where there is none."""
    known = vars(type(config)()).keys()
    return {
        key: float(value)
        for key, value in sorted(config.to_dict().items())
        if is_dropout(key)
        and (key in known or type(config).__module__.startswith("transformers_modules"))
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    }


def head_dim_of(config: PreTrainedConfig) -> int:
    """Return the most features of an attention head; layers of some models differ."""
    keys = ("head_dim", "global_head_dim", "qk_head_dim", "v_head_dim")
    sizes = [size for key in keys if isinstance(size := getattr(config, key, None), int)]
    return max(sizes) if sizes else int(config.hidden_size // config.num_attention_heads)


def attention_dropout_of(config: PreTrainedConfig) -> float:
    """Return the probability with which attention weights are zeroed during training."""
    keys = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob", "attn_dropout")
    return max(float(getattr(config, key, None) or 0.0) for key in keys)


def is_dropout(key: str) -> bool:
    """Return whether a key of a configuration is a dropout probability."""
    is_of_task = "summary" in key or "classifier" in key
    return not is_of_task and ("dropout" in key or key.endswith(("pdrop", "layerdrop")))


def differences(spec: ModelSpec, real: PreTrainedConfig) -> Iterator[Problem]:
    """Yield the keys in which an option differs from the configuration of actual weights.

    Dropout, token ids and what else does not change the function of the weights may differ.

    Args:
        spec: the option.
        real: of the weights; of its text decoder.
    """
    planned, actual = _comparable(config_of(spec)), _comparable(real)
    kind = config_of(spec).model_type
    if kind != real.model_type:
        rule = f"differs from {spec.location}, which is of type {real.model_type}"
        yield Problem("model.config.model_type", kind, rule, _read_instead(spec))
        return
    for key in sorted(planned.keys() | actual.keys()):
        ours, theirs = planned.get(key), actual.get(key)
        if not _same(ours, theirs):
            rule = f"differs from the weights of {spec.location}, which have {theirs}"
            fix = f"write model.config.{key}={json.dumps(theirs)}, or {_read_instead(spec)}"
            yield Problem(f"model.config.{key}", ours, rule, fix)


def refuse_differences(spec: ModelSpec, real: PreTrainedConfig) -> None:
    """Compare an option, which plans use, with the configuration of the actual weights.

    Raises:
        ConfigError: with a problem for every value that differs.
    """
    problems = list(differences(spec, real))
    if problems:
        raise ConfigError(problems)


def refuse_quantized(location: object, raw: Mapping[str, Any]) -> None:
    """Refuse a model whose weights are stored quantized: they cannot be trained as they are.

    Args:
        location: for the message.
        raw: content of config.json.

    Raises:
        ConfigError: it has a `quantization_config`.
    """
    decoder = raw.get("text_config") or {}
    settings = raw.get("quantization_config") or decoder.get("quantization_config")
    if settings:
        method = settings.get("quant_method") if isinstance(settings, Mapping) else settings
        rule = f"says that the weights of {location} are stored quantized, which cannot be trained"
        fix = "use the repository in bfloat16 or float16; adapter=qlora_r64 quantizes it here"
        raise ConfigError([Problem("model.config.quantization_config", method, rule, fix)])


def text_decoder(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the configuration of the text decoder, which is `config` itself in most models."""
    text: PreTrainedConfig = config.get_text_config(decoder=True)
    return text


def _readable(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the content of config.json for a class that transformers has, if there is one."""
    read_as = READ_AS.get(raw.get("model_type", ""))
    return raw if read_as is None else read_as(raw)


@lru_cache(maxsize=32)
def _config_of(text: str, code: tuple[str, str | None] | None) -> PreTrainedConfig:
    raw = json.loads(text, object_hook=_number)
    kind = raw.get("model_type")
    if code is not None:
        location, revision = code
        try:
            whole = AutoConfig.from_pretrained(
                location, revision=revision or "main", trust_remote_code=True
            )
        except Exception as error:  # whatever code of a model raises
            words = " ".join(str(error).split())[:300]
            raise NotAvailableError(
                f"the code of {location} does not run: {type(error).__name__}: {words}"
            ) from error
        for key, value in raw.items():
            if key not in ("auto_map", "model_type"):
                setattr(whole, key, value)
        return text_decoder(whole)
    if kind not in CONFIG_MAPPING:
        rule = f"has no class in transformers {transformers.__version__}"
        fix = nearest_type(str(kind))
        if "auto_map" in raw:
            fix = "write model.trust_remote_code=true to run the code of its repository"
        raise ConfigError([Problem("model.config.model_type", kind, rule, fix)])
    try:
        # published files have keys in either form of transformers 4 and 5; `from_dict` reads both
        whole = CONFIG_MAPPING[kind].from_dict(raw | {"model_type": kind})
    except ConfigError:
        raise
    except Exception as error:  # transformers validates with errors of several libraries
        words = " ".join(str(error).split())
        raise ConfigError(
            [Problem("model.config", kind, f"is refused by its class: {words}")]
        ) from error
    config = text_decoder(whole)
    refuse_without_decoder(config)
    _refuse_misspelled(raw, whole)
    return config


def refuse_without_decoder(config: PreTrainedConfig) -> None:
    """Refuse a model that is no causal language model.

    Raises:
        ConfigError: it is an encoder, or transformers has no causal class for it.
    """
    kind = config.model_type
    is_encoder = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(
        config, "is_decoder", False
    )
    is_causal = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    if is_encoder or not is_causal or config.is_encoder_decoder:
        what = "an encoder" if is_encoder else "not a causal language model"
        rule = f"is {what}: it does not write text from left to right"
        fix = "use a causal language model, such as model=qwen3_0_6b"
        raise ConfigError([Problem("model.config.model_type", kind, rule, fix)])


@lru_cache(maxsize=16)
def _skeleton(
    text: str, code: tuple[str, str | None] | None, vocab_size: int | None
) -> PreTrainedModel:
    config = copy.deepcopy(_config_of(text, code))
    if vocab_size is not None:
        config.vocab_size = vocab_size
    return on_meta(config, trust_remote_code=code is not None)


def on_meta(config: PreTrainedConfig, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """Return a model of a configuration on the meta device.

    Raises:
        ConfigError: the class refuses the configuration.
        NotAvailableError: a package is missing that the class needs.
    """
    try:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(
                config,
                attn_implementation="eager",  # which every class has
                trust_remote_code=trust_remote_code,
            )
    except ImportError as error:
        raise NotAvailableError(f"{config.model_type}: {' '.join(str(error).split())}") from error
    except Exception as error:  # transformers and code of a model validate with many errors
        words = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        rule = f"is refused by its class: {words}"
        raise ConfigError([Problem("model.config", config.model_type, rule)]) from error
    return model


def nearest_type(kind: str) -> str:
    """Return ` did you mean X?` for the most similar model type, or how to get a newer one."""
    matches = difflib.get_close_matches(kind, list(CONFIG_MAPPING.keys()), n=1, cutoff=0.8)
    return f"did you mean {matches[0]}?" if matches else "a newer transformers may have one"


def refuse_unknown_keys(raw: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Refuse keys that a user writes and that have no effect.

    Args:
        raw: content of config.json, with these keys.
        keys: that were written, of the text decoder.

    Raises:
        ConfigError: with a problem for every key that the class does not know, or that another
            key replaces; and for dropout that is no probability.
    """
    decoder = raw.get("text_config", raw)
    kind = READ_AS.get(decoder.get("model_type"), decoder.get("model_type"))
    problems = []
    for key in keys:
        value = decoder.get(key)
        if is_dropout(key) and not (isinstance(value, int | float) and 0 <= value < 1):
            rule = "must be a probability from 0 to below 1"
            problems.append(Problem(f"model.config.{key}", value, rule))
        if key in ("rope_theta", "rope_scaling") and "rope_parameters" in decoder:
            rule = "has no effect beside rope_parameters"
            fix = "write model.config.rope_parameters.rope_theta or another key below it"
            problems.append(Problem(f"model.config.{key}", value, rule, fix))
        if kind not in CONFIG_MAPPING or "auto_map" in raw:
            continue  # code of its own reads what it likes
        cls = CONFIG_MAPPING[kind]
        known = {*vars(cls()), *cls.attribute_map, *WITHOUT_EFFECT, "rope_theta", "rope_scaling"}
        if key not in known and key not in INTERNLM2_KEYS:
            matches = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            fix = f"did you mean {matches[0]}?" if matches else "leave it out"
            rule = f"is no key of {cls.__name__}, so it has no effect"
            problems.append(Problem(f"model.config.{key}", value, rule, fix))
    if problems:
        raise ConfigError(problems)


def _refuse_misspelled(raw: Mapping[str, Any], config: PreTrainedConfig) -> None:
    """Refuse keys that the class does not know and that are nearly the name of one it knows."""
    names = set(vars(type(config)())) | set(config.attribute_map) | set(WITHOUT_EFFECT)
    names |= {"rope_theta", "rope_scaling", "head_dim", "text_config"}
    names |= {name.removeprefix("_") for name in names}  # published without it: Gemma 3's pattern
    problems = []
    for key in raw.keys() - names:
        matches = difflib.get_close_matches(key, names, n=1, cutoff=0.9)
        if matches:
            rule, fix = f"is no key of {type(config).__name__}", f"did you mean {matches[0]}?"
            problems.append(Problem(f"model.config.{key}", raw[key], rule, fix))
    if problems:
        raise ConfigError(problems)


def _comparable(config: PreTrainedConfig) -> dict[str, Any]:
    values = config.to_dict()
    return {
        key: value
        for key, value in values.items()
        if key not in WITHOUT_EFFECT and not is_dropout(key)
    }


def _read_instead(spec: ModelSpec) -> str:
    return f"let it be read: model=hf model.location={spec.location}"


def _same(planned: object, real: object) -> bool:
    """Compare two values; some formats store 1e-5 in float32."""
    if isinstance(planned, Mapping) and isinstance(real, Mapping):
        return planned.keys() == real.keys() and all(_same(planned[k], real[k]) for k in planned)
    if isinstance(planned, int | float) and isinstance(real, int | float):
        return math.isclose(planned, real, rel_tol=1e-6)
    return planned == real


def _number(value: dict[str, Any]) -> Any:
    """Return a float that JSON lacks, which transformers writes as `{"__float__": "Infinity"}`."""
    return float(value["__float__"]) if value.keys() == {"__float__"} else value


def _as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
