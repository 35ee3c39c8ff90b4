"""Scoring and sampling of all kinds of models: windows, sinks, experts, convolution and state."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from musicllm.data.encoder import Encoder
from musicllm.inference.requests import SamplingSettings
from musicllm.inference.sampling import sample
from musicllm.inference.scorer.reader import Reader
from tests.model import families
from tests.packed_rows import make_documents

QUICK = (*families.ONE_OF_EACH_KIND, "llama4", "falcon_h1")
KINDS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in families.FAMILIES
]
BEGINNING, *ENDS = make_documents([40, 30, 25], 300)
"""Longer than the windows of the families."""


@pytest.mark.parametrize("name", KINDS)
def test_likelihoods_are_those_of_eager_attention_without_a_cache(name: str) -> None:
    reader = Reader(families.build(name, attention=None))
    queries = [(row, place, 7 + row) for row, end in enumerate(ENDS) for place in range(len(end))]
    with reader.reading():
        if reader.shares:
            cache, _, _ = reader.prefix(BEGINNING.tolist(), [])
            found, _ = reader.read([end.tolist() for end in ENDS], queries, cache)
        else:
            rows = [[*BEGINNING.tolist(), *end.tolist()] for end in ENDS]
            shifted = [(row, len(BEGINNING) + place, token) for row, place, token in queries]
            found, _ = reader.read(rows, shifted)
    assert reader.shares == (name not in families.STATE)
    eager = families.build(name)
    whole = [torch.cat([BEGINNING, end]) for end in ENDS]
    logprobs = [_logits(eager, row)[len(BEGINNING) :].log_softmax(-1) for row in whole]
    expected = torch.stack([logprobs[row][place, token] for row, place, token in queries])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", KINDS)
def test_batches_of_unlike_prompts_are_continued_as_each_alone(name: str) -> None:
    prompts = [document.tolist() for document in make_documents([40, 3], 300)]
    settings = SamplingSettings(0.0, 0, 1.0, 1.0, max_new_tokens=8)
    encoder = Encoder(families.tokenizer())
    model = families.build(name, attention=None)
    written = sample(model, encoder, prompts, settings, seed=0, batch_size=2)
    eager = families.build(name)
    for prompt, completion in zip(prompts, written, strict=True):
        ids = list(prompt)
        while len(ids) < len(prompt) + 8 and not set(ids[len(prompt) :]) & set(encoder.end_ids):
            ids.append(int(_logits(eager, torch.tensor(ids))[-1].argmax()))
        own = [token for token in ids[len(prompt) :] if token not in encoder.end_ids]
        assert completion.text == encoder.decode(own)


def _logits(model: object, ids: Tensor | Sequence[int]) -> Tensor:
    with torch.no_grad():
        return model(input_ids=torch.as_tensor(ids)[None], use_cache=False).logits[0]  # type: ignore[operator,no-any-return]
