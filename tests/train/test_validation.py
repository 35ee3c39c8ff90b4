from __future__ import annotations

import pytest
import torch
from torch import nn

from musicllm.data.batches import MicroBatch
from musicllm.model.head import Adjustment, Head
from musicllm.train import loss, validation


def batch() -> MicroBatch:
    """Three documents of the sources 1, 0 and 1; of their tokens 2, 1 and 1 are supervised."""
    return {
        "input_ids": torch.tensor([[0, 1, 2, 0, 1, 2, 0]]),
        "position_ids": torch.tensor([[0, 1, 2, 0, 1, 0, 1]]),
        "labels": torch.tensor([[-100, 1, 2, -100, 1, 2, 0]]),  # a first token never counts
        "cu_seq_lens": torch.tensor([0, 3, 5, 7], dtype=torch.int32),
        "document_sources": torch.tensor([1, 0, 1]),
        "num_supervised_in_step": 4,
    }


class Uniform(nn.Module):
    """A head that finds every token as likely, but for the token of its state's number."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states


def hidden() -> torch.Tensor:
    """Logits over 3 tokens; the uniform ones cost ln 3, those of the last document nothing."""
    logits = torch.zeros(1, 7, 3)
    logits[0, 5, 0] = 1000.0  # the token before the last is sure of token 0
    return logits


@pytest.mark.parametrize("logits_at_once", [3, 6, 1 << 26])
def test_sums_by_hand_in_pieces_of_any_size(
    monkeypatch: pytest.MonkeyPatch, logits_at_once: int
) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", logits_at_once)
    sums = validation.sums_by_source(hidden(), Uniform(), batch(), vocab_size=3, num_sources=3)
    log3 = torch.log(torch.tensor(3.0, dtype=torch.double)).item()
    expected = torch.tensor([[log3, 1], [2 * log3, 3], [0, 0]], dtype=torch.double)
    torch.testing.assert_close(sums, expected, rtol=1e-6, atol=1e-9)

    mean, by_name = validation.means(sums.tolist(), ["text", "music", "nothing"])
    assert mean == pytest.approx(3 * log3 / 4, rel=1e-6)
    assert by_name == {
        "text": pytest.approx(log3, rel=1e-6), "music": pytest.approx(2 * log3 / 3, rel=1e-6)
    }  # fmt: skip


def test_scaled_and_capped_logits_count_as_the_model_has_them() -> None:
    head = Head(Uniform(), Adjustment(scale=0.5, cap=2.0))  # 1,000 becomes 2
    sums = validation.sums_by_source(hidden(), head, batch(), vocab_size=3, num_sources=3)
    sure = torch.tensor([2.0, 0.0, 0.0]).log_softmax(0)[0].item()
    log3 = torch.log(torch.tensor(3.0)).item()
    assert sums[1, 0].item() == pytest.approx(2 * log3 - sure, rel=1e-5)


def test_sources_that_are_not_told_apart_are_one_sum() -> None:
    sums = validation.sums_by_source(hidden(), Uniform(), batch(), vocab_size=3, num_sources=1)
    assert sums[:, 1].tolist() == [4]
    assert validation.means(sums.tolist(), [])[1] == {}


def test_a_micro_batch_without_supervised_tokens_adds_nothing() -> None:
    nothing = batch()
    nothing["labels"] = torch.full((1, 7), -100)
    sums = validation.sums_by_source(hidden(), Uniform(), nothing, vocab_size=3, num_sources=2)
    assert sums.tolist() == [[0, 0], [0, 0]]
    assert validation.means(sums.tolist(), ["a", "b"]) == (0.0, {})
