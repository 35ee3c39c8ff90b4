from __future__ import annotations

import pytest

from musicllm.data.instructions import TASKS, key_in_words, make_instructions, phrasings
from musicllm.data.records import Drop, Record
from musicllm.music.abc import canonical, parse, parse_key
from musicllm.music.analysis.form import chords, form, motif
from tests.helpers import make_tune

TUNE = canonical(
    "X:1\nR:reel\nL:1/8\nM:4/4\nK:Ador\n"
    '|: "Am"A2 eA cAeA | "G"GABG DGBG | "Am"A2 eA cAeA | "Em"dBGB A4 :|\n'
    '|: "Am"eaag e2 ed | "G"gedB G2 Bd | "Am"eaag e2 ed | "Em"BAGB A4 :|\n'
)
RECORD: Record = {"id": "b/1", "source": "b", "text": TUNE}


def made(
    tasks: list[str], num_samples: int = 1, record: Record = RECORD, seed: int = 0
) -> list[Record]:
    result = make_instructions(record, tasks, num_samples, seed)
    assert isinstance(result, list)
    return result


@pytest.mark.parametrize("task", TASKS)
def test_the_request_names_the_conditions_and_the_answer_is_the_tune(task: str) -> None:
    (record,) = made([task])
    request, answer = record["messages"]

    assert (record["id"], record["source"], record["task"]) == ("b/1#0", "b", task)
    assert (request["role"], answer["role"]) == ("user", "assistant")
    assert answer["content"] == TUNE.strip()
    assert canonical(answer["content"]) == TUNE
    assert all(value in request["content"] for value in record["conditions"].values())
    assert "{" not in request["content"]


def test_metadata_is_that_of_the_tune() -> None:
    (record,) = made(["metadata_to_tune"])

    assert record["conditions"] == {"rhythm": "reel", "key": "A dorian", "metre": "4/4"}


def test_a_continuation_starts_with_the_opening() -> None:
    for seed in range(5):
        (record,) = made(["continuation"], seed=seed)
        opening = record["conditions"]["opening"]
        assert record["messages"][1]["content"].startswith(opening)
        assert 2 <= opening.split("K:Ador\n")[1].count(" |") <= 4


def test_chords_motif_and_form_are_those_of_the_answer() -> None:
    conditions = {
        name: value
        for task in ("chords_to_tune", "motif_to_tune", "form_to_tune")
        for record in made([task])
        for name, value in record["conditions"].items()
    }
    score = parse(TUNE)

    assert conditions["chords"] == " ".join(chords(score)) == "Am G Am Em Am G Am Em"
    assert conditions["motif"] == motif(score)
    assert conditions["form"] == form(score) == "AABB"


def test_a_family_without_conditions_is_left_out() -> None:
    plain = {**RECORD, "text": make_tune(1)}

    tasks = {
        made(["chords_to_tune", "motif_to_tune"], record=plain, seed=i)[0]["task"] for i in range(8)
    }

    assert tasks == {"motif_to_tune"}


def test_a_tune_that_fits_no_family_is_a_drop() -> None:
    drop = make_instructions({**RECORD, "text": make_tune(1)}, ["chords_to_tune"], 1, 0)

    assert isinstance(drop, Drop)
    assert (drop.reason, drop.detail) == (
        "fits no task",
        "the tune offers nothing for chords_to_tune",
    )


def test_several_samples_take_different_families() -> None:
    tasks = ["metadata_to_tune", "continuation", "motif_to_tune"]

    records = made(tasks, num_samples=4)

    assert sorted(record["task"] for record in records[:3]) == sorted(tasks)
    assert [record["id"] for record in records] == ["b/1#0", "b/1#1", "b/1#2", "b/1#3"]


def test_the_seed_and_the_tune_decide() -> None:
    tasks = list(TASKS)

    assert made(tasks, seed=5) == made(tasks, seed=5)
    requests = {made(tasks, seed=i)[0]["messages"][0]["content"] for i in range(30)}
    assert len(requests) > 15


def test_there_are_six_wordings_of_each_family_and_all_are_different() -> None:
    assert set(phrasings()) == set(TASKS)
    assert all(len(set(wordings)) == len(wordings) >= 6 for wordings in phrasings().values())


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("D", "D major"),
        ("F#m", "F# minor"),
        ("none", "no key"),
        ("HP", "the key of the Highland pipes"),
    ],
)
def test_keys_are_said_in_words(key: str, words: str) -> None:
    assert key_in_words(parse_key(key)) == words
