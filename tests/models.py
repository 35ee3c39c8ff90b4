"""A tiny Llama, LoRA for it and a tokenizer of single characters."""

from __future__ import annotations

import string
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from musicllm.model import adapters
from musicllm.model.spec import AdapterSpec, ModelSpec

TINY = ModelSpec(
    name="tiny",
    location=None,
    revision=None,
    config={
        "model_type": "llama",
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.2,
    },
    dtype="float32",
    trust_remote_code=False,
    ignored_tensors=(),
)

LORA = AdapterSpec(
    kind="lora",
    r=4,
    alpha=8.0,
    dropout=0.0,
    targets=("q_proj", "v_proj", "down_proj"),
    train_embeddings=False,
    train_output_head=False,
    use_dora=False,
    quantization=None,
    scaling="lora",
    init="zero",
    new_rows=range(0),
)


def letter_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with 62 letters and digits; 0 pads, 1 ends a text, others become `a`."""
    letters = string.ascii_letters + string.digits
    vocabulary = {"<pad>": 0, "<eos>": 1} | {letter: 2 + i for i, letter in enumerate(letters)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", pad_token="<pad>")


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what is trained, by name, to be read or changed."""
    return {name: weight.detach() for name, weight in adapters.trained(model).items()}


def change_tensors(file: Path, **tensors: Tensor | None) -> None:
    """Replace tensors of a safetensors file, or take them out where the new one is None."""
    all_tensors = {**load_file(file), **tensors}
    kept = {name: tensor for name, tensor in all_tensors.items() if tensor is not None}
    save_file(kept, file, metadata={"format": "pt"})
