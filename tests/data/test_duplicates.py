from __future__ import annotations

import random

import pytest

from musicllm.data import duplicates
from musicllm.data.clean import CleanTune
from musicllm.data.duplicates import deduplicate
from musicllm.music.abc import parse
from musicllm.music.transform import transpose
from tests.helpers import make_tune


def tune(name: str, text: str) -> CleanTune:
    return CleanTune(name, "book", text, parse(text))


def bars_of(seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.sample("DEFGABcd", k=8)) for _ in range(16)]


def tune_of(name: str, bars: list[str]) -> CleanTune:
    return tune(name, "X:1\nL:1/8\nM:4/4\nK:D\n" + " | ".join(bars) + " |]\n")


def reasons(drops: list[duplicates.Drop]) -> list[tuple[str, str]]:
    return [(drop.place, drop.reason) for drop in drops]


def test_the_same_text_is_kept_once() -> None:
    tunes = [tune("a", make_tune(1)), tune("b", make_tune(2)), tune("c", make_tune(1))]

    kept, drops = deduplicate(tunes, 1.0)

    assert [each.id for each, _ in kept] == ["a", "b"]
    assert reasons(drops) == [("c", "is a duplicate")]
    assert drops[0].detail == "of a"
    assert not drops[0].is_fault


def test_a_melody_in_another_key_is_a_near_duplicate() -> None:
    tunes = [tune("a", make_tune(1)), tune("b", transpose(make_tune(1), 3))]

    kept, drops = deduplicate(tunes, 0.6)

    assert [each.id for each, _ in kept] == ["a"]
    assert reasons(drops) == [("b", "is a near-duplicate")]
    assert drops[0].detail == "of a, similarity 1.00"


def test_a_limit_of_one_keeps_near_duplicates_in_one_group() -> None:
    tunes = [tune("a", make_tune(1)), tune("b", transpose(make_tune(1), 3))]

    kept, drops = deduplicate(tunes, 1.0)

    assert [(each.id, group) for each, group in kept] == [("a", "a"), ("b", "a")]
    assert drops == []


def test_a_limit_below_that_of_related_tunes_holds() -> None:
    # b shares two of its sixteen bars with a
    first, second = bars_of(1), bars_of(2)
    tunes = [tune_of("a", first), tune_of("b", first[:2] + second[2:])]

    assert [len(deduplicate(tunes, limit)[0]) for limit in (0.2, 0.02)] == [2, 1]


def test_related_tunes_form_a_group_across_a_link() -> None:
    # b shares half of its bars with a and half with c; a and c share nothing
    first, second, other = bars_of(1), bars_of(2), bars_of(3)
    tunes = [
        tune_of("a", first),
        tune_of("c", second),
        tune_of("b", first[:8] + second[8:]),
        tune_of("d", other),
    ]

    kept, drops = deduplicate(tunes, 0.6)

    assert drops == []
    assert {each.id: group for each, group in kept} == {"a": "a", "c": "a", "b": "a", "d": "d"}


def test_a_figure_that_everybody_has_relates_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    tunes = [tune_of("a", bars_of(1)), tune_of("b", bars_of(2)), tune_of("c", bars_of(2)[:15])]
    monkeypatch.setattr(duplicates, "MAX_TUNES_PER_HASH", 0)

    kept, _ = deduplicate(tunes, 0.6)

    assert [group for _, group in kept] == ["a", "b", "c"]
