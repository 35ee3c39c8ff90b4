from __future__ import annotations

import random
from difflib import SequenceMatcher

import pytest

from musicllm.evals.copies import CopyIndex, body
from musicllm.evals.suffixes import suffix_array

TRAINING = ["X:1\nK:C\nCDEF GABc|\ncBAG FEDC|]", "X:2\nK:G\nGGGG AAAA|BBBB c4|]"]


def test_body_leaves_header_chord_symbols_and_white_space_out() -> None:
    assert body(TRAINING[0]) == "CDEFGABc|cBAGFEDC|]"
    assert body("no tune at all") == "notuneatall"
    assert body('X:1\nK:C\n"Am"CD "^slowly"EF|') == 'CD"^slowly"EF|'


@pytest.mark.parametrize("text", ["", "a", "banana", "aaaa", "\0b\0a", "é♯é"])
def test_suffixes_are_in_order(text: str) -> None:
    assert suffix_array(text).tolist() == sorted(range(len(text)), key=lambda start: text[start:])


def test_longest_run_by_hand() -> None:
    run = CopyIndex(TRAINING).longest_run("X:9\nK:C\nzz GABc|cB zz|]")
    assert (run.length, run.source) == (7, 0)  # GABc|cB of the 13 characters
    assert run.share == pytest.approx(7 / 13)


def test_runs_do_not_cross_from_one_tune_into_another() -> None:
    run = CopyIndex(["K:C\nABC", "K:C\nDEF"]).longest_run("ABCDEF")
    assert run.length == 3
    assert run.source in (0, 1)
    assert run.share == 0.5


def test_whole_copy_whatever_its_header_and_layout() -> None:
    copied = TRAINING[1].replace("X:2", "X:77\nT:Mine").replace("|BBBB", "|\nBBBB")
    run = CopyIndex(TRAINING).longest_run(copied)
    assert (run.share, run.source) == (1.0, 1)


def test_nothing_in_common() -> None:
    run = CopyIndex(TRAINING).longest_run("zzz")
    assert (run.length, run.share, run.source, run.is_near_copy) == (0, 0.0, -1, False)


def test_empty_tune_and_empty_training() -> None:
    assert CopyIndex(TRAINING).longest_run("X:1\nK:C\n").share == 0.0
    assert CopyIndex([]).longest_run("abc").length == 0


def test_agrees_with_difflib() -> None:
    generator = random.Random(0)
    texts = ["".join(generator.choices("ABC|", k=60)) for _ in range(4)]
    index = CopyIndex(texts)
    for _ in range(20):
        tune = "".join(generator.choices("ABC|", k=40))
        expected = max(
            SequenceMatcher(None, tune, text, autojunk=False).find_longest_match().size
            for text in texts
        )
        run = index.longest_run(tune)
        assert run.length == expected
        matcher = SequenceMatcher(None, tune, texts[run.source], autojunk=False)
        assert matcher.find_longest_match().size == expected


def test_near_copy_is_large_in_share_and_in_length() -> None:
    bars = "CDEF|GABc|defg|abc'd'|efga|bagf|edcB|"  # 37 characters
    index = CopyIndex([f"K:C\n{bars}"])
    assert index.longest_run(bars + "z" * 37).is_near_copy
    assert not index.longest_run(bars + "z" * 38).is_near_copy
    assert index.longest_run(bars[:32]).is_near_copy
    assert not index.longest_run(bars[:31]).is_near_copy
