"""Tensors of files that are named or put together otherwise in the model."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from musicllm.errors import InputError
from musicllm.model.merge.bundles import StoredTensors
from musicllm.model.merge.copies import Copies
from musicllm.model.weights import WeightFiles
from tests.model import families
from tests.model.test_adapted_families import BOTH, merged, trained
from tests.models import change_tensors

EXPERT = "model.layers.1.mlp.experts.2.{}_proj.weight"


def test_experts_go_into_one_stack_and_back(tmp_path):
    families.write(tmp_path, "qwen3_moe")
    model, files = families.build("qwen3_moe"), WeightFiles.of_model(tmp_path)
    stored = StoredTensors(model, files)
    assert not stored.beside
    assert not stored.broken
    assert stored.shapes.keys() == model.state_dict().keys()
    name = "model.layers.1.mlp.experts.gate_up_proj"
    stack = stored.read(name)
    both = [files.read(EXPERT.format(part)) for part in ("gate", "up")]
    assert torch.equal(stack[2], torch.cat(both))
    changed = stack.clone()
    changed[2, 0] += 1
    back = dict(stored.write(name, changed, None))
    assert len(back) == 2 * 4
    apart = {n for n, tensor in back.items() if not torch.equal(tensor, files.read(n))}
    assert apart == {EXPERT.format("gate")}


def test_untouched_tensors_keep_bytes_and_dtype(tmp_path):
    trained(tmp_path, BOTH, "qwen3_moe")
    file = tmp_path / "base" / "model.safetensors"
    half = {
        name: tensor.bfloat16()
        for name, tensor in load_file(file).items()
        if "norm" not in name and ".mlp.gate." not in name
    }
    change_tensors(file, **half)
    report = merged(tmp_path)
    assert report.dtype == "bfloat16"
    before, after = load_file(file), load_file(tmp_path / "merged" / "model.safetensors")
    assert {n: t.dtype for n, t in before.items()} == {n: t.dtype for n, t in after.items()}
    same = {n for n in before if torch.equal(before[n], after[n])}
    assert {n for n in before if "norm" in n or "embed" in n or ".mlp.gate." in n} <= same
    assert not any("_proj" in name for name in same)


def test_tensors_that_the_class_leaves_out_are_copied(tmp_path):
    trained(tmp_path, BOTH, "deepseek_v3")
    extra = {"model.layers.61.eh_proj.weight": torch.ones(3, 5, dtype=torch.bfloat16)}
    change_tensors(tmp_path / "base" / "model.safetensors", **extra)
    merged(tmp_path)
    after = load_file(tmp_path / "merged" / "model.safetensors")
    (name,) = extra
    assert torch.equal(after[name], extra[name])


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("gate", "layers.1.mlp.experts.gate_up_proj cannot be put together from its parts"),
        ("down", r"layers.1.mlp.experts.down_proj has shape \[3, 32, 16\] instead of \[4, 32, 16"),
    ],
)
def test_a_missing_expert_is_named(tmp_path, part, text):
    trained(tmp_path, BOTH, "qwen3_moe")
    change_tensors(tmp_path / "base" / "model.safetensors", **{EXPERT.format(part): None})
    with pytest.raises(InputError, match=text):
        merged(tmp_path)
    assert not list((tmp_path / "merged").iterdir())


def test_copies_are_taken_and_joined():
    copies = Copies(3, 4)
    rows = torch.arange(24).view(3, 4, 2)
    assert torch.equal(copies.take(rows, 1), rows[1:2])
    tokens = rows.flatten(0, 1)  # as experts get them
    assert torch.equal(copies.take(tokens, 2), rows[2])
    sorted_by_expert = torch.cat([tokens, tokens + 100])
    assert torch.equal(copies.take(sorted_by_expert, 0), torch.cat([rows[0], rows[0] + 100]))
    position = torch.arange(4)
    mixed = ((rows, None), {"positions": position}, "x")
    (taken, nothing), options, word = copies.take(mixed, 1)
    assert torch.equal(taken, rows[1:2])
    assert nothing is None
    assert options["positions"] is position
    assert word == "x"
    for value in (rows, tokens, sorted_by_expert):
        assert torch.equal(copies.join([copies.take(value, copy) for copy in range(3)]), value)
    assert copies.join([(rows[:1], None)] * 3)[1] is None
