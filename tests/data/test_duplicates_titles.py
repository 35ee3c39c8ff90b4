"""Tunes of one title are related when a little of their melody is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musicllm.data.duplicates import Decision, Melodies, Signatures, decide, title_hash
from musicllm.data.duplicates.titles import MAX_TUNES_PER_TITLE, normalized
from tests.helpers import duplicates_config


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Athole House, The", "athole house"),
        ("THE  ATHOLE HOUSE.", "athole house"),
        ("Athole House (2nd Setting)", "athole house"),
        ("Éire \u2019s Pride", "eire s pride"),
        ("O\u2019Neill's", "oneills"),
        ("A", "a"),
        ("The", "the"),
        ("!", ""),
    ],
)
def test_titles_are_compared_without_what_varies(title: str, words: str) -> None:
    assert normalized(title) == words


def test_no_title_is_no_evidence() -> None:
    assert title_hash("") == title_hash("...") == 0
    assert title_hash("The Boyne Hunt") == title_hash("Boyne Hunt, the") > 0


def titled(folder: Path, tunes: list[list[int]], titles: list[str]) -> Decision:
    np.array([value for tune in tunes for value in tune], np.uint64).tofile(folder / "melodies")
    offsets = np.cumsum([0, *map(len, tunes)])
    nothing = np.zeros(len(tunes), np.uint64)
    signatures = Signatures(
        np.arange(len(tunes), dtype=np.uint64), nothing,
        melodies=Melodies(folder / "melodies", offsets, nothing),
        titles=np.array(list(map(title_hash, titles)), np.uint64),
    )  # fmt: skip
    return decide(signatures, duplicates_config(melodic_similarity=0.6))


def test_one_title_and_a_little_of_the_melody_make_a_group(tmp_path: Path) -> None:
    # one figure of ten is shared by the first four; 0.1 is far from related (0.25)
    tunes = [[0, *range(n, n + 9)] for n in (10, 20, 30, 40)] + [[*range(50, 60)]]
    titles = ["The Boyne Hunt", "Other", "Boyne Hunt, The", "", "BOYNE HUNT"]

    decision = titled(tmp_path, tunes, titles)

    assert decision.duplicate_of.tolist() == [-1] * 5
    assert decision.group.tolist() == [0, 1, 0, 3, 4]
    assert (decision.num_related, decision.num_titled) == (0, 1)


def test_pairs_that_melody_relates_are_not_counted_twice(tmp_path: Path) -> None:
    tunes = [[*range(10)], [*range(5, 15)]]

    decision = titled(tmp_path, tunes, ["Jig", "Jig"])

    assert decision.group.tolist() == [0, 0]
    assert (decision.num_related, decision.num_titled) == (1, 0)


def test_a_title_that_many_have_says_nothing(tmp_path: Path) -> None:
    num = MAX_TUNES_PER_TITLE + 1
    tunes = [[0, *range(n, n + 9)] for n in range(100, 100 + 10 * num, 10)]

    decision = titled(tmp_path, tunes, ["Jig"] * num)

    assert decision.group.tolist() == list(range(num))
