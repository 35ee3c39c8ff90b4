"""A folder of a model whose class comes with it, and whose attention is its own."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.model.families import SIZES, tokenizer

CONFIGURATION = """
from transformers import PreTrainedConfig


class OwnConfig(PreTrainedConfig):
    model_type = "own_attention"

    def __init__(self, vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                 fails=False, **kwargs):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.fails = fails
        super().__init__(**kwargs)
"""

MODELING = """
import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from .configuration_own import OwnConfig


class OwnAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
                   for t in self.qkv(x).chunk(3, -1))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class OwnLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.attention = OwnAttention(config)
        self.mlp = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.mlp(x).relu()


class OwnPreTrainedModel(PreTrainedModel):
    config_class = OwnConfig
    _supports_sdpa = True
    base_model_prefix = "model"


class OwnModel(OwnPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(OwnLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, **kwargs):
        if self.config.fails and input_ids.shape[1] % 2:
            raise RuntimeError("an odd number of tokens\\nis not supported")
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x)
        return BaseModelOutputWithPast(last_hidden_state=x)


class OwnForCausalLM(OwnPreTrainedModel, GenerationMixin):
    def __init__(self, config):
        super().__init__(config)
        self.model = OwnModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        return CausalLMOutputWithPast(logits=self.lm_head(self.model(input_ids).last_hidden_state))
"""


def write(folder: Path, *, fails: bool = False) -> Path:
    """Write the folder: code, random weights and the tokenizer of the families.

    Args:
        folder: to write; its name counts in the cache of code of transformers.
        fails: the class raises for an odd number of tokens.
    """
    folder.mkdir(parents=True)
    (folder / "configuration_own.py").write_text(CONFIGURATION)
    (folder / "modeling_own.py").write_text(MODELING)
    values = {
        "model_type": "own_attention",
        "architectures": ["OwnForCausalLM"],
        "fails": fails,
        "vocab_size": SIZES["vocab_size"],
        "auto_map": {
            "AutoConfig": "configuration_own.OwnConfig",
            "AutoModelForCausalLM": "modeling_own.OwnForCausalLM",
        },
    }
    config = json.dumps(values)
    (folder / "config.json").write_text(config)
    settings = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(settings, trust_remote_code=True)
    model.save_pretrained(folder)
    (folder / "config.json").write_text(config)
    tokenizer().save_pretrained(folder)
    return folder
