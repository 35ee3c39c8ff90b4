"""Writes a base and a LoRA adapter with random weights of any size, with little memory.

The layouts are those of transformers and PEFT. Matrices of one shape have the same elements, which
are drawn once; the logits are finite, and the adapter changes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft.utils.save_and_load import get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from musicllm.model import adapters
from musicllm.model.architecture import config_of
from musicllm.model.merge.parts import lay_out
from musicllm.model.merge.shards import WeightShardWriter
from musicllm.model.spec import AdapterSpec, ModelSpec


def write_base(folder: Path, spec: ModelSpec, shard_gb: float) -> None:
    """Write a model folder without tokenizer; holds one shard in memory.

    Args:
        folder: is created.
        spec: shapes, dtype and scale of the random weights.
        shard_gb: size of a weight file, in 10^9 bytes.
    """
    folder.mkdir(parents=True)
    model = lay_out(config_of(spec))
    draw = _Draw(model.config.initializer_range)
    model.config.dtype = spec.dtype
    model.config.save_pretrained(folder)
    writer = WeightShardWriter(folder, shard_gb * 1e9)
    for name, tensor in model.state_dict().items():
        if name not in model.all_tied_weights_keys:
            writer.add(name, draw(tensor.shape).to(getattr(torch, spec.dtype), copy=True))
    writer.close()


def write_adapter(folder: Path, spec: ModelSpec, adapter: AdapterSpec) -> None:
    """Write a PEFT folder with a tokenizer; holds all of it in memory, in float32."""
    folder.mkdir(parents=True)
    model = lay_out(config_of(spec))
    draw = _Draw(model.config.initializer_range)
    with torch.device("meta"):
        adapted = adapters.wrap(model, adapter)
    layout = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    tensors = {name: draw(tensor.shape).clone() for name, tensor in layout.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    adapted.peft_config["default"].save_pretrained(folder)
    words = Tokenizer(WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>").save_pretrained(folder)


class _Draw:
    """Returns random matrices, and vectors of ones, the initial weights of norms."""

    def __init__(self, deviation: float) -> None:
        self._std = deviation
        self._matrices: dict[Sequence[int], Tensor] = {}

    def __call__(self, shape: torch.Size) -> Tensor:
        if len(shape) == 1:
            return torch.ones(shape)
        if shape not in self._matrices:
            generator = torch.Generator().manual_seed(0)
            self._matrices[shape] = torch.empty(shape).normal_(0, self._std, generator=generator)
        return self._matrices[shape]
