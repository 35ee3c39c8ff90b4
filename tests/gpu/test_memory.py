"""The planned peak against the one that a GPU measures."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.model import adapters, base, size
from musicllm.model.attention import Needs, choose, packed
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.train.capabilities import probe
from musicllm.train.loss import sum_nll
from musicllm.train.memory import Spread, Workload, estimate
from tests.models import TINY

pytestmark = pytest.mark.gpu

MIDDLE = dataclasses.replace(
    TINY.changed(
        vocab_size=32000,
        hidden_size=2048,
        intermediate_size=5504,
        num_hidden_layers=16,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=2048,
        initializer_range=0.02,
    ),
    dtype="bfloat16",
)
"""0.94 B parameters."""

BOTH = ("attention", "mlp")
LORA = AdapterSpec("lora", 64, 16.0, 0.1, BOTH, True, True, False, None, "lora", "zero", range(0))
NUM_TOKENS = 8192


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_the_peak_is_within_a_tenth_of_the_plan(checkpointing: bool, ends: bool) -> None:
    adapter = dataclasses.replace(LORA, train_embeddings=ends, train_output_head=ends)
    attention = choose("auto", "gpu", Needs((128,)), dtype="bfloat16", lacking=probe("gpu").lacking)
    work = Workload(
        num_tokens=NUM_TOKENS,
        document_length=NUM_TOKENS // 4,
        checkpointing=checkpointing,
        compute_dtype="bfloat16",
        on_gpu=True,
        attention=attention,
        optimizer="adamw",
        spread=Spread("single", 0, False, False, 1),
    )
    planned = estimate(MIDDLE, adapter, size.count(MIDDLE, adapter), work)
    measured = peak_of_two_steps(MIDDLE, adapter, attention, checkpointing)
    assert measured == pytest.approx(planned.allocated, rel=0.1)


def peak_of_two_steps(
    spec: ModelSpec, adapter: AdapterSpec, attention: str, checkpointing: bool
) -> int:
    """Train on the same packed row of four documents twice; gradients of the first stay."""
    model = base.build(spec, seed=0, attention=attention).cuda()
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    adapted = adapters.attach(model, adapter, seed=0).train()
    trained = [weight for weight in adapted.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    ids = torch.randint(0, spec.config["vocab_size"], (1, NUM_TOKENS), device="cuda")
    length = NUM_TOKENS // 4
    positions = torch.arange(length, device="cuda").repeat(4)[None]
    starts = torch.arange(0, NUM_TOKENS + 1, length, dtype=torch.int32, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            hidden = model.get_decoder()(
                input_ids=ids, position_ids=positions, use_cache=False, **packed(starts)
            ).last_hidden_state
            head = model.get_output_embeddings()
            loss = sum_nll(hidden, head, ids, positions, vocab_size=spec.config["vocab_size"])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()  # type: ignore[no-untyped-call]
    return int(torch.cuda.max_memory_allocated())
