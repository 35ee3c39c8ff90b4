"""Drawing tokens: the same candidates as transformers', the model's distribution, own streams."""

from __future__ import annotations

from itertools import product
from math import sqrt

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from musicllm.errors import StageError
from musicllm.inference.decoding import choosing
from musicllm.inference.decoding.choosing import choose, filtered, gumbel, penalised
from musicllm.inference.requests import SamplingSettings

VOCAB = 700
"""More than the candidates that are sorted at first for top-p."""


def scores_of(rows: int, spread: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(rows, VOCAB, generator=generator) * spread


def settings(
    temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, penalty: float = 1.0
) -> SamplingSettings:
    return SamplingSettings(temperature, top_k, top_p, penalty, 10)


def as_transformers(ids: torch.Tensor, scores: torch.Tensor, one: SamplingSettings) -> torch.Tensor:
    processors = LogitsProcessorList()
    if one.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(one.repetition_penalty))
    processors.append(TemperatureLogitsWarper(one.temperature))
    if one.top_k:
        processors.append(TopKLogitsWarper(one.top_k))
    if one.top_p < 1:
        processors.append(TopPLogitsWarper(one.top_p))
    return processors(ids, scores)


def whole(values: torch.Tensor, ids: torch.Tensor | None) -> torch.Tensor:
    if ids is None:
        return values
    return torch.full((len(values), VOCAB), float("-inf")).scatter(1, ids, values)


@pytest.mark.parametrize(
    "one",
    [
        settings(*values)
        for values in product((0.7, 1.5), (0, 1, 40, VOCAB + 5), (1e-6, 0.5, 0.95, 1.0), (1.0, 1.3))
    ],
)
@pytest.mark.parametrize("spread", [0.01, 3.0])
def test_candidates_are_those_of_transformers(one: SamplingSettings, spread: float) -> None:
    scores, ids = scores_of(3, spread), torch.tensor([[5, 9, 9], [1, 2, 3], [7, 7, 7]])
    seen = torch.zeros_like(scores, dtype=torch.bool).scatter(1, ids, True)
    ours = penalised(scores, seen, [one.repetition_penalty] * 3) / one.temperature
    ours = whole(*filtered(ours, one))
    expected = as_transformers(ids, scores, one)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_all_tokens_that_equal_the_last_of_the_top_k_stay() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 2.0, 2.0, 0.0], [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]])
    values, ids = filtered(scores, settings(top_k=2))
    kept = [
        sorted(row[value > float("-inf")].tolist()) for value, row in zip(values, ids, strict=True)
    ]
    assert kept == [[1, 2, 3, 4], [0, 1]]


@pytest.mark.parametrize("one", [settings(), settings(0.7, 5, 0.9), settings(top_p=0.6)])
def test_tokens_are_drawn_as_often_as_they_are_probable(one: SamplingSettings) -> None:
    number = 20_000
    scores = torch.randn(1, 12, generator=torch.Generator().manual_seed(1))
    expected = as_transformers(torch.tensor([[0]]), scores, one).softmax(-1)[0]
    drawn, _ = choose(scores.expand(number, -1), [one] * number, [(5, n) for n in range(number)])
    shares = torch.bincount(torch.tensor(drawn), minlength=12) / number
    for share, probability in zip(shares.tolist(), expected.tolist(), strict=True):
        assert abs(share - probability) <= 4.5 * sqrt(probability * (1 - probability) / number)


def test_walking_down_a_race_draws_from_what_is_left_renormalised() -> None:
    number, allowed = 20_000, [1, 4, 7, 11]
    scores = torch.randn(1, 12, generator=torch.Generator().manual_seed(2))
    expected = scores[0, allowed].softmax(-1).tolist()
    one = settings()
    draws = [(seed, 3) for seed in range(number)]
    _, race = choose(scores.expand(number, -1), [one] * number, draws)
    first = [next(token for token in race(n).order() if token in allowed) for n in range(number)]
    assert first[:500] == [race(n).order_of(allowed)[0] for n in range(500)]
    for token, probability in zip(allowed, expected, strict=True):
        deviation = sqrt(probability * (1 - probability) / number)
        assert abs(first.count(token) / number - probability) <= 4.5 * deviation


def test_a_race_has_all_tokens_the_filtered_ones_last() -> None:
    scores = scores_of(1)
    one = settings(top_k=3)
    _, race = choose(scores, [one], [(0, 0)])
    order = list(race(0).order())
    assert sorted(order) == list(range(VOCAB))
    assert set(order[:3]) == set(scores[0].topk(3).indices.tolist())
    assert race(0).order_of(range(VOCAB)) == order
    unfiltered = choose(scores, [settings()], [(0, 0)])[1](0)
    assert order[3:] == [token for token in unfiltered.order() if token not in order[:3]]


def test_greedy_is_the_order_of_scores() -> None:
    scores = scores_of(1)
    drawn, race = choose(scores, [settings(temperature=0)], [(0, 0)])
    order = scores[0].argsort(descending=True).tolist()
    assert drawn == [order[0]]
    assert list(race(0).order()) == order


def test_noise_is_a_function_of_seed_number_and_token_alone() -> None:
    ids = torch.arange(50)[None]
    alone = gumbel(ids, [(3, 8)])
    beside = gumbel(ids.expand(3, -1), [(1, 1), (3, 8), (2**40, 7)])
    assert torch.equal(beside[1:2], alone)
    assert torch.equal(gumbel(torch.tensor([[30, 7]]), [(3, 8)])[0], alone[0, [30, 7]])
    assert not torch.equal(gumbel(ids, [(8, 3)]), alone)


def test_noise_is_gumbels_and_independent() -> None:
    noise = gumbel(torch.arange(2000)[None], [(seed, 0) for seed in range(100)]).double()
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(noise.var()) == pytest.approx(1.6449, abs=0.03)
    between = torch.corrcoef(noise) - torch.eye(100, dtype=torch.float64)
    assert float(between.abs().max()) < 5 / sqrt(2000)


def test_scores_that_are_not_numbers_are_refused() -> None:
    scores = scores_of(2)
    scores[1, 3] = float("nan")
    with pytest.raises(StageError, match="scores that are not numbers"):
        choose(scores, [settings()] * 2, [(0, 0)] * 2)


def test_more_candidates_are_sorted_where_few_lack_the_probability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, one = scores_of(4, spread=0.1), settings(top_p=0.9)
    expected = whole(*filtered(scores, one))
    monkeypatch.setattr(choosing, "FEW", 4)
    assert torch.equal(whole(*filtered(scores, one)), expected)
