"""QLoRA on a CPU: training over a base in 4 bits, and merging into the base that it saw."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.model import adapters, base
from musicllm.model.anatomy import inspect
from musicllm.model.merge import merge
from tests.model import families
from tests.models import LORA

pytest.importorskip("bitsandbytes", reason="extra qlora")

IDS = torch.arange(5, 60)[None]
SPEC = dataclasses.replace(LORA, targets=("attention", "mlp"), quantization="nf4")


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "phi3", "gemma3")]


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
        dtype="float32", max_shard_gb=1, check_ids=IDS[0].tolist(), dequantize=True,
    )  # fmt: skip
    with torch.no_grad():
        result = base.load(tmp_path / "merged", dtype="float32", attention="eager")
        torch.testing.assert_close(result(input_ids=IDS).logits, expected, atol=1e-3, rtol=0)
    assert report.max_abs_difference < report.tolerance
