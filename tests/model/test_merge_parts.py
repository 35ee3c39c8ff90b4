from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.errors import StageError
from musicllm.model import base
from musicllm.model.merge import folding, parts
from musicllm.model.merge.adapted import adapt, tied_names
from musicllm.model.weights import WeightFiles
from tests.model.merging import IDS, logits, train


@pytest.mark.parametrize("is_tied", [False, True])
def test_a_model_that_is_read_part_by_part_gives_its_logits(tiny, tmp_path, is_tied):
    spec = tiny.changed(tie_word_embeddings=is_tied)
    model = base.build(spec, seed=0, attention="eager")
    model.save_pretrained(tmp_path)
    empty = parts.lay_out(base.load_config(tmp_path))
    weights, tied = WeightFiles.of_model(tmp_path), tied_names(empty)
    held = []

    def look() -> None:
        held.append(sum(not weight.is_meta for weight in empty.parameters()))

    def read(name: str) -> torch.Tensor:
        look()
        return weights.read(tied.get(name, name))

    assert parts.replace_forward(empty, parts.passing_through(read, look)) == 21
    found = parts.logits_of(empty, torch.tensor([IDS]))[0]
    torch.testing.assert_close(found, logits(model), atol=1e-6, rtol=1e-5)
    assert set(held) == {0}


def test_parts_of_an_adapted_model_are_its_wrapped_layers(tiny, lora, tmp_path):
    train(tmp_path, tiny, dataclasses.replace(lora, train_embeddings=True))
    config = base.load_config(tmp_path / "base")
    weights = WeightFiles.of_model(tmp_path / "base")
    adapted = adapt(config, weights, tmp_path / "adapter", dequantize=None)
    names = [name for name, _ in parts.parts_of(adapted.model)]
    assert names[:3] == [
        "model.embed_tokens",
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.k_proj",
    ]
    assert len(names) == 21
    assert all(weight.is_meta for weight in adapted.model.parameters())
    with pytest.raises(StageError, match=r"LlamaForCausalLM made no use of lm_head\.weight"):
        folding._refuse_unvisited(adapted, weights.shapes.keys() - {"lm_head.weight"})
