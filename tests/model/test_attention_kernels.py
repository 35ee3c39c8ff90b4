from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from musicllm.errors import ConfigError
from musicllm.model import attention, base
from musicllm.model.architecture import on_meta
from musicllm.model.attention import Needs, choose, kernels, needs_of
from musicllm.model.attention.kernels import Variant
from musicllm.model.spec import ModelSpec
from tests.model import families
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
    assert query.dtype == key.dtype == value.dtype
    assert query.shape[-1] == key.shape[-1] == value.shape[-1]
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert max_q == max_k == int(cu_seq_q.diff().max())
    before, after = window_size
    assert after == 0
    outs = []
    for begin, end in pairwise(cu_seq_q.tolist()):
        rows = [each[begin:end].transpose(0, 1) for each in (query, key, value)]
        places = torch.arange(end - begin)
        distance = places[:, None] - places
        visible = (distance >= 0) & (distance <= (before if before >= 0 else end))
        out = scaled_dot_product_attention(
            *rows, attn_mask=visible, scale=scale, enable_gqa=enable_gqa
        )
        outs.append(out.transpose(0, 1))
    return torch.cat(outs)


def of_flash_attn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
) -> Tensor:
    """What the package flash-attn computes on a GPU; its groups need no argument."""
    assert causal
    assert dropout_p == 0
    if softcap:
        rows = [each.transpose(0, 1)[None] for each in (query, key, value)]
        window = None if window_size[0] < 0 else window_size[0] + 1
        variant = Variant(scale=softmax_scale, window=window, softcap=softcap)
        return kernels.varlen_sdpa(*rows, cu_seqlens_q, max_seqlen_q, variant=variant)[0]
    return one_by_one(
        query,
        key,
        value,
        cu_seqlens_q,
        cu_seqlens_k,
        max_seqlen_q,
        max_seqlen_k,
        scale=softmax_scale,
        window_size=window_size,
        enable_gqa=query.shape[1] != key.shape[1],
    )


STANDING_IN = ["varlen_sdpa", "varlen", "varlen without groups", "flex", "flash_attention_2"]


@pytest.fixture(params=STANDING_IN)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An attention that runs on a CPU, with what stands in for kernels that are only on a GPU."""
    from torch.nn.attention.flex_attention import flex_attention

    groups = request.param == "varlen"
    monkeypatch.setattr(kernels, "_varlen_attn", lambda: (one_by_one, groups))
    monkeypatch.setattr(kernels, "_flash_attn", lambda: of_flash_attn)
    monkeypatch.setattr(kernels, "_flex_attention", lambda: flex_attention)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*flex_attention called without torch.compile.*")
        yield request.param.split()[0]


LACKS = {
    "varlen_sdpa": set[str](),
    "varlen": {"softcap", "sinks"},
    "flex": set[str](),
    "flash_attention_2": {"sinks"},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "all before": {},
    "a window": {"window": 7},
    "a window of one": {"window": 1},
    "a window and a scale": {"window": 7, "scale": 0.1},
    "a soft cap": {"softcap": 0.5},
    "a soft cap and a window": {"softcap": 0.5, "window": 7},
    "sinks": {"sinks": torch.tensor([0.5, -1.0, 2.0, 0.0])},
    "sinks and a window": {"sinks": torch.tensor([0.5, -1.0, 2.0, 0.0]), "window": 7},
}


def reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float | None = None,
    window: int | None = None,
    softcap: float | None = None,
    sinks: Tensor | None = None,
) -> Tensor:
    """Return attention of one document, one query and head after the other, in float64."""
    num_heads, num_tokens = query.shape[1:3]
    groups = num_heads // key.shape[1]
    out = []
    for token in range(num_tokens):
        first = 0 if window is None else max(0, token + 1 - window)
        heads = []
        for head in range(num_heads):
            keys = key[0, head // groups, first : token + 1].double()
            values = value[0, head // groups, first : token + 1].double()
            scores = keys @ query[0, head, token].double() * (scale or query.shape[-1] ** -0.5)
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            total = scores.exp().sum()
            if sinks is not None:
                total = total + sinks[head].double().exp()
            heads.append(scores.exp() @ values / total)
        out.append(torch.stack(heads))
    return torch.stack(out)


@pytest.mark.parametrize("option", OPTIONS)
def test_kernels_compute_what_they_are_given(name: str, option: str) -> None:
    options = OPTIONS[option]
    if lacking := LACKS[name] & options.keys():
        pytest.skip(f"{name} has no {lacking}")
    generator = torch.Generator().manual_seed(1)
    shapes = ((4, 16), (2, 16), (2, 8))  # grouped queries, and values of another width
    query, key, value = (
        torch.randn(1, heads, 26, width, generator=generator, requires_grad=name != "flex")
        for heads, width in shapes
    )
    sinks = options.get("sinks")
    if sinks is not None:
        options = options | {"sinks": sinks.clone().requires_grad_(name != "flex")}
    lengths = [20, 1, 5]
    ends = torch.tensor([0, 20, 21, 26], dtype=torch.int32)
    out = kernels.KERNELS[name](query, key, value, ends, 20, variant=Variant(**options))
    documents = zip(*(each.split(lengths, dim=2) for each in (query, key, value)), strict=True)
    expected = torch.cat([reference(*document, **options) for document in documents])
    torch.testing.assert_close(out[0].double(), expected, atol=1e-5, rtol=0)
    if name == "flex":
        return  # torch has no gradient of it on a CPU
    trained = [query, key, value, *(options[key] for key in ("sinks",) if key in options)]
    weights = torch.randn(expected.shape, generator=generator)
    true = torch.autograd.grad((expected * weights).sum(), trained)
    found = torch.autograd.grad((out[0] * weights).sum(), trained)
    for one, other in zip(found, true, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [{}, {"window": 9}, {"softcap": 5.0}])
def test_dropout_zeroes_its_share_of_the_weights_and_scales_the_rest(
    options: dict[str, Any],
) -> None:
    length, probability = 64, 0.25
    zeros = torch.zeros(1, 8, 2 * length, 4)
    identity = torch.eye(length).repeat(2, 1).expand(1, 8, -1, -1)  # so that out is the weights
    ends = torch.tensor([0, length, 2 * length], dtype=torch.int32)

    def weights(seed: int, **options: Any) -> Tensor:
        torch.manual_seed(seed)
        return kernels.varlen_sdpa(zeros, zeros, identity, ends, length, variant=Variant(**options))

    plain = weights(0, **options)
    dropped = weights(0, dropout=probability, **options)
    visible = plain > 0
    zero = dropped[visible] == 0
    assert float(zero.float().mean()) == pytest.approx(probability, abs=0.02)
    kept = plain[visible][~zero] / (1 - probability)
    torch.testing.assert_close(dropped[visible][~zero], kept)
    assert not dropped[~visible].any()
    assert torch.equal(dropped, weights(0, dropout=probability, **options))
    assert not torch.equal(dropped, weights(1, dropout=probability, **options))


def test_mixed_precision_casts_what_norms_left_in_float32(name: str) -> None:
    """Queries and keys of Qwen3 come from a norm whose trained weights are float32."""
    attention.register()
    model = families.build("qwen3", attention=attention.implementation(name))
    documents = make_documents([40, 7], 300)
    with torch.no_grad():
        expected = alone(model, documents)
        with torch.autocast("cpu", torch.bfloat16):
            packed = forward(model, pack(documents), use_cache=False)
    torch.testing.assert_close(packed.float(), expected, atol=0.1, rtol=0.05)


def test_documents_of_wildly_different_lengths_stay_apart(tiny: ModelSpec, name: str) -> None:
    assert tiny.config["num_attention_heads"] > tiny.config["num_key_value_heads"], (
        "grouped queries are part of it"
    )
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
    model = base.build(tiny.changed(num_hidden_layers=3), seed=0, attention="flex")
    forward(model, pack(make_documents([5, 9])))
    forward(model, pack(make_documents([5, 9])))
    assert len(made) == 6
    assert made[0] is made[1] is made[2]
    assert made[3] is made[4] is made[5]
    assert made[0] is not made[3]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_the_compiled_flex_attention_keeps_documents_apart(tiny: ModelSpec) -> None:
    model = base.build(tiny.changed(hidden_size=64), seed=0, attention="flex").eval()
    documents = make_documents(WILD)
    with torch.no_grad():
        packed = forward(model, pack(documents))
    torch.testing.assert_close(packed, alone(model, documents).detach(), atol=2e-5, rtol=0)


def test_dropout_is_not_silently_left_out() -> None:
    tensor, ends = torch.zeros(1, 2, 4, 8), torch.tensor([0, 4], dtype=torch.int32)
    for kernel in (kernels.varlen, kernels.flex):
        with pytest.raises(AssertionError, match="no dropout"):
            kernel(tensor, tensor, tensor, ends, 4, variant=Variant(dropout=0.1))
    with pytest.raises(AssertionError, match="no dropout of scores with a soft cap"):
        kernels.flash_attention_2(
            tensor, tensor, tensor, ends, 4, variant=Variant(dropout=0.1, softcap=2.0)
        )


def test_caps_and_sinks_are_not_silently_left_out() -> None:
    tensor, ends = torch.zeros(1, 2, 4, 8), torch.tensor([0, 4], dtype=torch.int32)
    for variant in (Variant(softcap=2.0), Variant(sinks=torch.zeros(2))):
        with pytest.raises(AssertionError, match="has no s"):
            kernels.varlen(tensor, tensor, tensor, ends, 4, variant=variant)
    with pytest.raises(AssertionError, match="no sinks"):
        kernels.flash_attention_2(
            tensor, tensor, tensor, ends, 4, variant=Variant(sinks=torch.zeros(2))
        )


PLAIN = Needs((64,))
CAPPED, SINKING = Needs((64,), softcap=True), Needs((64,), sinks=True)
DROPPING = Needs((64,), dropout=0.1)


def test_auto_takes_the_fastest_that_runs() -> None:
    half = {"dtype": "bfloat16"}
    missing = {"flash_attention_2": "not installed"}
    old = {**missing, "varlen": "old"}
    assert choose("auto", "cpu", PLAIN, **half) == "varlen_sdpa"
    assert choose("auto", "gpu", PLAIN, **half) == "flash_attention_2"
    assert choose("auto", "gpu", PLAIN, **half, lacking=missing) == "varlen"
    assert choose("auto", "gpu", PLAIN, **half, lacking=old) == "flex"
    assert choose("auto", "gpu", PLAIN, dtype="float32") == "flex"
    assert choose("auto", "gpu", Needs((12,)), **half) == "varlen_sdpa"
    assert choose("auto", "gpu", Needs((256, 512)), **half) == "varlen_sdpa"
    assert choose("auto", "gpu", Needs((192, 128)), **half) == "flash_attention_2"
    assert choose("auto", "gpu", DROPPING, **half, lacking=missing) == "varlen_sdpa"
    assert choose("flex", "gpu", PLAIN, **half) == "flex"


def test_auto_takes_what_follows_the_scores_of_the_model() -> None:
    missing = {"flash_attention_2": "not installed"}
    assert choose("auto", "gpu", CAPPED, dtype="bfloat16") == "flash_attention_2"
    assert choose("auto", "gpu", CAPPED, dtype="bfloat16", lacking=missing) == "flex"
    assert choose("auto", "gpu", SINKING, dtype="bfloat16") == "flex"
    both = Needs((64,), softcap=True, dropout=0.1)
    assert choose("auto", "gpu", both, dtype="bfloat16") == "varlen_sdpa"


@pytest.mark.parametrize(
    ("setting", "accelerator", "changes", "reason"),
    [
        ("flex", "cpu", {}, "torch has no gradient of it on a CPU; use varlen_sdpa, or auto"),
        ("varlen", "cpu", {}, "it needs a GPU; use varlen_sdpa, or auto"),
        ("varlen", "gpu", {"dtype": "float32"}, "and this run in float32; use flex, or auto"),
        ("varlen", "gpu", {"needs": DROPPING}, "no dropout of attention weights, and this model"),
        ("flex", "gpu", {"needs": DROPPING}, "this model drops 0.1 of them; use flash_attention_2"),
        ("varlen", "gpu", {"needs": CAPPED}, "it has no soft cap of scores, and this model has;"),
        ("varlen", "gpu", {"needs": SINKING}, "it has no attention sinks, and this model has;"),
        ("flash_attention_2", "gpu", {"needs": SINKING}, "this model has; use flex, or auto"),
        (
            "flash_attention_2",
            "gpu",
            {"needs": Needs((64,), softcap=True, dropout=0.1)},
            "no dropout of weights beside a soft cap, and this model drops 0.1 of them; use",
        ),
        ("flex", "gpu", {"needs": Needs((512,))}, "heads have dimension 512; it takes 16 to 256"),
        ("flash_attention_2", "gpu", {"needs": Needs((12,))}, "have dimension 12; it takes mult"),
        (
            "flash_attention_2",
            "gpu",
            {"lacking": {"flash_attention_2": "the package flash-attn is not installed"}},
            "the package flash-attn is not installed; use varlen, or auto, which takes it",
        ),
    ],
)
def test_an_attention_that_does_not_run_is_refused(
    setting: str, accelerator: str, changes: dict[str, Any], reason: str
) -> None:
    arguments = {"needs": PLAIN, "dtype": "bfloat16"} | changes
    with pytest.raises(ConfigError) as error:
        choose(setting, accelerator, **arguments)
    (line,) = str(error.value).splitlines()[1:]
    assert line.strip().startswith(f"hardware.attention={setting} does not run here: ")
    assert reason in line


@pytest.mark.parametrize(
    ("family", "needs"),
    [
        ("llama", Needs((8,))),
        ("qwen3", Needs((16,))),
        ("gemma2", Needs((16,), softcap=True)),
        ("gemma3", Needs((16,))),
        ("gpt_oss", Needs((16,), sinks=True)),
        ("gpt2", Needs((8,), dropout=0.1)),
        ("gpt_neox", Needs((8,))),
        ("deepseek_v3", Needs((8, 16))),
        ("lfm2", Needs((8,))),
        ("mamba2", Needs(())),
    ],
)
def test_needs_are_read_from_the_modules(family: str, needs: Needs) -> None:
    assert needs_of(on_meta(families.config_of(family))) == needs
