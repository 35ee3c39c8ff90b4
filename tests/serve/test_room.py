"""Prompts that leave no room for an answer: which, how many, and what to do."""

from __future__ import annotations

import pytest

from musicllm.errors import InputError
from musicllm.serve.prompts import Prompts
from musicllm.serve.room import Tight, refuse, tight_prompts


def tight(*lengths: int, new: int = 40) -> list[Tight]:
    """Return what does not fit into 100 positions."""
    prompts = Prompts.read(["a" * length for length in lengths])
    return tight_prompts(prompts, lambda prompt: len(prompt.shown), lambda _: new, 100)


def message(*lengths: int, new: int = 40) -> str:
    with pytest.raises(InputError) as caught:
        refuse(tight(*lengths, new=new), len(lengths))
    return str(caught.value)


def test_only_prompts_without_room_are_refused() -> None:
    assert [own.number for own in tight(60, 61, 10, 100, 300)] == [1, 3, 4]
    prompts = Prompts.read(["a"])
    assert not tight_prompts(prompts, lambda _: None, lambda _: 1000, 10)


def test_the_fix_is_a_shorter_answer_where_all_then_fit() -> None:
    text = message(10, 61, 80)
    assert text.startswith("2 of 3 prompts leave no room for their answers:\n")
    assert (
        "\n  generation.prompts[1] has 61 tokens, which leaves 39 of 100 positions for "
        "max_new_tokens=40\n"
    ) in text
    assert "\nwrite generation.max_new_tokens=20, with which all fit, or shorten them; " in text
    assert text.endswith("generation.long_prompts=skip leaves them without an answer")


def test_prompts_that_are_too_long_by_themselves_are_to_be_shortened() -> None:
    text = message(61, 300)
    assert "generation.prompts[1] has 300 tokens, and the model 100 positions" in text
    assert "\nshorten them, or write generation.max_new_tokens=39, with which 1 fit; " in text
    assert "\nshorten them; generation.long_prompts=skip" in message(300)
    assert "\n  and 2 more\n" in message(*[200] * 7)
