from __future__ import annotations

import math

import pytest

from musicllm.evals.generation.distinctness import distinctness
from musicllm.evals.generation.structure import Structure, structure
from musicllm.music import abc
from musicllm.music.transform import transpose

HEADER = "X:1\nL:1/4\nM:4/4\nK:C\n"


def of(music: str) -> Structure:
    """Return how a tune in C is built."""
    return structure(abc.parse(HEADER + music))


def test_repeats_and_length() -> None:
    result = of("CDEF|G2z2:|c2[ce]2|c4|]")
    assert (result.num_notes, result.num_sections, result.has_repeats) == (8, 2, True)
    assert result.repeated_share == 0.5
    result = of("CDEF|G4|]")
    assert (result.num_sections, result.has_repeats, result.repeated_share) == (1, False, 0.0)


def test_phrases_that_come_back() -> None:
    first, second = "CDEF|GABc|cBAG|F4|", "c4|d4|e4|f4|"
    assert of(f"{first}{second}|]").phrase_repetition == 0.0
    assert of(f"{first}{first}|]").phrase_repetition == 0.5
    assert of(f"{first}{second}{first}{second}|]").phrase_repetition == 0.5
    # the second phrase has two of the four bars of the first
    assert of(f"{first}CDEF|GABc|e4|f4|]").phrase_repetition == 0.5
    assert of(f"{first}CDEF|c4|e4|f4|]").phrase_repetition == 0.0
    # one phrase of the three that are heard is new each time but for the repeat
    assert of(f"{first[:-1]}:|{second}|]").phrase_repetition == pytest.approx(1 / 3)


def test_bars_that_come_back() -> None:
    result = of("CDEF|CDEF|GABc|CDE2|]")
    assert result.bar_repetition == 0.25
    # CDE2 shares C and D of the five notes that it and CDEF have; GABc shares none
    assert result.self_similarity == pytest.approx((1 + 1 + 0 + 2 / 5) / 4)
    assert of("CDEF|").self_similarity == 0.0


def test_distinct_n_grams_by_hand() -> None:
    # the steps are +2 +2 +1 | +2 +2 +1, whatever the key, and +2 +2 in the last
    tunes = [abc.parse(HEADER + music) for music in ("CDEF|", "GABc|", "CDE2|")]
    result = distinctness(tunes)
    # 2-grams: (2 2) (2 1), (2 2) (2 1), and (2 2*) with another duration
    assert result["distinct_2"] == pytest.approx(3 / 5)
    left_out = [3 / 3, 3 / 3, 2 / 4]
    mean = sum(left_out) / 3
    wide = 1.959964 * math.sqrt(2 / 3 * sum((value - mean) ** 2 for value in left_out))
    assert result["distinct_2_low"] == pytest.approx(max(0, 3 / 5 - wide))
    assert (result["distinct_4"], result["pairwise_similarity"]) == (None, None)


LONG = "CDEF|GABc|defg|a2b2|cBAG|FEDC|GFED|C4|cdef|gage|fdcB|c4|]"
OTHER = "CEGc|eGec|dBGF|D2F2|AFDA|dfad|cAFC|G4|GcBA|GFEG|ceBd|c4|]"
THIRD = "c3d|e2c2|gf3|a4|g2e2|dc3|A2GE|D4|G3A|B2d2|cB3|A2c2|"


def test_melodies_in_another_key_are_the_same() -> None:
    tune = HEADER + LONG
    tunes = [abc.parse(text) for text in (tune, transpose(tune, 3), HEADER + OTHER)]
    result = distinctness(tunes)
    assert result["pairwise_similarity"] == pytest.approx(1 / 3)
    assert result["nearest_similarity"] == pytest.approx(2 / 3)
    assert result["same_melodies"] == pytest.approx(2 / 3)
    different = distinctness([abc.parse(HEADER + music) for music in (LONG, OTHER, THIRD)])
    assert (different["same_melodies"], different["same_melodies_high"]) == (0.0, 0.0)


def test_too_few_tunes_to_compare() -> None:
    assert distinctness([])["distinct_2"] is None
    result = distinctness([abc.parse(HEADER + LONG)])
    assert result["nearest_similarity"] is None
    assert "distinct_2_low" not in result
