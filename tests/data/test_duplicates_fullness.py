"""Of records that count as the same, the fuller and cleaner one stays; ties keep their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musicllm.data.duplicates import Melodies, Signatures, Texts, decide, fullness, minhash
from musicllm.data.duplicates.decide import EXACT, MELODIC, NEAR, STAYS
from musicllm.data.music import Examined, examine
from musicllm.schema import MusicConfig
from tests.helpers import duplicates_config, make_tune, music_config


def full(text: str, policy: MusicConfig | None = None) -> int:
    examined = examine({"id": "x", "source": "s", "text": text}, policy or music_config())
    assert isinstance(examined, Examined)
    return fullness(examined)


TUNE = make_tune(1, 16)
HEAD, MUSIC = TUNE.split("K:D\n")


@pytest.mark.parametrize(
    ("fuller", "other"),
    [
        (make_tune(1, 40), make_tune(1, 8)),
        (TUNE, " | ".join(TUNE.split(" | ")[:15]) + " |]"),
        (TUNE, TUNE.replace(" | ", "D | ", 1)),
        (TUNE, TUNE.replace("K:D\n", "K:D</s>\n")),
        (TUNE, f"{HEAD}K:D\n{MUSIC[0]}2{MUSIC[2:]}"),
        (f"{HEAD}N:of a book\nK:D\n{MUSIC}", TUNE),
        ("a long text", "a text"),
    ],
    ids=["bars", "cut off", "a bar that does not fit", "mended", "notes", "text", "prose"],
)
def test_fuller_and_cleaner(fuller: str, other: str) -> None:
    assert full(fuller) > full(other)


def test_white_space_fills_nothing() -> None:
    assert full(TUNE) == full(TUNE + "\n\n") == full(TUNE.replace(" | ", "  |  "))


def test_a_fault_that_was_let_pass_outweighs_length() -> None:
    policy = music_config(on_fault="keep")

    assert full(make_tune(1, 8), policy) > full(make_tune(1, 40).replace("|", "& |", 1), policy)


def test_no_size_overflows_into_what_weighs_more() -> None:
    record = {"id": "x", "source": "s", "text": "x"}
    most = 10**9
    huge = Examined(record, (), (), (), num_bars=most, num_fitting=most, num_notes=most)
    faulty = huge._replace(faults=("does not parse",))

    assert fullness(faulty) < fullness(Examined(record, (), (), ())) < fullness(huge) < 2**64


def test_the_best_stays_whatever_the_order(tmp_path: Path) -> None:
    # two equal tunes that share 9 of 10 figures with a third one; the last two texts are equal
    tunes = [[*range(9), 50], [*range(9), 60], range(10), range(20, 30), range(20, 30)]
    np.array([value for tune in tunes for value in tune], np.uint64).tofile(tmp_path / "melodies")
    offsets = np.cumsum([0, *map(len, tunes)])
    melodies = Melodies(tmp_path / "melodies", offsets, np.zeros(5, np.uint64))
    exact = np.array([0, 1, 2, 3, 3], np.uint64)
    fulls = np.array([5, 5, 7, 1, 2], np.uint64)

    decision = decide(
        Signatures(exact, fulls, melodies=melodies), duplicates_config(melodic_similarity=0.6)
    )

    assert decision.duplicate_of.tolist() == [2, 2, -1, 4, -1]
    assert decision.reason.tolist() == [MELODIC, MELODIC, STAYS, EXACT, STAYS]
    assert decision.group.tolist() == [2, 2, 2, 4, 4]


def test_near_duplicates_are_compared_with_the_best_of_many(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(300)]
    texts = [" ".join([*words[:n], "other", *words[n + 1 :]]) for n in range(0, 300, 10)]
    minhash(texts).tofile(tmp_path / "minhash")
    num = len(texts)
    signed = Texts(tmp_path / "minhash", np.zeros(num, np.uint64), np.ones(num, np.int8))
    fulls = np.arange(num, dtype=np.uint64)

    decision = decide(
        Signatures(np.arange(num, dtype=np.uint64), fulls, signed),
        duplicates_config(near_similarity=0.8),
    )

    assert decision.duplicate_of.tolist() == [num - 1] * (num - 1) + [-1]
    assert set(decision.reason[:-1].tolist()) == {NEAR}


def test_of_copies_the_held_out_one_stays_however_full_the_other_is() -> None:
    exact, fulls = np.zeros(3, np.uint64), np.array([9, 5, 7], np.uint64)
    held = np.array([0, 1, 1], np.int8)

    decision = decide(Signatures(exact, fulls, held_out=held), duplicates_config())

    assert decision.duplicate_of.tolist() == [2, 2, -1]
