"""QLoRA on a CPU: training over a base in 4 bits, and merging into the base that it saw."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from safetensors.torch import load_file, save_file

from musicllm.model import adapters, base
from musicllm.model.anatomy import inspect
from musicllm.model.merge import merge
from tests.model import families
from tests.models import LORA

bitsandbytes = pytest.importorskip("bitsandbytes", reason="extra qlora")

IDS = torch.arange(5, 60)[None]
SPEC = dataclasses.replace(LORA, targets=("attention", "mlp"), quantization="nf4")


@pytest.mark.parametrize(("dtype", "far"), [("float16", 0.02), ("bfloat16", 0.2)])
def test_products_in_16_bits_are_those_of_float32_rounded(tmp_path, dtype, far):
    families.write(tmp_path, "llama")
    stored = load_file(tmp_path / "model.safetensors")  # of numbers that both dtypes have
    rounded = {name: weight.bfloat16().float() for name, weight in stored.items()}
    save_file(rounded, tmp_path / "model.safetensors", metadata={"format": "pt"})
    results = {}
    for name in ("float32", dtype):
        model = base.load(tmp_path, dtype=name, attention="eager", quantization="nf4")
        adapted = adapters.attach(model, SPEC, seed=0).train()
        adapted(input_ids=IDS, labels=IDS).loss.backward()
        gradients = [weight.grad for weight in adapters.trained(adapted).values()]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)
        with torch.no_grad():
            results[name] = adapted.eval()(input_ids=IDS).logits
    difference = (results[dtype] - results["float32"]).abs().max()
    assert 0 < difference < far * results["float32"].abs().max()


def test_a_pass_in_evaluation_mode_does_not_cost_the_gradient(tmp_path):
    """Where a CPU has AVX-512 and bfloat16, bitsandbytes would pack weights (`quantization`)."""
    families.write(tmp_path, "llama")
    gradients = []
    for is_validated in (False, True):
        model = base.load(tmp_path, dtype="float32", attention="eager", quantization="nf4")
        adapted = adapters.attach(model, SPEC, seed=0)
        if is_validated:
            with torch.no_grad():
                adapted.eval()(input_ids=IDS)
        adapted.train()(input_ids=IDS, labels=IDS).loss.backward()
        gradients.append([weight.grad for weight in adapters.trained(adapted).values()])
    assert len(gradients[0]) > 4
    for without, after in zip(*gradients, strict=True):
        torch.testing.assert_close(after, without, rtol=0, atol=0)


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "phi3", "gemma3")]


def test_a_base_is_dequantized_from_the_dtype_of_its_training(tmp_path):
    """Rounding to float16 first moves some weights to another of the 16 values."""
    families.write(tmp_path / "base", "llama")
    model = base.load(tmp_path / "base", dtype="float16", attention="eager", quantization="nf4")
    adapted = adapters.attach(model, SPEC, seed=0)
    weight = adapted.get_submodule("base_model.model.model.layers.0.mlp.up_proj.base_layer").weight
    seen = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state).float()
    adapters.save_adapter(adapted, tmp_path / "adapter")
    families.tokenizer().save_pretrained(tmp_path / "adapter")
    merged = {}
    for dtype in ("float16", "stored"):
        folder = tmp_path / dtype
        folder.mkdir()
        merge(
            tmp_path / "base", tmp_path / "adapter", folder, dtype="float32", max_shard_gb=1,
            check_ids=IDS[0].tolist(), dequantize=dtype,
        )  # fmt: skip
        merged[dtype] = load_file(folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    assert torch.equal(merged["float16"], seen)
    assert not torch.equal(merged["stored"], seen)


@pytest.mark.parametrize("name", ["llama", *OTHERS])
def test_what_was_trained_over_4_bits_is_merged_into_them(tmp_path, name):
    families.write(tmp_path / "base", name)
    model = base.load(tmp_path / "base", dtype="float32", attention="eager", quantization="nf4")
    num_targets = len(adapters.target_matrices(inspect(model), SPEC))
    adapted = adapters.attach(model, SPEC, seed=0)
    packed = {n for n, weight in adapted.named_parameters() if weight.dtype == torch.uint8}
    assert len(packed) == num_targets
    weights = adapters.trained(adapted)
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = adapted(input_ids=IDS, labels=IDS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.5
    with torch.no_grad():
        expected = adapted.eval()(input_ids=IDS).logits
    adapters.save_adapter(adapted, tmp_path / "adapter")
    families.tokenizer().save_pretrained(tmp_path / "adapter")
    (tmp_path / "merged").mkdir()
    report = merge(
        tmp_path / "base", tmp_path / "adapter", tmp_path / "merged",
        dtype="float32", max_shard_gb=1, check_ids=IDS[0].tolist(), dequantize="float32",
    )  # fmt: skip
    with torch.no_grad():
        result = base.load(tmp_path / "merged", dtype="float32", attention="eager")
        torch.testing.assert_close(result(input_ids=IDS).logits, expected, atol=1e-3, rtol=0)
    assert report.max_abs_difference < report.tolerance
