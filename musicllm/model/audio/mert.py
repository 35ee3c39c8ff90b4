"""MERT without foreign code: HuBERT's parts from transformers, wired as MERT's weights ask for.

transformers has no class for MERT (arXiv 2306.00107; weights m-a-p/MERT-v1-95M and -330M). Its
network is HuBERT's: seven strided convolutions on 24 kHz audio, a projection, a positional
convolution with weight normalisation, and transformer layers. The published configuration may ask
for layers with normalisation behind (post-LN), before (`do_stable_layer_norm`), or behind with
residuals scaled by (2 N)^(1/4) for N layers (`deepnorm`, arXiv 2203.00555). `attention_relax`
subtracts a constant from the scores of every query, which softmax does not see, so it needs no
code. Additional inputs from a constant-Q transform (`feature_extractor_cqt`) are refused.

Weights have to be complete: tensors of weight normalisation have an old name (`weight_g`,
`weight_v`) and a new one (`parametrizations.weight.original0` and `1`); both are read, and a tensor
that is missing or left over is an error, since a positional convolution that stayed random would
give features without a sign of it.

Axes: B waveforms, S samples, L layers (hidden states), T frames, D width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import HubertConfig, HubertModel

from musicllm.errors import InputError
from musicllm.model.audio.encoders import AudioEncoder, EncoderFacts

VERSION = 1
"""Of what is computed; part of the fingerprint."""

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"

COMPARED = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "conv_bias",
    "feat_extract_norm",
    "feat_extract_activation",
    "feat_proj_layer_norm",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
    "do_stable_layer_norm",
    "deepnorm",
    "layer_norm_eps",
    "sample_rate",
)
"""Keys of config.json that decide what is computed."""

UNUSED = ("masked_spec_embed",)
"""Tensors of training alone: what replaces masked frames."""

NORM_NAMES = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}
"""Old name -> new name of the tensors of weight normalisation, as in `torch.nn.utils`."""

NORMALISED_EPS = 1e-7
"""Added to the variance of a waveform, as in Wav2Vec2FeatureExtractor of transformers."""


class MertEncoder(AudioEncoder):
    """MERT with its weights, in float32.

    Args:
        config: config.json as published; compared with that of the folder.
        location: folder with config.json, preprocessor_config.json and model.safetensors or
            pytorch_model.bin.
        device: on which it computes.

    Raises:
        InputError: see `EncoderKind.open`.
    """

    def __init__(self, config: Mapping[str, Any], location: Path, device: torch.device) -> None:
        self.facts = facts_of(config)
        _refuse_differences(config, _json_of(location, "config.json"), location)
        self._is_normalised = _json_of(location, "preprocessor_config.json")["do_normalize"]
        tensors = _tensors_of(location)
        self._model = _network(config)
        _load(self._model, tensors, location)
        self._model.to(device).requires_grad_(requires_grad=False).eval()
        layers = config["num_hidden_layers"]
        self._is_scaled = _is_set(config, "deepnorm")
        self._alpha = (2.0 * layers) ** 0.25
        self._is_stable = _is_set(config, "do_stable_layer_norm")
        self._smallest = _receptive_field(config)
        self.fingerprint = _fingerprint(config, self._is_normalised, tensors)

    @torch.no_grad()
    def encode(self, waveforms: Tensor) -> Tensor:
        """Return [B, L, T, D]; see `AudioEncoder`.

        Cost: convolutions are linear in S, attention is quadratic in T (75 frames a second).
        """
        if waveforms.shape[-1] < self._smallest:
            raise InputError(
                f"a waveform of {waveforms.shape[-1]} samples is shorter than a frame of MERT, "
                f"{self._smallest} samples at {self.facts.sample_rate} Hz"
            )
        model = self._model
        inputs = waveforms.to(next(model.parameters()).device, torch.float32)
        if self._is_normalised:
            variance, mean = torch.var_mean(inputs, -1, correction=0, keepdim=True)
            inputs = (inputs - mean) / torch.sqrt(variance + NORMALISED_EPS)
        frames = model.feature_extractor(inputs).transpose(1, 2)
        hidden = model.feature_projection(frames)
        encoder = model.encoder
        hidden = hidden + encoder.pos_conv_embed(hidden)
        if not self._is_stable:
            hidden = encoder.layer_norm(hidden)
        states = [hidden]
        for layer in encoder.layers:
            hidden = self._scaled(layer, hidden) if self._is_scaled else layer(hidden)
            states.append(hidden)
        if self._is_stable:
            states[-1] = encoder.layer_norm(hidden)
        return torch.stack(states, dim=1)

    def _scaled(self, layer: Any, hidden: Tensor) -> Tensor:
        """Return a post-LN layer's output with scaled residuals (DeepNorm)."""
        attended = layer.attention(hidden)[0]
        hidden = layer.layer_norm(hidden * self._alpha + attended)
        outputs: Tensor = layer.final_layer_norm(hidden * self._alpha + layer.feed_forward(hidden))
        return outputs


def facts_of(config: Mapping[str, Any]) -> EncoderFacts:
    """Return the facts of a configuration; the parameters are counted on no memory.

    Raises:
        InputError: it lacks a key, or asks for what is not followed here.
    """
    required = ("hidden_size", "num_hidden_layers", "conv_stride", "conv_kernel", "sample_rate")
    if missing := [key for key in required if key not in config]:
        raise InputError(
            f"audio.encoder_config lacks {', '.join(missing)}; write config.json of MERT there"
        )
    if _is_set(config, "feature_extractor_cqt"):
        raise InputError(
            "audio.encoder_config has feature_extractor_cqt=true: inputs of a constant-Q transform "
            "are not supported; MERT-v1-95M and MERT-v1-330M have none"
        )
    if _is_set(config, "deepnorm") and _is_set(config, "do_stable_layer_norm"):
        raise InputError(
            "audio.encoder_config has deepnorm and do_stable_layer_norm, which exclude each other; "
            "see config.json of the weights"
        )
    with torch.device("meta"):
        network = _network(config)
    count = sum(p.numel() for name, p in network.named_parameters() if name not in UNUSED)
    rate = config["sample_rate"] / prod(config["conv_stride"])
    return EncoderFacts(
        sample_rate=config["sample_rate"],
        num_layers=config["num_hidden_layers"] + 1,
        width=config["hidden_size"],
        frames_per_second=rate,
        num_parameters=count,
        flops_per_second=2 * rate * count,  # the convolutions run at higher rates, with few weights
    )


def _network(config: Mapping[str, Any]) -> HubertModel:
    own = {key: config[key] for key in COMPARED if key in config}
    own |= {"attn_implementation": "sdpa", "mask_time_prob": 0.05}  # `masked_spec_embed` is there
    return HubertModel(HubertConfig(**own))


def _tensors_of(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder by their new names, from safetensors if they are there."""
    if (folder / SAFETENSORS).is_file():
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = folder / SAFETENSORS
        try:
            stored = load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is damaged: {error}; copy it again") from error
    elif (folder / PICKLE).is_file():
        path = folder / PICKLE
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(
                f"{path} cannot be read as weights ({type(error).__name__}); copy it again"
            ) from error
    else:
        raise InputError(f"{folder} has neither {SAFETENSORS} nor {PICKLE}; place one there")
    renamed = {}
    for name, tensor in stored.items():
        head, _, last = name.rpartition(".")
        new = f"{head}.{NORM_NAMES[last]}" if last in NORM_NAMES else name
        if new in renamed:
            raise InputError(f"{path} has {new} under two names; keep one of them")
        renamed[new] = tensor
    return renamed


def _load(model: HubertModel, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Copy weights into the network; all of them, and only those.

    Raises:
        InputError: a tensor is missing, left over, or has another shape.
    """
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in UNUSED}
    given = {name: tensor for name, tensor in tensors.items() if name not in UNUSED}
    faults = [f"{name} is missing" for name in sorted(own.keys() - given.keys())]
    faults += [f"{name} is unexpected" for name in sorted(given.keys() - own.keys())]
    faults += [
        f"{name} has shape {list(given[name].shape)}, not {list(tensor.shape)}"
        for name, tensor in own.items()
        if name in given and given[name].shape != tensor.shape
    ]
    faults += [
        f"{name} has elements that are not finite"
        for name, tensor in given.items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise InputError(
            f"the weights in {folder} are not those of this MERT: {'; '.join(faults[:5])}{more}"
        )
    model.load_state_dict({name: given[name].float() for name in own}, strict=False)


def _refuse_differences(config: Mapping[str, Any], stored: Mapping[str, Any], folder: Path) -> None:
    defaults = HubertConfig().to_dict() | {"deepnorm": False, "sample_rate": None}
    own, other = defaults | dict(config), defaults | dict(stored)
    for key in COMPARED:
        ours, theirs = own[key], other[key]
        if _plain(ours) != _plain(theirs):
            raise InputError(
                f"audio.encoder_config has {key}={ours}, but {folder}/config.json says {theirs}; "
                f"choose the option of these weights"
            )


def _is_set(config: Mapping[str, Any], key: str) -> bool:
    return key in config and bool(config[key])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _json_of(folder: Path, name: str) -> Any:
    path = folder / name
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} has no {name}; download the whole repository of MERT") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error


def _receptive_field(config: Mapping[str, Any]) -> int:
    """Return the samples that one frame needs."""
    size = 1
    pairs = list(zip(config["conv_kernel"], config["conv_stride"], strict=True))
    for kernel, stride in reversed(pairs):
        size = (size - 1) * stride + kernel
    return size


def _fingerprint(
    config: Mapping[str, Any], is_normalised: bool, tensors: Mapping[str, Tensor]
) -> str:
    """Return the SHA-256 of settings and weights, whatever file they came in."""
    settings = {key: _plain(config[key]) for key in COMPARED if key in config}
    facts = {"version": VERSION, "normalised": is_normalised, "config": settings}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        if name not in UNUSED:
            tensor = tensors[name].float().contiguous()
            digest.update(f"{name} {list(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
