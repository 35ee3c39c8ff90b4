from __future__ import annotations

import re
from typing import Any

import pytest

from musicllm.data.instructions import FAMILIES, TASKS, key_in_words, make_instructions
from musicllm.data.records import Drop, Record
from musicllm.data.settings import InstructionSettings
from musicllm.errors import ConfigError
from musicllm.music.abc import canonical, parse, parse_key
from musicllm.music.analysis import chord_cover, chords, form, motif, without_chords
from tests.helpers import instruction_settings

TUNE = canonical(
    "X:1\nR:reel\nL:1/8\nM:4/4\nK:Ador\n"
    '|: "Am"A2 eA cAeA | "G"GABG DGBG | "Am"A2 eA cAeA | "Em"dBGB A4 :|\n'
    '|: "Am"eaag e2 ed | "G"gedB G2 Bd | "Am"eaag e2 ed | "Em"BAGB A4 :|\n'
)
PLAIN = without_chords(TUNE)
RECORD: Record = {"id": "b/1", "source": "b", "text": TUNE}
BARE: Record = {**RECORD, "text": PLAIN}
QUESTIONS = [task for task, family in FAMILIES.items() if family.answer == "words"]
TO_TUNE = [task for task, family in FAMILIES.items() if family.answer == "tune"]


def made(*tasks: str, record: Record = RECORD, seed: int = 0, **more: Any) -> list[Record]:
    records, drops = make_instructions(record, instruction_settings(tasks, **more), seed)
    assert not drops
    return records


def refused(record: Record, *tasks: str) -> Drop:
    records, (drop,) = make_instructions(record, instruction_settings(tasks), 0)
    assert not records
    return drop


def contents(record: Record) -> list[str]:
    return [message["content"] for message in record["messages"]]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("task", TASKS)
def test_every_family_makes_a_conversation(task: str, language: str) -> None:
    turns = 3 if task == "dialogue" else 1

    (record,) = made(task, languages=(language,), max_turns=turns)

    assert (record["id"], record["source"], record["task"]) == ("b/1#0", "b", task)
    assert record["language"] == language
    roles = [message["role"] for message in record["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    assert all(text.strip() == text and text and "{" not in text for text in contents(record))


@pytest.mark.parametrize("task", TO_TUNE)
def test_the_request_names_the_conditions_and_the_answer_is_the_tune(task: str) -> None:
    for seed in range(10):
        (record,) = made(task, record=BARE, seed=seed)
        request, answer = contents(record)
        assert answer == PLAIN.strip()
        assert all(value in request for value in record["conditions"].values())


@pytest.mark.parametrize("task", QUESTIONS)
def test_a_question_gives_the_tune_and_the_answer_names_what_it_asks_for(task: str) -> None:
    for seed in range(10):
        (record,) = made(task, record=BARE, seed=seed)
        request, answer = contents(record)
        given = PLAIN.replace("R:reel\n", "") if task == "identify_style" else PLAIN
        assert given.strip() in request
        assert record["conditions"]
        assert all(value in answer for value in record["conditions"].values())


def test_answers_are_right() -> None:
    asked = [*QUESTIONS, "metadata_to_tune", "form_to_tune", "terms_to_tune", "motif_to_tune"]

    found = {
        name: value
        for task in asked
        for seed in range(9)
        for name, value in made(task, seed=seed)[0]["conditions"].items()
    }

    assert found == {
        "bars": "8",
        "voices": "1",
        "key": "A dorian",
        "metre": "4/4",
        "rhythm": "reel",
        "style": "reel",
        "form": "AABB",
        "terms": "'Binary'",
        "motif": motif(parse(TUNE)),
        "header": "X:1\nR:reel\nL:1/8\nM:4/4\nK:Ador",
    }
    assert form(parse(TUNE)) == "AABB"


def test_the_type_of_a_tune_is_not_given_away() -> None:
    for seed in range(10):
        (record,) = made("identify_style", seed=seed)
        assert "R:" not in contents(record)[0].replace("R: field", "")


def test_a_continuation_starts_with_the_opening() -> None:
    for seed in range(5):
        (record,) = made("continuation", record=BARE, seed=seed)
        opening = record["conditions"]["opening"]
        assert contents(record)[1].startswith(opening)
        assert 2 <= opening.split("K:Ador\n")[1].count(" |") <= 4


def test_own_chords_come_before_computed_ones() -> None:
    (record,) = made("chords_to_tune")
    assert record["conditions"]["chords"] == "Am G Am Em Am G Am Em"
    assert contents(record)[1] == TUNE.strip()

    (record,) = made("harmonize")
    assert PLAIN.strip() in contents(record)[0]
    assert contents(record)[1] == TUNE.strip()


def test_computed_chords_leave_the_melody_as_it_is_and_fit_it() -> None:
    (given,) = made("chords_to_tune", record=BARE)
    (asked,) = made("harmonize", record=BARE)

    answer = contents(asked)[1]

    assert contents(given)[1] == answer
    assert given["conditions"]["chords"].split(" ") == list(chords(parse(answer)))
    assert without_chords(answer) == PLAIN.strip()
    assert chord_cover(parse(answer)) >= 0.6


def test_a_tune_that_chords_of_its_key_do_not_fit_is_not_harmonised() -> None:
    text = "X:1\nL:1/8\nM:4/4\nK:C\n" + "^C^D^F^G ^A^C^D^F | " * 8 + "|]"
    assert refused({**RECORD, "text": text}, "harmonize").reason == "fits no task"


@pytest.mark.parametrize("task", ["chords_to_tune", "harmonize"])
def test_nothing_is_asked_about_chords_that_cannot_be_read(task: str) -> None:
    record = {**RECORD, "text": TUNE.replace('"Em"', '"H7"', 1)}

    drop = refused(record, task)

    assert drop.reason == "has chord symbols that cannot be read"
    assert drop.detail == "no request about its chords is made: H7"
    assert not drop.is_fault
    settings = instruction_settings((task, "name_key"), samples_per_tune=4)
    records, drops = make_instructions(record, settings, 0)
    assert {made["task"] for made in records} == {"name_key"}
    assert [other.reason for other in drops] == [drop.reason]


def test_a_bass_in_lower_case_is_named_and_not_given_away() -> None:
    record = {**RECORD, "text": TUNE.replace('"Em"', '"G7/b"')}
    (given,) = made("chords_to_tune", record=record)
    assert given["conditions"]["chords"] == "Am G Am G7/B Am G Am G7/B"
    (asked,) = made("harmonize", record=record)
    assert '"' not in contents(asked)[0]


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("name_key", "K:C\n" + "^C^D^F^G ^A^C^D^F | " * 8),
        ("name_key", "K:D =c\n" + "DEFG ABcd | " * 8),
        ("name_key", "K:C\nCDEF GABc | [K:G] " + "GABc dedB | " * 7),
        ("metadata_to_tune", "K:none\n" + "CDEF GABc | " * 8),
        ("name_metre", "K:C\n" + "CDE FGA | " * 8),
        ("name_metre", "K:C\nCDEF GABc | [M:3/4] " + "CDE FGA | " * 7),
        ("count_bars", "K:C\n" + "CDEF GABc d | " * 8),
        ("extract_motif", "K:C\nC8 | D8 | E8 | F8 |"),
        ("identify_style", "K:C\n" + "CDEF GABc | " * 8),
        ("terms_to_tune", "K:C\nC8 || D8 || E8 || C8 |]"),
    ],
)
def test_what_is_not_true_of_the_tune_is_not_said(task: str, text: str) -> None:
    record = {**RECORD, "text": f"X:1\nL:1/8\nM:4/4\n{text}"}
    drop = refused(record, task)
    assert (drop.source, drop.place, drop.reason) == ("b", "b/1", "fits no task")
    assert (drop.detail, drop.is_fault) == (f"the tune offers nothing for {task}", False)


def test_a_family_without_conditions_is_left_out() -> None:
    plain = {**RECORD, "text": "X:1\nL:1/8\nM:4/4\nK:C\nC8 | D8 | E8 | F8 |]"}
    assert {
        made("motif_to_tune", "form_to_tune", "count_voices", record=plain, seed=i)[0]["task"]
        for i in range(8)
    } == {"count_voices"}


def test_text_that_is_no_tune_is_a_drop() -> None:
    drop = refused({**RECORD, "text": "Bach"}, *TASKS[:1])
    assert (drop.reason, drop.is_fault) == ("is no tune to ask about", True)
    assert drop.detail.startswith("line 1: ")


def test_a_tune_on_a_single_line_is_unfolded() -> None:
    folded = {**RECORD, "text": PLAIN.replace("\n", " ").strip()}
    for task in ("form_to_tune", "harmonize", "identify_style"):
        (record,) = made(task, record=folded)
        assert "\nK:Ador\n" in "\n".join(contents(record))


def test_languages_have_their_shares() -> None:
    shares = (("en", 1.0), ("zh", 3.0))
    told = {"samples_per_tune": 4, "languages": ("en", "zh"), "language_shares": shares}
    drawn = []
    for number in range(100):
        record = {**BARE, "id": f"b/{number}"}
        records = made("metadata_to_tune", record=record, **told)
        assert records == made("metadata_to_tune", record=record, **told)
        drawn += [made_one["language"] for made_one in records]
    assert len(drawn) == 400
    assert drawn.count("zh") / 400 == pytest.approx(0.75, abs=0.06)


def test_several_samples_take_different_families_and_languages() -> None:
    tasks = ("metadata_to_tune", "continuation", "motif_to_tune")

    records = made(*tasks, samples_per_tune=5, languages=("en", "zh"), record=BARE)

    assert sorted(record["task"] for record in records[:3]) == sorted(tasks)
    assert [record["id"] for record in records] == [f"b/1#{i}" for i in range(5)]
    spoken = [record["language"] for record in records]
    assert spoken in (["en", "zh", "en", "zh", "en"], ["zh", "en", "zh", "en", "zh"])


def test_the_seed_and_the_tune_decide() -> None:
    more = {"max_turns": 4, "languages": ("en", "zh")}
    assert made(*TASKS, seed=5, **more) == made(*TASKS, seed=5, **more)
    assert len({contents(made(*TASKS, seed=i, **more)[0])[0] for i in range(30)}) > 15


def test_values_are_said_in_the_language() -> None:
    text = PLAIN.replace("K:Ador", "K:F#m")
    record = {**RECORD, "text": canonical(text)}
    for seed in range(5):
        (chinese,) = made("metadata_to_tune", record=record, languages=("zh",), seed=seed)
        assert re.search("升F 小调", contents(chinese)[0])
        assert re.search("里尔舞曲", contents(chinese)[0])
        assert chinese["conditions"]["key"] == "F# minor"
        (chinese,) = made("terms_to_tune", record=record, languages=("zh",), seed=seed)
        assert re.search("'二段式'", contents(chinese)[0])


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


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            instruction_settings(("form_too_tune",)),
            "data.instructions.tasks=form_too_tune is no instruction family; "
            "did you mean form_to_tune? There are metadata_to_tune, ",
        ),
        (instruction_settings(()), "data.instructions.tasks=[] names no instruction family"),
        (
            instruction_settings(("name_key",), samples_per_tune=0),
            "data.instructions.samples_per_tune=0 is below 1",
        ),
        (
            instruction_settings(("dialogue",)),
            "data.instructions.max_turns=1 must be above 1 when, and only when, "
            "data.instructions.tasks has dialogue",
        ),
        (
            instruction_settings(("name_key",), max_turns=2),
            "data.instructions.max_turns=2 must be above 1 when, and only when",
        ),
        (
            instruction_settings(("name_key",), languages=()),
            "data.instructions.languages=[] names no language; there are en, zh",
        ),
    ],
)
def test_problems_of_the_settings(settings: InstructionSettings, text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        make_instructions(RECORD, settings, 0)
