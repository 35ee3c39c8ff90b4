from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.model import base
from musicllm.model.attention import ALL
from musicllm.train.capabilities import probe
from tests.models import TINY
from tests.packed_rows import alone, forward, gradient, make_documents, pack

WILD = [1, 700, 2, 1, 331, 3, 130]
SPEC = TINY.changed(
    hidden_size=256,
    num_attention_heads=4,
    num_key_value_heads=2,
    initializer_range=0.05,
    max_position_embeddings=1024,
)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_packed_documents_stay_apart(name: str) -> None:
    if reason := probe("gpu").lacking.get(name):
        pytest.skip(f"{name}: {reason}")
    spec = dataclasses.replace(SPEC, dtype="bfloat16")
    reference = base.build(dataclasses.replace(spec, dtype="float32"), seed=0).cuda()
    model = base.build(spec, seed=0, attention=name).cuda()
    documents = make_documents(WILD)
    expected = alone(reference, documents, "cuda")
    packed = forward(model, pack(documents, "cuda"), use_cache=False)
    scale = float(expected.abs().max())
    torch.testing.assert_close(packed.float(), expected, atol=0.03 * scale, rtol=0)
    joined = model(input_ids=torch.cat(documents)[None].cuda()).logits[0]
    assert (joined.float() - expected).abs().max() > 0.1 * scale, "the test can tell a leak"
    true, found = gradient(reference, expected), gradient(model, packed)
    similarity = torch.nn.functional.cosine_similarity(true.flatten(), found.float().flatten(), 0)
    assert similarity > 0.99
