from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from musicllm.data.batches import collate
from musicllm.data.rows import RowStore
from musicllm.model.head import head_of
from musicllm.train import loss
from musicllm.train.loss import sum_nll, supervised_positions
from musicllm.train.module import check_head
from tests.model import families


def test_the_shift_stays_inside_documents() -> None:
    # two documents, 5 6 7 and 8 9; all labels are set, as if the firsts were supervised too
    labels = torch.tensor([[5, 6, 7, 8, 9]])
    positions = torch.tensor([[0, 1, 2, 0, 1]])
    predicts, targets = supervised_positions(labels, positions)
    assert predicts.tolist() == [0, 1, 3]
    assert targets.tolist() == [6, 7, 9]


def test_unsupervised_tokens_are_not_targets_but_are_read() -> None:
    labels = torch.tensor([[-100, -100, 7, -100, 9]])
    predicts, targets = supervised_positions(labels, torch.tensor([[0, 1, 2, 3, 4]]))
    assert predicts.tolist() == [1, 3]
    assert targets.tolist() == [7, 9]


def test_a_loss_worked_by_hand() -> None:
    # the head passes hidden states on, so they are the logits of a vocabulary of two
    hidden = torch.log(torch.tensor([[[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]]]))
    labels = torch.tensor([[-100, 1, 0]])
    total = sum_nll(hidden, nn.Identity(), labels, torch.tensor([[0, 1, 2]]), vocab_size=2)
    assert total.item() == pytest.approx(-math.log(0.75) - math.log(0.5))


def naive(model: nn.Module, store: RowStore, row: int) -> Tensor:
    """Each document alone through the model, token after token."""
    total = torch.zeros(())
    content = store.row(row)
    ends = content.document_lengths.cumsum()
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        ids = torch.tensor(content.input_ids[begin:end].tolist())[None]
        log_p = model(ids).logits[0].log_softmax(-1)
        for i in range(1, end - begin):
            if content.supervised[begin + i]:
                total = total - log_p[i - 1, ids[0, i]]
    return total


@pytest.mark.parametrize("most_logits", [1 << 20, 32 * 7])
def test_packed_rows_have_the_loss_and_gradient_of_their_documents(
    store: RowStore, plain_model: nn.Module, monkeypatch: pytest.MonkeyPatch, most_logits: int
) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", most_logits)
    expected = naive(plain_model, store, 0) + naive(plain_model, store, 1)
    expected.backward()
    gradients = [p.grad.clone() for p in plain_model.parameters() if p.grad is not None]
    plain_model.zero_grad()

    batch = collate([store.row(0), store.row(1)], 1)
    cu_seq_lens = batch["cu_seq_lens"]
    assert len(cu_seq_lens) > 3, "the rows must hold several documents"
    hidden = plain_model.get_decoder()(  # type: ignore[operator]
        batch["input_ids"],
        position_ids=batch["position_ids"],
        use_cache=False,
        cu_seq_lens_q=cu_seq_lens,
    ).last_hidden_state
    head: nn.Module = plain_model.get_output_embeddings()  # type: ignore[operator]
    total = sum_nll(hidden, head, batch["labels"], batch["position_ids"], vocab_size=32)
    total.backward()

    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    for parameter, gradient in zip(plain_model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-5)


def test_the_full_logits_are_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", 4 * 3)
    seen: list[int] = []

    def head(states: Tensor) -> Tensor:
        seen.append(len(states))
        return states

    hidden = torch.randn(1, 20, 4, requires_grad=True)
    labels = torch.where(torch.arange(20) % 2 == 0, torch.tensor(1), -100)[None]
    total = sum_nll(hidden, head, labels, torch.arange(20)[None], vocab_size=4)
    assert seen == [3, 3, 3], "nine supervised tokens, three at a time"
    total.backward()
    assert seen == [3, 3, 3, 3, 3, 3], "and again for the gradient"


def test_a_batch_without_supervised_tokens_has_a_loss_of_zero_with_a_gradient() -> None:
    hidden = torch.randn(1, 3, 4, requires_grad=True)
    labels = torch.full((1, 3), -100)
    total = sum_nll(hidden, nn.Identity(), labels, torch.arange(3)[None], vocab_size=4)
    total.backward()
    assert total.item() == 0
    assert hidden.grad is not None
    assert not hidden.grad.any()


@pytest.mark.parametrize("most_logits", [1 << 20, 7 * families.VOCAB_SIZE])
@pytest.mark.parametrize("name", ["gemma2", "granite", "cohere"])
def test_scaled_and_capped_logits_are_trained_as_the_class_computes_them(
    name: str, most_logits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", most_logits)
    model = families.build(name)
    ids = torch.randint(2, 300, (1, 20), generator=torch.Generator().manual_seed(1))
    logits = model(input_ids=ids).logits[0, :-1]
    nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").backward()
    expected = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    total = sum_nll(
        hidden, head_of(model), ids, torch.arange(20)[None], vocab_size=families.VOCAB_SIZE
    )
    total.backward()
    for key, parameter in model.named_parameters():
        if key in expected:
            torch.testing.assert_close(parameter.grad, expected[key], rtol=1e-3, atol=1e-4)
    check_head(model)
