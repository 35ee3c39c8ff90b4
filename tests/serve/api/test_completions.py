"""`/v1/completions` by OpenAI's client: continuations of one or several texts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serve.api.engines import Steered


def refusal(client: Any, **fields: Any) -> Any:
    import openai

    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="steered", **fields)
    return caught.value


def test_a_text_is_continued(client: Any, engine: Steered) -> None:
    answer = client.completions.create(model="steered", prompt="X:1", seed=3, max_tokens=20)
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason) == (" and so on after X:1", "stop")
    assert answer.object == "text_completion"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 7)
    assert answer.musicllm["end"] == "model"
    assert (engine.requests[0].text, engine.requests[0].seed) == ("X:1", 3)


def test_several_texts_with_choices_and_echo(client: Any) -> None:
    answer = client.completions.create(
        model="steered", prompt=["a", "bc"], n=2, echo=True, max_tokens=3, seed=9
    )
    assert [choice.text for choice in answer.choices] == ["a and so o"] * 2 + ["bc and so o"] * 2
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.musicllm["seed"] for choice in answer.choices] == [9, 10, 9, 10]
    assert {choice.finish_reason for choice in answer.choices} == {"length"}
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 12)


def test_a_stream(client: Any) -> None:
    texts = {0: "", 1: ""}
    for chunk in client.completions.create(
        model="steered", prompt=["a", "b"], stream=True, echo=True, stop="after"
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == {0: "a and so on ", 1: "b and so on "}


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "prompt is empty, and must be a text that is not empty, or a list of such"),
        (["a", ""], "prompt is empty, and must be a text that is not empty, or a list of such"),
        ([], "prompt is empty, and must be a text that is not empty"),
        ([1, 2], "prompt is a list, and must be a text that is not empty"),
        (None, "prompt is null, and must be a text that is not empty"),
    ],
)
def test_what_is_no_prompt(client: Any, prompt: Any, words: str) -> None:
    assert words in str(refusal(client, prompt=prompt))


def test_limits(client: Any) -> None:
    assert "prompt and n are more than 128 texts" in str(refusal(client, prompt=["a"] * 65, n=2))
    error = refusal(client, prompt="x" * 999, max_tokens=2)
    assert (error.param, error.code) == ("prompt", "context_length_exceeded")
    assert "drop_oldest" not in str(error)


def test_a_text_that_no_legal_tune_begins_with(client: Any, engine: Steered) -> None:
    head, extra = "X:1\nL:1/8\nM:6/8\nK:G\n", {"grammar": "abc"}
    error = refusal(client, prompt=f"{head}ABc def g|", extra_body=extra)
    assert error.param == "prompt"
    assert "no legal tune begins with prompt" in str(error)
    client.completions.create(model="steered", prompt=f"{head}ABc d2", extra_body=extra)
    assert engine.requests[-1].rules is not None
