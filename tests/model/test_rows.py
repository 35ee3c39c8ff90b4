"""New rows start as means of their pieces' and are trained alone; no old row changes by one bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from musicllm.errors import ConfigError
from musicllm.model import adapters, base, rows, size
from musicllm.model.merge import merge
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.train import loss
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.parameter_groups import parameter_groups
from tests.models import LORA, TINY, letter_tokenizer
from tests.train.conftest import ADAMW, MUON

PIECES = {64: [2, 3], 65: [4, 5, 4]}
WITH_ROWS = dataclasses.replace(LORA, new_rows=range(64, 66))
ROWS_ALONE = dataclasses.replace(
    WITH_ROWS, targets=(), r=None, alpha=None, dropout=None, scaling=None, init=None
)
IDS = torch.tensor([[3, 64, 65, 10, 65, 9]])


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    return with_config(TINY, tie_word_embeddings=request.param)


def with_config(spec: ModelSpec, **settings: Any) -> ModelSpec:
    return dataclasses.replace(spec, config={**spec.config, **settings})


def tied(spec: ModelSpec) -> bool:
    return bool(spec.config["tie_word_embeddings"])


def extended(spec: ModelSpec, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    model = base.build(spec, seed=0, attention="sdpa").to(dtype)
    base.add_rows(model, 66)
    rows.start(model, PIECES)
    return model


def steps(adapted: Any, number: int, name: str = "adamw") -> None:
    """Train with a decay that would shrink every row that is decayed."""
    settings = {"adamw": ADAMW, "muon": MUON}[name]
    settings = dataclasses.replace(settings, lr=0.05, weight_decay=0.5)
    optimizer = OPTIMIZERS[name].build(adapted, settings, has_bf16=False)
    for _ in range(number):
        adapted.zero_grad()
        nll(adapted).backward()
        optimizer.step()


def nll(adapted: Any, head: Any = None) -> Tensor:
    causal = adapters.causal_model(adapted)
    hidden = causal.get_decoder()(input_ids=IDS).last_hidden_state
    places = torch.arange(IDS.shape[1])[None]
    head = head or causal.get_output_embeddings()
    return loss.sum_nll(hidden, head, IDS, places, vocab_size=66)


def test_a_row_starts_as_the_mean_of_its_pieces(spec: ModelSpec) -> None:
    model, old = extended(spec), base.build(spec, seed=0)
    for new, before in zip(adapters.ends_of(model), adapters.ends_of(old), strict=True):
        assert torch.equal(new.weight[:64], before.weight)
        torch.testing.assert_close(new.weight[64], (before.weight[2] + before.weight[3]) / 2)
        expected = (2 * before.weight[4] + before.weight[5]) / 3
        torch.testing.assert_close(new.weight[65], expected)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied(spec)


@pytest.mark.parametrize(
    ("adapter", "optimizer"),
    [(WITH_ROWS, "adamw"), (WITH_ROWS, "muon"), (ROWS_ALONE, "adamw")],
    ids=["lora", "muon", "alone"],
)
def test_no_old_row_changes_while_new_ones_do(
    spec: ModelSpec, adapter: AdapterSpec, optimizer: str
) -> None:
    model = extended(spec)
    before = [end.weight.detach().clone() for end in adapters.ends_of(model)]
    adapted = adapters.attach(model, adapter, seed=0)
    with torch.no_grad():
        torch.testing.assert_close(adapted(IDS).logits, extended(spec)(IDS).logits)
    steps(adapted, 3, optimizer)
    merged: Any = adapted.merge_and_unload()
    for old, end in zip(before, adapters.ends_of(merged), strict=True):
        assert torch.equal(end.weight[:64], old[:64])
        assert (end.weight[64:] != old[64:]).all()


def test_new_rows_of_embeddings_are_not_decayed_and_belong_to_no_hidden_matrix(
    spec: ModelSpec,
) -> None:
    adapted = adapters.attach(extended(spec), ROWS_ALONE, seed=0)
    groups = parameter_groups(adapted)
    untied = not tied(spec)
    assert (len(groups.hidden), len(groups.head), len(groups.plain)) == (0, int(untied), 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_loss_gives_the_gradients_of_the_wrapped_head(
    spec: ModelSpec, dtype: torch.dtype
) -> None:
    adapted = adapters.attach(extended(spec, dtype), WITH_ROWS, seed=0)
    head = adapters.causal_model(adapted).get_output_embeddings()
    gradients = []
    for chosen in (None, head.forward):
        adapted.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            total = nll(adapted, chosen)
        total.backward()
        trained = adapters.trained(adapted)
        gradients.append([total.detach(), *(weight.grad for weight in trained.values())])
        assert all(weight.dtype == torch.float32 for weight in trained.values())
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=tolerance, atol=tolerance * plain.abs().max())


@pytest.mark.parametrize("adapter", [WITH_ROWS, ROWS_ALONE], ids=["lora", "alone"])
@pytest.mark.parametrize("spare", [0, 3], ids=["resized", "in spare rows"])
def test_saved_rows_are_put_on_and_merged(
    spec: ModelSpec, adapter: AdapterSpec, spare: int, tmp_path: Path
) -> None:
    for name in ("base", "adapter", "merged"):
        (tmp_path / name).mkdir()
    tokenizer = letter_tokenizer()
    folder_spec = with_config(spec, vocab_size=64 + spare)
    base.build(folder_spec, seed=0).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    tokenizer.add_tokens(["ab", "cdc"])
    tokenizer.save_pretrained(tmp_path / "adapter")
    model = base.load(tmp_path / "base", dtype="float32", attention="sdpa")
    old = [end.weight.detach().clone() for end in adapters.ends_of(model)]
    if not spare:
        base.add_rows(model, 66)
    rows.start(model, PIECES)
    adapted: Any = adapters.attach(model, adapter, seed=0)
    steps(adapted, 2)
    adapters.save_adapter(adapted, tmp_path / "adapter")
    adapted.eval()
    with torch.no_grad():
        expected = adapted(IDS).logits

        plain = base.load(tmp_path / "base", dtype="float32", attention="sdpa")
        again = adapters.load_adapter(plain, tmp_path / "adapter")
        assert torch.equal(again(IDS).logits, expected)
        causal = adapters.causal_model(again)
        assert type(causal.lm_head) is nn.Linear
        assert type(causal.model.embed_tokens) is nn.Embedding
        assert (causal.lm_head.weight is causal.model.embed_tokens.weight) == tied(spec)

        settings: dict[str, Any] = {"dtype": "auto", "max_shard_gb": 1, "check_ids": [3, 64, 65]}
        merge(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged", **settings)
        whole = base.load(tmp_path / "merged", dtype="float32", attention="sdpa")
        torch.testing.assert_close(whole(IDS).logits, expected, atol=1e-4, rtol=1e-4)
    assert whole.config.vocab_size == max(66, 64 + spare)
    assert (whole.lm_head.weight is whole.model.embed_tokens.weight) == tied(spec)
    for end, before in zip(adapters.ends_of(whole), old, strict=True):
        frozen = [i for i in range(len(before)) if i not in PIECES]
        assert torch.equal(end.weight[frozen], before[frozen])


def test_the_plan_counts_new_rows(spec: ModelSpec) -> None:
    adapted = adapters.attach(extended(spec), WITH_ROWS, seed=0)
    trained = sum(weight.numel() for weight in adapters.trained(adapted).values())
    assert size.count(spec, WITH_ROWS, vocab_size=66).num_trainable == trained
    assert size.count(spec, ROWS_ALONE, vocab_size=66).num_trainable == 2 * 32 * (
        1 if tied(spec) else 2
    )


def test_a_head_with_a_bias_is_refused() -> None:
    model = extended(TINY)
    model.lm_head = nn.Linear(32, 66)
    with pytest.raises(ConfigError) as caught:
        adapters.attach(model, WITH_ROWS, seed=0)
    assert str(caught.value.problems[0]) == (
        "adapter.train_new_tokens=true trains rows of a head without bias, and that of "
        "LlamaForCausalLM has one; train both matrices whole: adapter.train_embeddings=true "
        "adapter.train_output_head=true"
    )


def test_a_head_with_lora_is_refused() -> None:
    spec = dataclasses.replace(WITH_ROWS, targets=("lm_head",))
    with pytest.raises(ConfigError) as caught:
        adapters.attach(extended(TINY), spec, seed=0)
    assert str(caught.value.problems[0]) == (
        "adapter.targets=lm_head would be trained twice: by LoRA and in its new rows; leave it "
        "out, or write adapter.train_new_tokens=false"
    )
