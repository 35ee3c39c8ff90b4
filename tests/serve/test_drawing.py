"""Prompts drawn from instructions: spread over what they are about, by the seed."""

from __future__ import annotations

import pytest

from musicllm.errors import ArtifactError
from musicllm.serve.drawing import draw_records, draw_requests


def request(number: int, task: str, key: str) -> dict[str, object]:
    answer = f"X:1\nM:4/4\nK:{key}\nCDEF"
    turns = [{"role": "user", "content": f"{task} {key} {number}"}, {"content": answer}]
    return {"id": str(number), "task": task, "messages": turns}


def test_requests_are_spread_over_tasks_and_keys_and_follow_the_seed() -> None:
    records = [request(n, "motif", "D") for n in range(20)]
    records += [request(20, "chords", "D"), request(21, "chords", "G"), request(22, "form", "Am")]
    drawn = draw_requests(records, 4, seed=3)
    tasks = [text.split()[0] for text in drawn]
    assert sorted(tasks[:3]) == ["chords", "form", "motif"]
    assert len({text.split()[1] for text in drawn[:3]}) == 3
    assert draw_requests(records, 4, seed=3) == drawn
    assert {tuple(draw_requests(records, 1, seed=seed)) for seed in range(9)} != {(drawn[0],)}
    assert sorted(map(str, draw_records(records, 23, seed=1))) == sorted(map(str, records))


def test_too_few_requests_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"generation\.num_prompts=2 needs as many .* holds 1;"):
        draw_requests([request(1, "motif", "D")], 2, seed=1)


def test_a_system_prompt_is_no_request() -> None:
    record = request(1, "motif", "D")
    record["messages"].insert(0, {"role": "system", "content": "You compose."})  # type: ignore[attr-defined]
    assert draw_requests([record], 1, seed=1) == ["motif D 1"]
