from __future__ import annotations

import copy
import math

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from musicllm.errors import InputError
from musicllm.inference.likelihood import document_nll
from musicllm.inference.scorer import memory
from musicllm.inference.scorer.scorer import Scorer

TEXTS = ["CDEF|GABc|", "C", "", "G2 A2 | B4 |]\nabc"]


def by_hand(model, ids: list[int], first: int = 1) -> float:
    """Sum of -log p of the tokens from `first` on, one token at a time."""
    total = 0.0
    with torch.no_grad():
        for place in range(first, len(ids)):
            logits = model(torch.tensor([ids[:place]])).logits[0, -1].double()
            total -= torch.log_softmax(logits, -1)[ids[place]].item()
    return total


def test_each_document_is_scored_as_if_alone(model, tokenizer) -> None:
    scores = document_nll(Scorer(model), tokenizer, TEXTS, ends=True)
    for text, score in zip(TEXTS, scores, strict=True):
        ids = [0, *tokenizer.encode(text, add_special_tokens=False), 1]
        assert score.nll_nats == pytest.approx(by_hand(model, ids), rel=1e-5)
        assert (score.num_tokens, score.num_characters) == (len(text) + 1, len(text))
        assert score.num_windows == 1


def test_uniform_model_needs_the_logarithm_of_the_vocabulary(model, tokenizer) -> None:
    uniform = copy.deepcopy(model)
    torch.nn.init.zeros_(uniform.lm_head.weight)
    (score,) = document_nll(Scorer(uniform), tokenizer, ["abc"], ends=True)
    assert score.nll_nats == pytest.approx(4 * math.log(len(tokenizer)), rel=1e-6)


def test_batching_changes_nothing_but_rounding(model, tokenizer, monkeypatch) -> None:
    texts = [text * 3 for text in TEXTS] + TEXTS
    together = document_nll(Scorer(model), tokenizer, texts, ends=True)
    monkeypatch.setattr(memory, "CPU_TOKENS", 1)
    for alone, other in zip(
        document_nll(Scorer(model), tokenizer, texts, ends=True), together, strict=True
    ):
        assert alone.nll_nats == pytest.approx(other.nll_nats, rel=1e-5)


def test_long_documents_are_scored_in_windows_that_overlap_by_half(model, tokenizer) -> None:
    short = copy.deepcopy(model)
    short.config.max_position_embeddings = 8
    text = "ABCDEFGabcdefg|"  # with its marks 17 tokens, 16 targets
    (score,) = document_nll(Scorer(short), tokenizer, [text], ends=True)
    ids = [0, *tokenizer.encode(text, add_special_tokens=False), 1]
    # windows start at 0, 4 and 8; targets 1 to 8, then 9 to 12, then 13 to 16
    expected = by_hand(short, ids[:9]) + by_hand(short, ids[4:13], 5) + by_hand(short, ids[8:], 5)
    assert score.num_windows == 3
    assert score.num_tokens == 16
    assert score.nll_nats == pytest.approx(expected, rel=1e-5)


def test_dropout_is_off_and_the_mode_comes_back(model, tokenizer) -> None:
    training = copy.deepcopy(model).train()
    training.config.attention_dropout = 0.5
    assert document_nll(Scorer(training), tokenizer, TEXTS, ends=True) == document_nll(
        Scorer(training), tokenizer, TEXTS, ends=True
    )
    assert training.training


def test_document_without_end_of_text_is_refused(model, tokenizer) -> None:
    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, bos_token="<s>")
    with pytest.raises(InputError, match=r"has no end of text \(eos_token\)"):
        document_nll(Scorer(model), endless, ["C"], ends=True)


def test_end_of_text_stands_for_a_missing_beginning(model, tokenizer) -> None:
    beginless = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>"
    )
    (score,) = document_nll(Scorer(model), beginless, ["CD"], ends=True)
    ids = [1, *tokenizer.encode("CD", add_special_tokens=False), 1]
    assert score.nll_nats == pytest.approx(by_hand(model, ids), rel=1e-5)


def test_types(model, tokenizer) -> None:
    assert isinstance(model, LlamaForCausalLM)
    half = copy.deepcopy(model).to(torch.bfloat16)
    (rough,), (exact,) = (
        document_nll(Scorer(own), tokenizer, ["CDEF"], ends=True) for own in (half, model)
    )
    assert rough.nll_nats == pytest.approx(exact.nll_nats, rel=0.05)
