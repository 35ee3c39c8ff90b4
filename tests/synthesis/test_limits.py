"""Hand-worked paces and budgets, and the estimate of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.records import Record
from musicllm.synthesis import tokens
from musicllm.synthesis.estimate import estimate
from musicllm.synthesis.kind import Item, Synthesis
from musicllm.synthesis.limits import Bucket, Budget, Prices, Usage
from musicllm.synthesis.prompt_file import PromptFile


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_requests_are_spread_over_the_minute() -> None:
    clock = Clock()
    bucket = Bucket(30, clock)  # one every two seconds
    times = []
    for _ in range(4):
        clock.now += bucket.wait_s()
        bucket.use(1)
        times.append(clock.now)
    assert times == pytest.approx([100, 102, 104, 106])
    clock.now += 1000  # a pause gives no more than one at once
    assert bucket.wait_s() == 0
    bucket.use(1)
    assert bucket.wait_s() == pytest.approx(2)


def test_tokens_beyond_what_was_expected_are_waited_for() -> None:
    clock = Clock()
    bucket = Bucket(600, clock)  # ten a second
    bucket.use(50)  # 10 were there: 40 are owed
    assert bucket.wait_s() == pytest.approx(4.1)
    bucket.use(-40)  # the answer was shorter
    assert bucket.wait_s() == pytest.approx(0.1)
    assert Bucket(None, clock).wait_s() == 0


def test_what_is_under_way_counts_with_its_upper_bound() -> None:
    budget = Budget(Prices(1e6, 2e6), max_cost=100, max_tokens=None, spent=Usage(10, 5))
    assert budget.cost == 20
    bound = Usage(20, 10)  # costs 40
    assert budget.allows(bound)
    budget.reserve(bound)
    budget.reserve(bound)  # 20 + 80
    assert not budget.allows(Usage(1, 0))
    budget.settle(bound, Usage(20, 1))  # 42 spent, 40 set aside
    assert budget.allows(Usage(18, 0))
    assert not budget.allows(Usage(19, 0))
    assert "synthesis.max_cost=100 is used up: 42 are spent" in str(budget.refuse(3, 9))
    few = Budget(Prices(0, 0), max_cost=None, max_tokens=12, spent=Usage(6, 4))
    assert few.allows(Usage(1, 1))
    assert not few.allows(Usage(1, 2))


def test_tokens_are_estimated_in_both_languages_and_bounded() -> None:
    assert tokens.about(["a reel in D!"]) == 3
    assert tokens.about(["写一首曲子"]) == 5
    assert tokens.most("写a") == 4
    messages = [{"role": "user", "content": "a reel in D!"}]
    assert tokens.about_prompt(messages) == 3 + 8
    assert tokens.most_of_prompt(messages) == 12 + 64


class Known(Synthesis[str]):
    def requests(self, records: Iterable[Record]) -> Iterator[Item]:
        return (Item(str(record["id"]), {"text": record["text"]}) for record in records)

    def parse(self, answer: str, item: Item) -> str:
        return answer

    def record(self, item: Item, value: str) -> dict[str, Any]:
        return {"text": value}

    def expected_tokens(self, item: Item) -> int | None:
        return {"long": 50, "short": 3}.get(item.variables["text"])


def test_an_estimate_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.jinja"
    path.write_text("abcdefgh")  # 2 tokens, and 8 around it
    prompt, kind = PromptFile(path), Known()
    records = [{"id": n, "text": text} for n, text in enumerate(["long", "short"] * 3)]
    about = estimate(kind.requests(records), kind, prompt, max_new_tokens=20, max_tries=3)
    assert about.num_items == 6
    assert about.expected == Usage(60, 3 * 20 + 3 * 3)
    # three prompts of 10, two of them longer by an answer of 20; three answers of 20
    assert about.longest == Usage(6 * (10 + 30 + 30), 6 * 60)
    rows = dict(about.rows(Prices(2e6, 1e6)))
    assert rows["tokens of answers"] == "expected 69"
    assert rows["cost"] == "about 189.00, with every try at most 1,200.00"
    monkeypatch.setattr("musicllm.synthesis.estimate.SAMPLE", 2)
    assert estimate(
        kind.requests(records), kind, prompt, max_new_tokens=20, max_tries=3
    ).expected == Usage(60, 69)
    other = [{"id": 0, "text": "unknown"}]
    rows = dict(
        estimate(kind.requests(other), kind, prompt, max_new_tokens=20, max_tries=1).rows(
            Prices(0, 0)
        )
    )
    assert rows["tokens of answers"] == "at most 20"
    assert "cost" not in rows
