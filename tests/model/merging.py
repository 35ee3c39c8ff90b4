"""Bases and adapters to merge, and what plain PEFT makes of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from musicllm.model import adapters, base
from musicllm.model.merge import MergeReport, merge
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.weights import WeightFiles
from tests.models import letter_tokenizer

IDS = list(range(2, 30))


def train(
    folder: Path, spec: ModelSpec, adapter: AdapterSpec, num_tokens: int | None = None
) -> PreTrainedModel:
    """Save `base` and `adapter`, whose every trained number has moved.

    Args:
        folder: where they go.
        spec: of the base.
        adapter: what is trained.
        num_tokens: the base gets as many before it is trained, but not in its folder.
    """
    model = base.build(spec, seed=0)
    model.save_pretrained(folder / "base")
    if num_tokens is not None:
        model.resize_token_embeddings(num_tokens)
    adapted = adapters.attach(model, adapter, seed=1)
    generator = torch.Generator().manual_seed(2)
    for weight in adapted.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    adapters.save_adapter(adapted, folder / "adapter")
    letter_tokenizer().save_pretrained(folder / "adapter")
    return adapted


def change_adapter(folder: Path, **settings: Any) -> None:
    """Write other settings into PEFT's configuration of an adapter."""
    file = folder / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def merged(folder: Path, **settings: Any) -> MergeReport:
    """Merge what `train` saved into `merged`."""
    settings = {"dtype": "float32", "max_shard_gb": 1, "check_ids": IDS, **settings}
    (folder / "merged").mkdir()
    return merge(folder / "base", folder / "adapter", folder / "merged", **settings)


def logits(model: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=torch.tensor([IDS])).logits[0]
    return found


def by_peft(folder: Path, model: PreTrainedModel | None = None) -> dict[str, Tensor]:
    """Return the weights that PEFT itself merges; `model` is the base if not that of the folder."""
    plain = model or base.load(folder / "base", dtype="float32")
    with adapters.quiet_peft():
        whole = PeftModel.from_pretrained(plain, str(folder / "adapter")).merge_and_unload()
    return dict(whole.state_dict())


def weights_of(folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a model folder, as they are stored."""
    found = WeightFiles.of_model(folder)
    return {name: found.read(name).clone() for name in found.shapes}


def same(found: dict[str, Tensor], expected: dict[str, Tensor], tied: bool = False) -> None:
    """Compare weights within what float32 rounds; a tied head is not stored."""
    names = expected.keys() - {"lm_head.weight"} if tied else expected.keys()
    assert found.keys() == names
    for name in names:
        torch.testing.assert_close(found[name], expected[name], atol=2e-6, rtol=1e-5, msg=name)


def with_ends(adapter: AdapterSpec) -> AdapterSpec:
    """Return LoRA that trains embeddings and head too."""
    return dataclasses.replace(adapter, train_embeddings=True, train_output_head=True)
