"""Windows, chunks, soft caps and sinks: by hand, and against transformers' eager attention."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from transformers.masking_utils import (
    blockwise_overlay,
    causal_mask_function,
    chunked_causal_mask_function,
    or_masks,
    packed_sequence_compatibility_function,
    sliding_window_causal_mask_function,
)

from musicllm.errors import NotAvailableError
from musicllm.model import attention
from musicllm.model.attention import kernels, patterns
from musicllm.model.attention.kernels import Variant
from musicllm.model.attention.patterns import Local
from tests.model import families
from tests.packed_rows import make_documents, pack

LENGTHS = [40, 7, 90, 25]
"""Documents longer and shorter than `families.WINDOW`, 16."""

LEAKY = ("nemotron", "falcon", "bloom")
"""Families whose attention does not get the boundaries; `train.forward` must not pack them."""

EXACT = [name for name in families.ATTENTION if name not in LEAKY]
ONES = [name for name in families.ONE_OF_EACH_KIND if name in EXACT]
KINDS = [pytest.param(n, marks=() if n in ONES else pytest.mark.slow) for n in EXACT]


@pytest.mark.parametrize("name", KINDS)
def test_packed_documents_and_whole_rows_are_those_of_eager_attention(name: str) -> None:
    attention.register()
    documents = make_documents(LENGTHS, 300)
    eager = families.build(name)
    model = families.build(name, attention=attention.implementation("varlen_sdpa"))
    weight = next(part for part in eager.parameters() if part.dim() == 2)
    own = next(part for part in model.parameters() if part.dim() == 2)
    row = pack(documents)
    expected = torch.cat([eager(input_ids=document[None]).logits[0] for document in documents])
    rows = torch.cat([model(input_ids=document[None]).logits[0] for document in documents])
    packed = model(
        input_ids=row["input_ids"],
        position_ids=row["position_ids"],
        use_cache=False,
        **attention.packed(row["cu_seq_lens"]),
    ).logits[0]
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(rows, expected, atol=1e-5 * scale, rtol=0)
    torch.testing.assert_close(packed, expected, atol=1e-5 * scale, rtol=0)
    (true,) = torch.autograd.grad(expected.square().sum(), weight)
    (gradient,) = torch.autograd.grad(packed.square().sum(), own)
    torch.testing.assert_close(gradient, true, atol=1e-4 * float(true.abs().max()), rtol=0)


@pytest.mark.parametrize("name", ["gemma2", "gpt_oss", "mistral_window"])
def test_padded_batches_with_a_cache_are_those_of_eager_attention(name: str) -> None:
    attention.register()
    ids = torch.stack(make_documents([30, 30], 300))
    mask = torch.ones_like(ids)
    mask[0, :9] = 0
    answers = []
    for kind in ("eager", attention.implementation("varlen_sdpa")):
        model = families.build(name, attention=kind)
        options = {"do_sample": False, "max_new_tokens": 5, "return_dict_in_generate": True}
        written = model.generate(ids, attention_mask=mask, output_logits=True, **options)
        answers.append(torch.stack(written.logits))
    torch.testing.assert_close(*answers, atol=1e-4, rtol=0)


class Asking(nn.Module):
    is_causal = True


def attend(mask: Local | Tensor | None = None, **arguments: object) -> Tensor:
    """Call the attention as a model class does: one head, documents of 3 and 2 tokens."""
    attention.register()
    function = torch_attention()
    zeros = torch.zeros(1, 1, 5, 8)
    row = attention.packed(torch.tensor([0, 3, 5], dtype=torch.int32))
    return function(Asking(), zeros, zeros, zeros, mask, **row, **arguments)[0]


def torch_attention() -> object:
    from transformers import AttentionInterface

    return AttentionInterface()[attention.implementation("varlen_sdpa")]


def equal_scores(*, lengths: list[int], **options: object) -> list[float]:
    """Return what tokens of equal scores see on average, where the value of token t is 2^t."""
    num_tokens = sum(lengths)
    zeros = torch.zeros(1, 1, num_tokens, 4)
    value = (2.0 ** torch.arange(num_tokens)).view(1, 1, -1, 1).expand(-1, -1, -1, 4)
    ends = torch.tensor([0, *lengths]).cumsum(0).int()
    out = kernels.varlen_sdpa(zeros, zeros, value, ends, max(lengths), variant=Variant(**options))  # type: ignore[arg-type]
    assert out.shape == (1, num_tokens, 1, 4)
    return out[0, :, 0, 0].tolist()


def test_a_window_by_hand() -> None:
    found = equal_scores(lengths=[4, 2], window=2)
    assert found == pytest.approx([1, 3 / 2, 6 / 2, 12 / 2, 16, 48 / 2])


def test_sinks_by_hand() -> None:
    sinks = torch.tensor([math.log(3.0)])
    found = equal_scores(lengths=[3, 1], sinks=sinks)
    assert found == pytest.approx([1 / 4, 3 / 5, 7 / 6, 8 / 4])
    windowed = equal_scores(lengths=[3, 1], sinks=sinks, window=1)
    assert windowed == pytest.approx([1 / 4, 2 / 4, 4 / 4, 8 / 4])


def test_a_soft_cap_and_a_scale_by_hand() -> None:
    query = torch.tensor([[0.0], [2.0]]).view(1, 1, 2, 1)
    key = torch.tensor([[3.0], [0.0]]).view(1, 1, 2, 1)
    value = torch.tensor([[1.0], [0.0]]).view(1, 1, 2, 1)
    ends = torch.tensor([0, 2], dtype=torch.int32)
    out = kernels.varlen_sdpa(query, key, value, ends, 2, variant=Variant(scale=0.5, softcap=2.0))
    capped = math.exp(2 * math.tanh(2 * 3 * 0.5 / 2))
    assert out.flatten().tolist() == pytest.approx([1, capped / (capped + 1)])


def test_chunks_by_hand() -> None:
    boundaries = torch.tensor([0, 7, 9, 15], dtype=torch.int32)
    cut, longest = patterns.cut(boundaries, 3)
    assert cut.tolist() == [0, 3, 6, 7, 9, 12, 15]
    assert cut.dtype == torch.int32
    assert longest == 3
    assert Local(2, chunked=True).visible(5, torch.device("cpu")).int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert Local(2, chunked=False).visible(4, torch.device("cpu")).int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 1, 1],
    ]


def mask_of(function: object, *, num_tokens: int = 9, **options: object) -> object:
    arguments = {"batch_size": 1, "q_offset": 0, "kv_offset": 0, "device": torch.device("cpu")}
    return patterns.pattern_or_mask(
        q_length=num_tokens,
        kv_length=num_tokens,
        mask_function=function,
        **(arguments | options),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_patterns_are_told_apart(size: int) -> None:
    window = sliding_window_causal_mask_function(size)
    chunks = chunked_causal_mask_function(size, torch.zeros(1, dtype=torch.long))
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3]])
    rows = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1, 1]])
    for function, chunked in ((window, size == 1), (chunks, size > 1)):
        found = mask_of(function, local_size=size)
        assert isinstance(found, Local)
        if size > 1:
            assert found == (size, chunked)
        packed = packed_sequence_compatibility_function(function, positions, rows)
        found = mask_of(packed, local_size=size, allow_is_causal_skip=False)
        assert isinstance(found, Local)
        if size in (2, 3):  # documents of 5 and 4 tokens are not longer than 8
            assert found == (size, chunked)
        assert mask_of(function, local_size=9) is None, "no token is beyond it"


def test_what_is_no_pattern_stays_a_mask() -> None:
    blocks = torch.tensor([[-1, 0, 0, 0, -1, -1, -1, -1, -1]])
    both = or_masks(causal_mask_function, blockwise_overlay(blocks))
    found = mask_of(both, allow_is_causal_skip=False)
    assert isinstance(found, Tensor)
    assert found[0, 0, 1].tolist() == [True] * 4 + [False] * 5
    always = lambda *_: torch.tensor(True)  # noqa: E731
    assert isinstance(mask_of(always, use_vmap=True, allow_is_causal_skip=False), Tensor)
    assert mask_of(causal_mask_function) is None
    padded = mask_of(causal_mask_function, attention_mask=torch.arange(9)[None] > 1)
    assert isinstance(padded, Tensor)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"position_bias": torch.zeros(1)}, "Asking asks its attention for position_bias"),
        ({"output_attentions": True}, "for output_attentions, and hardware.attention=varlen_sdpa"),
        ({"is_causal": False}, "attention to later tokens"),
        ({"mask": torch.ones(1, 1, 5, 5)}, "a mask of its own, which is not causal"),
        ({"sliding_window": 2}, "sliding_window=2, and gives it a mask without one"),
        ({"sliding_window": 2, "mask": Local(4, False)}, "sliding_window=2 beside a mask of 4"),
    ],
)
def test_what_no_kernel_computes_is_refused(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(NotAvailableError) as error:
        attend(**arguments)  # type: ignore[arg-type]
    assert text in str(error.value)


def test_arguments_without_effect_are_taken() -> None:
    nothing = {"position_bias": None, "output_attentions": False, "use_cache": True}
    assert torch.equal(attend(**nothing, sliding_window=3), torch.zeros(1, 5, 1, 8))
