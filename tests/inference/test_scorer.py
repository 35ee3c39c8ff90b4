"""The scorer gives what plain passes give, whatever is shared, divided, kept or dealt out."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    DynamicCache,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from musicllm.errors import StageError
from musicllm.inference.scorer import memory, planning
from musicllm.inference.scorer.planning import Item, plan
from musicllm.inference.scorer.scorer import Scorer
from musicllm.inference.scorer.team import dealt
from tests.model import families
from tests.waiting import PATIENCE_S

SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
}


def llama() -> LlamaForCausalLM:
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**SMALL)).eval()


def mistral() -> MistralForCausalLM:
    """Return a model with a window of 8 tokens, shorter than the shared beginnings."""
    torch.manual_seed(1)
    return MistralForCausalLM(MistralConfig(**SMALL, sliding_window=8)).eval()


def gemma() -> Gemma2ForCausalLM:
    """Return a model whose logits are more than its head's, and that has windows in some layers."""
    torch.manual_seed(1)
    config = Gemma2Config(
        **SMALL,
        head_dim=8,
        sliding_window=8,
        final_logit_softcapping=5.0,
        attn_logit_softcapping=None,
    )
    return Gemma2ForCausalLM(config).eval()


def questions(num_groups: int = 2, per_group: int = 4, shots: int = 60) -> list[Item]:
    """Return letters of questions with solved examples, whole prompts, and odds and ends."""
    draw = random.Random(0)
    tokens = lambda count: tuple(draw.randrange(50) for _ in range(count))  # noqa: E731
    items = []
    hint = tokens(9)
    for _ in range(num_groups):
        begun = hint + tokens(shots)
        for _ in range(per_group):
            prompt = begun + tokens(draw.randint(3, 20))
            items += [Item((*prompt, letter), len(prompt)) for letter in (1, 2, 3, 4)]
            items.append(Item((*prompt, 5, 6, 7), len(prompt)))
            items.append(Item(prompt, 1))
    items += [Item(tokens(2), 1), Item(hint[:2], 1), items[0]]
    return items


def plain(model: nn.Module, item: Item) -> tuple[float, bool]:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([item.ids[:-1]])).logits[0].double()
    logprobs = logits.log_softmax(-1)
    steps = [(place - 1, item.ids[place]) for place in range(item.start, len(item.ids))]
    greedy = all(int(logits[place].argmax()) == token for place, token in steps)
    return sum(float(logprobs[step]) for step in steps), greedy


@pytest.mark.parametrize("make", [llama, mistral, gemma])
def test_scores_are_those_of_plain_passes(make: Callable[[], nn.Module]) -> None:
    model = make()
    items = questions()
    results = Scorer(model).score(items)
    for item, score in zip(items, results, strict=True):
        logprob, greedy = plain(model, item)
        assert score.logprob == pytest.approx(logprob, abs=2e-4)
        assert score.is_greedy == greedy


@pytest.mark.parametrize("name", ["granite", "cohere"])
def test_only_queried_logits_of_a_scaled_head_are_computed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = families.build(name)
    item = Item(tuple(range(2, 40)), 20)
    (score,) = Scorer(model).score([item])
    assert score.logprob == pytest.approx(plain(model, item)[0], abs=2e-4)
    assert "all of them are made" not in "".join(capsys.readouterr())


def test_a_prefix_is_fed_once_and_letters_share_a_pass() -> None:
    items = questions()
    portions = plan(items)
    whole = sum(len(host.inputs) for portion in portions for host in portion.hosts)
    assert sorted(portion.shared for portion in portions)[-2:] == [68, 68]
    # 8 prompts with a longer option each, the two odd ones, and a repeated letter for nothing
    assert sum(len(portion.hosts) for portion in portions) == 10
    assert sum(portion.cost for portion in portions) < whole / 2
    members = [m for portion in portions for host in portion.hosts for m in host.members]
    assert sorted(members) == list(range(len(items)))


def test_a_tiny_item_does_not_keep_others_from_sharing() -> None:
    long = [Item((*range(40), *range(40), number), 80) for number in range(5, 9)]
    long += [Item((*range(40), *range(40), 1, number, 3), 80) for number in range(5, 9)]
    portions = plan([*long, Item((0, 1), 1)])
    assert max(portion.shared for portion in portions) > 70


def test_portions_are_limited_in_inputs_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Item((1, number, 2), 2) for number in range(40)]
    monkeypatch.setattr(planning, "MAX_HOSTS", 16)
    assert [len(portion.hosts) for portion in plan(items)] == [16, 16, 8]
    monkeypatch.setattr(planning, "MAX_TOKENS", 10)
    assert {len(portion.hosts) for portion in plan(items)} == {5}


def test_a_training_model_is_left_as_it_was() -> None:
    model = llama().train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    grown = Scorer(model).score([Item((1, 2, 3), 1)])
    assert [module.training for module in model.modules()] == modes
    assert grown[0].logprob == pytest.approx(plain(model.eval(), Item((1, 2, 3), 1))[0], abs=1e-4)


def test_finished_portions_are_not_measured_again() -> None:
    model, items, store = llama(), questions(), {}

    def memoize(name: str, measure: Callable[[], Any]) -> Any:
        if name not in store:
            store[name] = measure()
        return store[name]

    first = Scorer(model).score(items, memoize=memoize)
    again = Scorer(model)
    again.reader.read = None  # type: ignore[assignment,method-assign]
    assert again.score(items, memoize=memoize) == first
    other = [Item((*item.ids[:-1], (item.ids[-1] + 1) % 50), item.start) for item in items]
    with pytest.raises(TypeError):
        again.score(other, memoize=memoize)


class Together:
    """One of two threads that stand for processes."""

    size = 2
    _values: list[Any] = [None, None]  # noqa: RUF012
    _meeting = threading.Barrier(2)

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def gather(self, value: Any) -> list[Any]:
        self._values[self.rank] = value
        self._meeting.wait(timeout=PATIENCE_S)
        return list(self._values)


def test_two_processes_give_the_very_same_numbers_as_one() -> None:
    items = questions()
    results: dict[int, Any] = {}

    models = [llama(), llama()]

    def work(rank: int) -> None:
        results[rank] = Scorer(models[rank], Together(rank)).score(items)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE_S)
    assert results[0] == results[1] == Scorer(llama()).score(items)


def test_portions_are_dealt_out_by_their_tokens() -> None:
    portions = plan(questions(num_groups=8))
    hands = dealt(portions, 3)
    assert sorted(p.cost for hand in hands for p in hand) == sorted(p.cost for p in portions)
    loads = [sum(portion.cost for portion in hand) for hand in hands]
    assert max(loads) - min(loads) <= max(portion.cost for portion in portions)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_batches_shrink_until_they_fit(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, items = llama(), questions()
    expected = Scorer(model).score(items)
    ours = Scorer(model)
    read, most = ours.reader.read, 0

    def fails(rows: list[Any], *rest: Any) -> Any:
        nonlocal most
        if len(rows) * max(map(len, rows)) > 40 and len(rows) > 1:
            raise error
        most = max(most, len(rows))
        return read(rows, *rest)

    monkeypatch.setattr(ours.reader, "read", fails)
    for score, other in zip(ours.score(items), expected, strict=True):
        assert score.logprob == pytest.approx(other.logprob, abs=1e-4)
    assert 1 < most < 6
    assert "memory did not suffice; batches have" in capsys.readouterr().err


def test_one_prompt_that_does_not_fit_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = Scorer(llama())

    def fails(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(ours.reader, "read", fails)
    with pytest.raises(StageError, match=r"does not suffice for one prompt \(CUDA out of memory"):
        ours.score([Item((1, 2, 3), 1)])


def test_a_beginning_that_does_not_fit_is_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Scorer(llama())

    def fails(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(ours.reader, "prefix", fails)
    with pytest.raises(StageError, match=r"does not suffice for one prompt \(CUDA out of memory"):
        ours.score(questions())


def test_half_of_a_batch_behind_a_long_beginning_is_half_of_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = tuple(range(40)) * 5
    items = [Item((*begun, number, 1), 201) for number in range(50)]
    ours = Scorer(llama())
    read, sizes = ours.reader.read, []

    def fails(rows: list[Any], *rest: Any) -> Any:
        sizes.append(len(rows))
        if len(rows) > 30:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(rows, *rest)

    monkeypatch.setattr(ours.reader, "read", fails)
    ours.score(items)
    assert sizes == [1, 50, 25, 25]


def test_nothing_to_score_is_no_error() -> None:
    assert Scorer(llama()).score([]) == []


def test_a_probe_is_no_longer_than_the_model_s_context(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Scorer(llama())
    sizes: list[list[int]] = []
    monkeypatch.setattr(ours.reader, "read", lambda rows, _: sizes.append([*map(len, rows)]))
    ours._feed(600)
    assert sizes == [[256, 256, 256]]


@pytest.mark.parametrize("when", ["loaded", "asked"])
def test_what_is_no_number_is_an_error_before_it_is_kept(when: str) -> None:
    model, stored = llama(), []
    ours = None if when == "loaded" else Scorer(model)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.fill_(float("nan"))
    with pytest.raises(StageError, match=r"not numbers; its weights .*precision=bf16"):
        (ours or Scorer(model)).score(
            [Item((1, 2, 3), 1)], memoize=lambda _, measure: stored.append(measure())
        )
    assert not stored


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    assert not memory.is_out_of_memory(RuntimeError("shapes differ"))
    assert not memory.is_out_of_memory(ValueError("can't allocate memory"))


class Forgetful(LlamaForCausalLM):
    """A model that does not look at a cache."""

    def forward(self, *args: Any, past_key_values: DynamicCache | None = None, **rest: Any) -> Any:
        rest["use_cache"] = False
        return super().forward(*args, **rest)

    def get_decoder(self) -> None:  # type: ignore[override]
        return None


def test_a_model_that_cannot_share_is_fed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(1)
    model = Forgetful(LlamaConfig(**SMALL)).eval()
    items = questions(num_groups=1)
    results = Scorer(model).score(items)
    for item, score in zip(items, results, strict=True):
        assert score.logprob == pytest.approx(plain(model, item)[0], abs=2e-4)
    output = capsys.readouterr().err
    assert "cannot share their beginnings" in output
    assert "more than its head's" in output
