from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from musicllm.errors import ConfigError
from musicllm.model import base
from musicllm.model.attention import choose, kernels
from musicllm.model.spec import ModelSpec
from tests.packed_rows import alone, forward, gradient, make_documents, pack

WILD = [1, 90, 2, 1, 31, 3]


def one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool = False,
) -> Tensor:
    """What torch's variable-length attention computes on a GPU: rows of [T, H, D]."""
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert max_q == max_k == int(cu_seq_q.diff().max())
    assert window_size == (-1, 0)
    outs = []
    for begin, end in pairwise(cu_seq_q.tolist()):
        rows = [each[begin:end].transpose(0, 1) for each in (query, key, value)]
        out = scaled_dot_product_attention(
            *rows, is_causal=True, scale=scale, enable_gqa=enable_gqa
        )
        outs.append(out.transpose(0, 1))
    return torch.cat(outs)


@pytest.fixture(params=["varlen_sdpa", "varlen", "varlen without groups", "flex"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An attention that runs on a CPU, with what stands in for kernels that are only on a GPU."""
    from torch.nn.attention.flex_attention import flex_attention

    groups = request.param == "varlen"
    monkeypatch.setattr(kernels, "_varlen_attn", lambda: (one_by_one, groups))
    monkeypatch.setattr(kernels, "_flex_attention", lambda: flex_attention)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*flex_attention called without torch.compile.*")
        yield request.param.split()[0]


def test_documents_of_wildly_different_lengths_stay_apart(tiny: ModelSpec, name: str) -> None:
    assert tiny.num_attention_heads > tiny.num_key_value_heads, "grouped queries are part of it"
    model = base.build(tiny, seed=0, attention=name).eval()
    documents = make_documents(WILD)
    with torch.no_grad():
        packed = forward(model, pack(documents))
        torch.testing.assert_close(packed, alone(model, documents), atol=2e-5, rtol=0)
        again = make_documents([4, 60, 9])  # another batch has other boundaries
        packed = forward(model, pack(again))
        torch.testing.assert_close(packed, alone(model, again), atol=2e-5, rtol=0)


def test_gradients_stay_apart(tiny: ModelSpec, name: str) -> None:
    if name == "flex":
        pytest.skip("torch has no gradient of FlexAttention on a CPU")
    model = base.build(tiny, seed=0, attention=name)
    documents = make_documents(WILD)
    expected = gradient(model, alone(model, documents))
    found = gradient(model, forward(model, pack(documents), use_cache=False))
    torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def test_the_block_mask_is_made_once_for_all_layers(
    tiny: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    attend = kernels.varlen_sdpa

    def noting(query: Tensor, key: Tensor, value: Tensor, *, block_mask: object, **_: object):
        made.append(block_mask)
        ends = torch.tensor([0, query.shape[2]], dtype=torch.int32)
        return attend(query, key, value, ends, query.shape[2]).transpose(1, 2)

    monkeypatch.setattr(kernels, "_flex_attention", lambda: noting)
    model = base.build(dataclasses.replace(tiny, num_hidden_layers=3), seed=0, attention="flex")
    forward(model, pack(make_documents([5, 9])))
    forward(model, pack(make_documents([5, 9])))
    assert len(made) == 6
    assert made[0] is made[1] is made[2]
    assert made[3] is made[4] is made[5]
    assert made[0] is not made[3]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_the_compiled_flex_attention_keeps_documents_apart(tiny: ModelSpec) -> None:
    model = base.build(dataclasses.replace(tiny, hidden_size=64), seed=0, attention="flex").eval()
    documents = make_documents(WILD)
    with torch.no_grad():
        packed = forward(model, pack(documents))
    torch.testing.assert_close(packed, alone(model, documents).detach(), atol=2e-5, rtol=0)


def test_dropout_is_not_silently_left_out() -> None:
    tensor, ends = torch.zeros(1, 2, 4, 8), torch.tensor([0, 4], dtype=torch.int32)
    for kernel in (kernels.varlen, kernels.flex):
        with pytest.raises(AssertionError, match="no dropout"):
            kernel(tensor, tensor, tensor, ends, 4, dropout=0.1)


def test_auto_takes_the_fastest_that_runs() -> None:
    half = {"dtype": "bfloat16", "head_dim": 64}
    missing = {"flash_attention_2": "not installed"}
    assert choose("auto", "cpu", **half) == "varlen_sdpa"
    assert choose("auto", "gpu", **half) == "flash_attention_2"
    assert choose("auto", "gpu", **half, lacking=missing) == "varlen"
    assert choose("auto", "gpu", **half, lacking={**missing, "varlen": "old"}) == "flex"
    assert choose("auto", "gpu", dtype="float32", head_dim=64) == "flex"
    assert choose("auto", "gpu", dtype="bfloat16", head_dim=12) == "varlen_sdpa"
    assert choose("auto", "gpu", **half, dropout=0.1, lacking=missing) == "varlen_sdpa"
    assert choose("flex", "gpu", **half) == "flex"


@pytest.mark.parametrize(
    ("setting", "accelerator", "changes", "reason"),
    [
        ("flex", "cpu", {}, "torch has no gradient of it on a CPU; use varlen_sdpa, or auto"),
        ("varlen", "cpu", {}, "it needs a GPU; use varlen_sdpa, or auto"),
        ("varlen", "gpu", {"dtype": "float32"}, "and this run in float32; use flex, or auto"),
        ("varlen", "gpu", {"dropout": 0.1}, "no dropout, and model.attention_dropout=0.1"),
        ("flash_attention_2", "gpu", {"head_dim": 12}, "heads have dimension 12; it takes mult"),
        (
            "flash_attention_2",
            "gpu",
            {"lacking": {"flash_attention_2": "the package flash-attn is not installed"}},
            "the package flash-attn is not installed; use varlen, or auto, which takes it",
        ),
    ],
)
def test_an_attention_that_does_not_run_is_refused(
    setting: str, accelerator: str, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigError) as error:
        choose(setting, accelerator, **({"dtype": "bfloat16", "head_dim": 64} | changes))  # type: ignore[arg-type]
    (line,) = str(error.value).splitlines()[1:]
    assert line.strip().startswith(f"hardware.attention={setting} does not run here: ")
    assert reason in line
