from __future__ import annotations

import pytest

from musicllm.data.clean import clean
from musicllm.data.records import Drop
from musicllm.music.abc import Rejection, Tune, canonical
from tests.helpers import make_tune

GOOD = make_tune(1)


def tune(text: str) -> Tune:
    return Tune(text, "1", "/somewhere/reels.abc", 12)


def the_drop(text: str) -> Drop:
    tunes, drops = clean([("reels", tune(text))])
    assert tunes == []
    return drops[0]


def test_a_good_tune_stays_in_its_normal_form() -> None:
    spelled = GOOD.replace("K:D\n", "Z:a typist\nK:D major\n").replace(" | ", "|")

    tunes, drops = clean([("reels", tune(spelled))])

    assert drops == []
    assert tunes[0].text == canonical(GOOD) == GOOD
    assert (tunes[0].id, tunes[0].source) == ("reels/reels.abc:12", "reels")
    assert len(tunes[0].score.bars) == 8


def test_what_does_not_parse_is_dropped_with_the_line() -> None:
    drop = the_drop(GOOD.replace("|", "& |", 1))

    assert (drop.source, drop.place, drop.reason) == (
        "reels",
        "reels/reels.abc:12",
        "does not parse",
    )
    assert drop.detail.startswith("line 6, column")
    assert drop.is_fault


def test_what_is_no_tune_is_dropped_with_the_reason_of_its_reader() -> None:
    rejection = Rejection("/somewhere/empty.abc", "", 0, "the file is empty", "")

    _, drops = clean([("reels", rejection)])

    assert (drops[0].place, drops[0].reason) == ("reels/empty.abc:0", "is not a tune")
    assert drops[0].detail == "the file is empty"


def test_a_short_tune_is_dropped() -> None:
    drop = the_drop(make_tune(1, num_bars=3))

    assert (drop.reason, drop.detail) == ("is too short", "3 bars, 24 notes")


@pytest.mark.parametrize(("num_wrong", "stays"), [(2, True), (3, False)])
def test_at_most_a_fifth_of_the_bars_may_be_wrong(num_wrong: int, stays: bool) -> None:
    # ten bars; the first bar is left whole, since a short one there is an anacrusis
    head, _, body = make_tune(1, num_bars=10).rpartition("K:D\n")
    bars = body.split(" | ")
    bars[1 : 1 + num_wrong] = ["DEFGABcdd"] * num_wrong

    tunes, drops = clean([("reels", tune(f"{head}K:D\n{' | '.join(bars)}"))])

    assert bool(tunes) is stays
    if not stays:
        assert drops[0].reason == "bars do not fit the metre"
        assert drops[0].detail == "7 of 10 bars fit"
