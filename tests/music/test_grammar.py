"""Random walks through the grammar: what it lets end parses, with every bar in its metre."""

from __future__ import annotations

import random
import string

import pytest

from musicllm.evals.requests import find_tune
from musicllm.music import abc
from musicllm.music.grammar import Grammar, State

CHARS = string.ascii_letters + string.digits + " \n^_=,'/|:[]()<>{}\"!.~-#`%\\&+$*;?@é♯"
USUAL = "ABCDEFGabcdefg2 |"
HEADERS = (
    "X:1\n",
    "X:1\nK:C\n",
    "X:1\nL:1/8\nM:4/4\nK:G\n",
    "X:7\nT:Reel\nR:reel\nM:6/8\nK:D\n",
    "X:1\nM:2/4 3/4\nK:D\n",
    "X:1\nL:1/16\nM:2/4\nK:D\n",
    "X:1\nL:1/1\nM:5/8\nK:Ador\n",
    "Here it is:\n\nX:1\nM:3/4\nK:Am\n",
)


def walk(state: State, draw: random.Random, length: int, weight: float) -> tuple[str, list[State]]:
    """Write at random; characters of `USUAL` are this many times as probable as others."""
    text, states = "", [state]
    while len(text) < length and not (state.may_end and draw.random() < 0.02):
        order = sorted(CHARS, key=lambda c: -(draw.random() ** (1 / (weight if c in USUAL else 1))))
        char, following = next(
            (char, after) for char in order if (after := state.after(char)) is not None
        )
        text, state = text + char, following
        states.append(state)
    return text, states


def assert_legal(text: str, num_tunes: int) -> None:
    spans = abc.find_tunes(text)
    assert len(spans) == num_tunes
    for span in spans:
        score = abc.parse(text[span.start : span.stop])
        assert not abc.check(score).faults, text
    if spans:
        first = text[spans[0].start : spans[0].stop]
        assert find_tune(text).strip().rstrip("`").strip() == first


@pytest.mark.parametrize("weight", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("header", HEADERS)
def test_whatever_may_end_is_legal(header: str, weight: float) -> None:
    start = Grammar().start(header)
    for seed in range(6):
        text, states = walk(start, random.Random(seed), 40 + 40 * seed, weight)
        ending = states[-1].ending()
        last = states[-1].after(ending)
        assert last is not None
        assert last.may_end
        assert_legal(header + text + ending, last.num_tunes + (not last.is_free))


@pytest.mark.parametrize("header", HEADERS)
def test_each_character_of_an_ending_makes_the_rest_shorter(header: str) -> None:
    _, states = walk(Grammar().start(header), random.Random(1), 120, 1.0)
    for state in states:
        ending = state.ending()
        assert state.may_end == (ending == "")
        if ending:
            after = state.after(ending[0])
            assert after is not None
            assert len(after.ending()) < len(ending)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("X:1\nL:1/16\nM:2/4\nK:D\nA2efd edd", "2"),  # would have to go on as d23/32
        ("X:1\nL:1/16\nM:2/4\nK:D\nA2efd edd", "3"),  # as d3/4
        ("X:1\nL:1/8\nM:4/4\nK:D\nA", "2/"),  # is A
        ("X:1\nL:1/8\nM:4/4\nK:D\nA", "5/"),  # has no single note value
        ("X:1\nL:1/8\nM:4/4\nK:D\nA", "/16"),
        ("X:1\nL:1/8\nM:4/4\nK:D\nA>B", "/4"),
    ],
)
def test_lengths_that_nobody_writes_are_refused(text: str, wrong: str) -> None:
    state = Grammar().start(text)
    assert state.after(wrong) is None
    assert state.after(" |" if text.endswith("d") else " A") is not None
