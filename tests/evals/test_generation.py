from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from musicllm.evals import generation, results
from musicllm.evals.copies import CopyIndex
from musicllm.evals.requests import Request
from musicllm.music.transform import transpose

HEADER = "X:1\nL:1/4\nM:4/4\nK:C\n"
GOOD = HEADER + "CDEF|GABc|c4|]"
HALF = HEADER + "CDEF|GAB^ccc|c2|cdef|]"  # bars 2 (too long) and 3 (too short) do not fit
BROKEN = "X:1\nM:4/4\nCDEF|"
PROMPT = "Write a tune in C major, metre 4/4."
INDEX = CopyIndex([HEADER + "cdef|gggg|]", "K:G\nz4|"])


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "NUM_RESAMPLES", 100)


def test_good_tune() -> None:
    row = generation.measure_tune(PROMPT, f"Sure:\n{GOOD}", True, INDEX)
    assert (row.abc, row.parses, row.problem) == (GOOD, True, "")
    assert (row.num_bars, row.num_bars_fitting, row.share_fitting) == (3, 3, 1.0)
    assert (row.key_fit, row.adherence.metre_as_asked, row.adherence.key_as_asked) == (
        1,
        True,
        True,
    )
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
    assert (row.adherence.metre_as_asked, row.adherence.key_as_asked) == (False, False)


def test_other_metre_and_key_than_asked() -> None:
    row = generation.measure_tune("In D minor and 3/4, invent a waltz.", GOOD, True, INDEX)
    assert (row.adherence.metre_as_asked, row.adherence.key_as_asked) == (False, False)


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


def test_rows_are_json() -> None:
    outcome = generation.measure([PROMPT], [GOOD], [True], INDEX, seed=0)
    (row,) = json.loads(json.dumps(outcome.generations, allow_nan=False))
    assert row["adherence"]["key_as_asked"] is True
    assert row["structure"]["num_notes"] == 9
    assert row["heard"]["similarity"] == 0.0


def test_chords_of_the_tune_fit_its_notes() -> None:
    tune = HEADER + '"C"CEGD|"G"GBdc|'  # D and c are outside their chords
    assert generation.measure_tune("", tune, True, INDEX).chord_fit == pytest.approx(6 / 8)
    assert generation.measure_tune("", GOOD, True, INDEX).chord_fit is None


def test_families_are_measured_apart() -> None:
    requests = [
        Request(PROMPT, "metadata", {"key": "C major", "metre": "4/4"}),
        Request("A tune in AB.", "form", {"form": "AB"}),
        Request("A tune in AA.", "form", {"form": "AA"}),
    ]
    form_ab = HEADER + "CDEF|:GABc:|c4|]"
    answers = [GOOD, BROKEN, form_ab]
    metrics = generation.measure(requests, answers, [True] * 3, INDEX, seed=0).metrics
    assert (metrics["num_tunes"], metrics["form/num_tunes"]) == (3, 2)
    assert (metrics["metadata/parse_share"], metrics["form/parse_share"]) == (1.0, 0.5)
    assert metrics["form/form_adherence_low"] == 0.0
    assert metrics["metadata/key_as_asked"] == metrics["key_as_asked"] == 1.0
    assert not [name for name in metrics if name.startswith(("form/key_as", "metadata/form"))]


def test_one_family_is_not_measured_twice() -> None:
    request = Request(PROMPT, "metadata")
    metrics = generation.measure([request] * 2, [GOOD] * 2, [True] * 2, INDEX, seed=0).metrics
    assert not [name for name in metrics if "/" in name]


def test_same_seed_same_intervals() -> None:
    def metrics(seed: int) -> object:
        return generation.measure([PROMPT] * 2, [GOOD, HALF], [True] * 2, INDEX, seed).metrics

    assert metrics(1) == metrics(1)


def test_copy_with_other_chords_and_in_another_key() -> None:
    bars = "CDEF|GABc|defg|a2b2|cBAG|FEDC|GFED|C4|cdef|gage|fdcB|c4|]"
    tune = HEADER + bars
    index = CopyIndex([tune])
    harmonised = tune.replace("CDEF", '"C"CDEF').replace("cBAG", '"Am"cBAG')
    row = generation.measure_tune("", harmonised, True, index)
    assert (row.is_near_copy, row.is_melodic_copy, row.copy_share) == (True, True, 1.0)
    row = generation.measure_tune("", transpose(tune, 2), True, index)
    assert (row.is_near_copy, row.is_melodic_copy, row.heard.run_share) == (False, True, 1.0)


def test_nothing_valid_has_no_means() -> None:
    metrics = generation.measure(["Hello."], ["no"], [True], INDEX, seed=0).metrics
    assert (metrics["parse_share"], metrics["bars_fitting_strict"]) == (0.0, 0.0)
    for name in ("bars_fitting", "bars_fitting_per_tune", "key_fit", "metre_as_asked"):
        assert metrics[name] is None


def test_the_page_explains_every_metric() -> None:
    traits = {"chords": "C", "motif": "CDEF", "form": "A", "opening": GOOD, "rhythm": "reel"}
    requests = [Request(PROMPT, family, traits) for family in ("form", "motif")] * 2
    answers = [GOOD.replace("CDEF", '"C"CDEF')] * 4
    metrics = generation.measure(requests, answers, [True] * 4, INDEX, seed=0).metrics
    names = {re.sub(r"^\w+/|_(low|high)$", "", name) for name in metrics}
    assert len(names) > 40
    page = Path(__file__).parents[2] / "docs" / "GENERATION_METRICS.md"
    explained = set(re.findall(r"`(\w+)`", page.read_text(encoding="utf-8")))
    assert not names - explained
