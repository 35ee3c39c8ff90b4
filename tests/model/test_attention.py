from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.errors import NotAvailableError
from musicllm.model import adapters, attention, base
from tests.packed_rows import alone, forward, gradient, make_documents, pack

LENGTHS = [5, 1, 9, 5]


@pytest.fixture
def documents():
    return make_documents(LENGTHS)


@pytest.mark.parametrize("use_cache", [False, True])
def test_packed_logits_are_those_of_each_document_alone(model, documents, use_cache):
    batch = pack(documents)
    packed = forward(model, batch, use_cache=use_cache)
    torch.testing.assert_close(packed, alone(model, documents), atol=1e-5, rtol=0)


def test_one_document_of_all_tokens_gives_other_logits(model, documents):
    joined = model(input_ids=torch.cat(documents)[None]).logits[0]
    difference = (joined - alone(model, documents)).abs()
    assert difference[:5].max() < 1e-5
    assert difference[5:].max() > 0.1


def test_a_document_does_not_see_a_change_in_another(model, documents):
    before = forward(model, pack(documents))
    documents[2] = (documents[2] + 1) % 64
    after = forward(model, pack(documents))
    changed = (before != after).any(dim=1)
    assert changed.tolist() == [False] * 6 + [True] * 9 + [False] * 5


def test_packed_logits_under_peft_in_train_mode(model, lora, documents):
    adapted = adapters.attach(model, lora, seed=1).train()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    torch.testing.assert_close(
        forward(adapted, pack(documents)), alone(adapted, documents), atol=1e-5, rtol=0
    )


def test_gradients_are_those_of_each_document_alone_also_when_recomputed(model, documents):
    expected = gradient(model, alone(model, documents))
    plain = gradient(model, forward(model, pack(documents)))
    model.train().activation_checkpointing_enable()
    recomputed = gradient(model, forward(model, pack(documents), use_cache=False))
    scale = expected.abs().max()
    torch.testing.assert_close(plain / scale, expected / scale, atol=1e-5, rtol=0)
    torch.testing.assert_close(recomputed, plain, atol=0, rtol=0)


def test_two_passes_agree_to_the_bit(model, documents):
    batch = pack(documents)
    first = gradient(model, forward(model, batch))
    assert torch.equal(first, gradient(model, forward(model, batch)))


def test_padded_batches_and_caches_work_as_with_sdpa(tiny):
    ids = torch.tensor([[0, 0, 7, 8, 9], [1, 2, 3, 4, 5]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    answers = []
    for name in ("varlen_sdpa", "sdpa"):
        model = base.build(tiny, seed=0, attention=name).eval()
        with torch.no_grad():
            answers.append(
                model.generate(
                    ids, attention_mask=mask, max_new_tokens=4, do_sample=False, pad_token_id=0
                )
            )
    assert torch.equal(*answers)


def test_a_packed_row_without_boundaries_is_refused(model, documents):
    batch = pack(documents)
    with pytest.raises(NotAvailableError, match="cu_seq_lens_q was not passed"):
        model(input_ids=batch["input_ids"], position_ids=batch["position_ids"])


def test_boundaries_must_cover_the_row(model, documents):
    batch = pack(documents)
    batch["cu_seq_lens"] = batch["cu_seq_lens"][:-1]
    with pytest.raises(AssertionError, match="documents end at 15, not 20"):
        forward(model, batch)


def test_packed_names_every_argument_of_flash_attention():
    arguments = attention.packed(torch.tensor([0, 5, 6, 15], dtype=torch.int32))
    assert arguments["max_length_q"] == arguments["max_length_k"] == 9
    assert arguments["cu_seq_lens_q"].tolist() == arguments["cu_seq_lens_k"].tolist()


def test_bfloat16_documents_stay_apart(tiny, documents):
    model = base.build(dataclasses.replace(tiny, dtype="bfloat16"), seed=0)
    torch.testing.assert_close(
        forward(model, pack(documents)), alone(model, documents), atol=0.05, rtol=0.02
    )
