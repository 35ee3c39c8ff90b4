from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from musicllm.music import abc, analysis
from musicllm.theory import spelling, staff
from musicllm.theory.drafts import LEVELS, Draft, level, near_counts, score
from musicllm.theory.families import FAMILIES, drafts_of
from musicllm.theory.split import split_of
from tests.theory.theory_rules import CHECKS


def examine(family: str, drafts: Iterable[Draft]) -> None:
    check = CHECKS[family]
    for draft in drafts:
        assert check(draft, draft.answer), draft
        assert not [wrong for wrong in draft.wrong if check(draft, wrong)], draft


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_right_and_all_others_wrong(family: str) -> None:
    examine(family, drafts_of(family)[::6])


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_answer_is_right_and_every_other_is_wrong(family: str) -> None:
    examine(family, drafts_of(family))


def test_families() -> None:
    assert len(FAMILIES) >= 12
    assert FAMILIES.keys() == CHECKS.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_options_suffice_and_levels_are_known(family: str) -> None:
    drafts = drafts_of(family)
    assert all(len({draft.answer, *draft.wrong}) == 1 + len(draft.wrong) >= 4 for draft in drafts)
    places = Counter((split_of(draft), draft.level) for draft in drafts)
    assert all(places["test", grade] >= 12 for grade in LEVELS)
    assert all(places["dev", grade] and places["train", grade] >= 12 for grade in LEVELS)


def test_levels_count_complications() -> None:
    assert [level(), level(False), level(True, False)] == ["easy", "easy", "medium"]
    assert level(True, True) == level(True, True, True) == "hard"


@pytest.mark.parametrize(
    ("stem", "music", "answer", "grade"),
    [
        ("Which interval lies between D and the next G above it?", "", "perfect fourth", "easy"),
        ("Which note lies a minor third above E?", "", "G", "easy"),
        ("Which note lies an augmented fourth above Eb?", "", "A", "hard"),
        ("How many sharps or flats are in the key signature of Eb major?", "", "3 flats", "easy"),
        ("Which sharp stands last in the key signature of E major?", "", "D#", "medium"),
        ("Which key is the relative key of D major?", "", "B minor", "easy"),
        ("Which key is the parallel key of E minor?", "", "E major", "medium"),
        ("Which note is the sixth degree of the G natural minor scale?", "", "Eb", "medium"),
        ("Which note is the dominant of F major?", "", "C", "easy"),
        ("How many sharps or flats does the scale A mixolydian have?", "", "2 sharps", "medium"),
        ("How many eighth notes fill one bar of 3/4 time?", "", "6", "medium"),
        ("Which notes form the chord A dominant seventh?", "", "A C# E G", "medium"),
        ("Which chord is written in this score?", "K:C\n[C_E_G]4 |", "C diminished", "hard"),
        ("Which Roman numeral has the chord E minor in the key of G major?", "", "vi", "easy"),
        ("A melody in D major is moved up by a perfect fourth. In which key is it then?", "",
         "G major", "easy"),
    ],
)  # fmt: skip
def test_known_facts(stem: str, music: str, answer: str, grade: str) -> None:
    (draft,) = (
        draft
        for family in FAMILIES
        for draft in drafts_of(family)
        if draft.stem == stem and draft.abc.endswith(music) and bool(draft.abc) == bool(music)
    )
    assert (draft.answer, draft.level) == (answer, grade)


def test_no_mirror_of_another_name_may_be_called_an_arch() -> None:
    called = [draft for draft in drafts_of("form") if "called" in draft.stem]
    forms = {(analysis.form(abc.parse(draft.abc)), draft.answer, draft.wrong) for draft in called}
    mirrors = [(name, wrong) for letters, name, wrong in forms if letters == letters[::-1]]
    assert {name for name, _ in mirrors} >= {"ternary form", "rondo", "arch form"}
    assert not [name for name, wrong in mirrors if "arch form" in wrong]
    assert any("arch form" in wrong for _, _, wrong in forms)


def test_all_scores_are_valid_and_most_questions_have_one() -> None:
    drafts = [draft for family in FAMILIES for draft in drafts_of(family)[::6]]
    with_score = [draft for draft in drafts if draft.abc]
    assert len(with_score) > 0.8 * len(drafts)
    for draft in with_score:
        assert abc.parse(draft.abc).source == draft.abc


def test_spelling_by_hand() -> None:
    assert [spelling.name(place) for place in (-9, -2, 0, 6, 7, 13)] == [
        "Bbb", "Bb", "C", "F#", "C#", "F##",
    ]  # fmt: skip
    assert spelling.semitones(6) == spelling.semitones(-6) == 6
    assert spelling.same_sound([6], [-6])
    assert spelling.KeyName(-3, "minor").name == "C minor"
    assert spelling.KeyName(2, "dorian").abc == "Edor"


def test_staff_by_hand() -> None:
    assert staff.line(staff.rising([2, 6, 3])) == "D ^F A"
    assert staff.line(staff.rising([5, 2, -1, 3])) == "B d f a"
    assert staff.line(staff.rising([2, 6, 3]), sharps=2) == "D F A"
    assert [staff.altered(place, 2) for place in range(7)] == [1, 0, 0, 1, 0, 0, 0]
    assert [staff.altered(place, -2) for place in range(7)] == [0, 0, -1, 0, 0, 0, -1]
    (note,) = staff.in_key([10], sharps=1)
    assert (note.name, note.height, note.abc(1), note.abc(0)) == ("F#", 78, "f", "^f")


def test_near_counts_are_above_and_below() -> None:
    draw = random.Random(0)
    ranks = Counter(sum(int(text) < 9 for text in near_counts(9, draw, 12)) for _ in range(400))
    assert ranks.keys() == {0, 1, 2, 3}
    assert min(ranks.values()) > 70
    assert set(near_counts(1, draw, 1)) <= {"2", "3", "4"}


def test_scores_end_with_a_bar_line() -> None:
    assert score("C").endswith("C |")
    assert score("[CE]4").endswith("[CE]4 |")
    assert score("C |]").endswith("C |]")
    assert "Q:1/4=60" in score("C", tempo="1/4=60")
