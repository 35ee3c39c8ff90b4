from __future__ import annotations

import subprocess
import sys

import pytest

from musicllm.music.abc import Score, parse
from musicllm.music.analysis import (
    estimate_key,
    key_fit,
    melodic_fingerprint,
    melodic_steps,
    pitch_class_durations,
    similarity,
)

SCALE = "CDEF GABc | cBAG FEDC |"


def read(body: str, key: str = "C", length: str = "1/8", metre: str = "4/4") -> Score:
    return parse(f"X:1\nM:{metre}\nL:{length}\nK:{key}\n{body}")


def test_pitch_class_durations() -> None:
    durations = pitch_class_durations(read("C4 [EG]2 z2 | c8 |"))
    assert durations == (1.5, 0, 0, 0, 0.25, 0, 0, 0.25, 0, 0, 0, 0)


def test_key_fit() -> None:
    assert key_fit(read(SCALE)) == 1.0
    assert key_fit(read("C6 ^C2 |")) == 0.75
    assert key_fit(read("A4 ^G2 ^F2 |", key="Am")) == 1.0
    assert key_fit(read("A4 ^G2 ^F2 |", key="Ador")) == 0.75
    assert key_fit(read("C8 | [K:G] F8 |")) == 1.0


@pytest.mark.parametrize(
    ("body", "key", "name"),
    [
        ("CEGc GECG | CDEF GFED | C8 |", "C", "C"),
        ("DFAd AFDA | DEFG AGFE | D8 |", "D", "D"),
        ("Acea ecAe | ABcd e^gag | a8 |", "Am", "Am"),
        ("BDFB dBFd | BcdB F4 | B8 |", "Bb", "Bb"),
    ],
)
def test_estimate_key(body: str, key: str, name: str) -> None:
    assert estimate_key(read(body, key)).name == name


def test_steps_are_intervals_and_ratios_of_durations() -> None:
    # repeated notes join, rests are left out, of chords the highest note counts
    score = read("C2 D z D | [EG]4 C |")
    assert melodic_steps(score) == [(2, 1, 1), (5, 2, 1), (-7, 1, 4)]


def test_fingerprint_is_that_of_corpora_made_before() -> None:
    known = [313046947896788400, 1770062081436835100]
    assert sorted(melodic_fingerprint(read("CDEF GABc |"))) == known


def test_fingerprint_ignores_key_unit_length_repeated_notes_and_grace() -> None:
    plain = melodic_fingerprint(read("CDEF G2A2 | BcdB G4 | FEDC E4 |"))
    assert len(plain) == 16 - 1 - 6 + 1
    assert melodic_fingerprint(read("DEFG A2B2 | cdec A4 | GFED F4 |", key="D")) == plain
    assert melodic_fingerprint(read("CDEF G2A2 | BcdB G4 | FEDC E4 |", length="1/16")) == plain
    assert melodic_fingerprint(read("CDEF GGA-A | {d}BcdB G2z/G3/2 | FEDC E4 |")) != plain
    assert melodic_fingerprint(read("CDEF GGA-A | {d}BcdB GGG2 | FEDC E4 |")) == plain


def test_fingerprint_sees_rhythm() -> None:
    straight = melodic_fingerprint(read("CDEF GABc | dcBA GFED |"))
    dotted = melodic_fingerprint(read("C>DE>F G>AB>c | d>cB>A G>FE>D |"))
    assert similarity(straight, dotted) == 0.0


def test_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "from musicllm.music.abc import parse\n"
        "from musicllm.music.analysis import melodic_fingerprint\n"
        "print(sorted(melodic_fingerprint(parse('X:1\\nM:4/4\\nL:1/8\\nK:C\\nCDEF GABc |'))))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == str(sorted(melodic_fingerprint(read("CDEF GABc |"))))


def test_fingerprint_order_is_checked() -> None:
    with pytest.raises(ValueError, match="order=0 must be at least 1"):
        melodic_fingerprint(read(SCALE), order=0)


def test_similarity() -> None:
    assert similarity(frozenset({1, 2, 3, 4}), frozenset({3, 4})) == 1.0
    assert similarity(frozenset({1, 2, 3, 4}), frozenset({4, 5})) == 0.5
    assert similarity(frozenset({1}), frozenset()) == 0.0
