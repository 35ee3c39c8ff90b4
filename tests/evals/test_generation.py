from __future__ import annotations

import pytest

from musicllm.evals import generation
from musicllm.evals.copies import CopyIndex

HEADER = "X:1\nL:1/4\nM:4/4\nK:C\n"
GOOD = HEADER + "CDEF|GABc|c4|]"
HALF = HEADER + "CDEF|GAB^ccc|c2|cdef|]"  # bars 2 (too long) and 3 (too short) do not fit
BROKEN = "X:1\nM:4/4\nCDEF|"
PROMPT = "Write a tune in C major, metre 4/4."
INDEX = CopyIndex([HEADER + "cdef|gggg|]", "K:G\nz4|"])


def test_good_tune() -> None:
    row = generation.measure_tune(PROMPT, f"Sure:\n{GOOD}", True, INDEX)
    assert (row.abc, row.parses, row.problem) == (GOOD, True, "")
    assert (row.num_bars, row.num_bars_fitting, row.share_fitting) == (3, 3, 1.0)
    assert (row.key_fit, row.metre_as_asked, row.key_as_asked) == (1.0, True, True)
    assert row.num_characters == len(GOOD)


def test_bars_that_do_not_fit_and_notes_outside_the_key() -> None:
    row = generation.measure_tune(PROMPT, HALF, True, INDEX)
    assert (row.num_bars, row.num_bars_fitting, row.share_fitting) == (4, 2, 0.5)
    # of 16 quarters three are C sharp: an accidental holds to the end of its bar
    assert row.key_fit == pytest.approx(13 / 16)
    # cdef| is five of the body's 22 characters
    assert (row.longest_copy, row.copied_from) == (5, 0)
    assert row.copy_share == pytest.approx(5 / 22)


@pytest.mark.parametrize(
    ("completion", "problem"),
    [
        (BROKEN, 'no "K:" came yet'),
        ("I cannot do that.", "no line starts with X:"),
        (HEADER + "|]", "the tune has no notes"),
    ],
)
def test_what_does_not_parse(completion: str, problem: str) -> None:
    row = generation.measure_tune(PROMPT, completion, False, INDEX)
    assert problem in row.problem
    assert (row.parses, row.num_bars, row.key_fit) == (False, 0, None)
    assert (row.metre_as_asked, row.key_as_asked) == (False, False)


def test_other_metre_and_key_than_asked() -> None:
    row = generation.measure_tune("In D minor and 3/4, invent a waltz.", GOOD, True, INDEX)
    assert (row.metre_as_asked, row.key_as_asked) == (False, False)


def test_bars_without_metre_are_not_counted() -> None:
    row = generation.measure_tune("", "X:1\nL:1/4\nM:none\nK:C\nCDE|F|", True, INDEX)
    assert (row.parses, row.num_bars, row.share_fitting) == (True, 0, 0.0)


def test_metrics_by_hand() -> None:
    prompts = [PROMPT, PROMPT, PROMPT, "Anything."]
    outcome = generation.measure(
        prompts, [GOOD, HALF, BROKEN, GOOD], [True, True, False, True], INDEX, seed=0
    )
    metrics = outcome.metrics
    assert metrics["parse_share"] == 0.75
    assert metrics["bars_fitting"] == pytest.approx(8 / 10)  # 3 + 2 + 3 of 3 + 4 + 3
    assert metrics["bars_fitting_per_tune"] == pytest.approx(2.5 / 3)
    assert metrics["bars_fitting_strict"] == pytest.approx(2.5 / 4)
    assert metrics["key_fit"] == pytest.approx((1 + 13 / 16 + 1) / 3)
    assert metrics["metre_as_asked"] == pytest.approx(2 / 3)
    assert metrics["key_as_asked"] == pytest.approx(2 / 3)
    assert metrics["finished"] == 0.75
    assert metrics["near_copies"] == 0.0
    assert metrics["longest_copy"] == 5
    assert metrics["bars_per_tune"] == pytest.approx(10 / 3)
    assert (metrics["num_tunes"], metrics["num_bars"]) == (4, 10)
    assert metrics["bars_fitting_strict_low"] < 2.5 / 4 < metrics["bars_fitting_strict_high"]
    assert [row["parses"] for row in outcome.generations] == [True, True, False, True]


def test_copied_training_tune_is_a_near_copy() -> None:
    tune = HEADER + "CDEF|GABc|defg|a2b2|cBAG|FEDC|GFED|C4|]"
    metrics = generation.measure([""], [tune], [True], CopyIndex([tune]), seed=0).metrics
    assert (metrics["near_copies"], metrics["copy_share"]) == (1.0, 1.0)


def test_nothing_valid_has_no_means() -> None:
    metrics = generation.measure(["Hello."], ["no"], [True], INDEX, seed=0).metrics
    assert (metrics["parse_share"], metrics["bars_fitting_strict"]) == (0.0, 0.0)
    for name in ("bars_fitting", "bars_fitting_per_tune", "key_fit", "metre_as_asked"):
        assert metrics[name] is None
