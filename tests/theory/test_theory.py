from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from musicllm import theory
from musicllm.errors import InputError
from musicllm.music.abc import find_tunes
from musicllm.theory import __main__ as command
from musicllm.theory.families import drafts_of

CHECKSUM = "be7f524283773f4abd3cf01681ba6bff5269cc5cb906c0b76e7498766059d2ee"
"""SHA-256 of the public test set as JSON lines; docs/THEORY.md names it too."""


def content(question: theory.TheoryQuestion) -> tuple[str, str]:
    return question.stem, question.abc_score


def test_the_public_test_set_stays_as_it_is() -> None:
    rows = command.lines(question.as_row() for question in theory.test_questions())
    assert hashlib.sha256(rows.encode()).hexdigest() == CHECKSUM
    docs = Path(__file__).parents[2] / "docs" / "THEORY.md"
    assert CHECKSUM in docs.read_text()


def test_the_public_test_set_is_balanced_and_nothing_comes_twice() -> None:
    questions = theory.test_questions()
    counts = Counter((each.subject, each.level, each.answer) for each in questions)
    assert len(counts) == len(theory.FAMILIES) * 3 * 4
    assert set(counts.values()) == {3}
    assert len({*map(content, questions)}) == len({each.id for each in questions}) == len(questions)
    assert all(len(set(question.options)) == 4 for question in questions)


def test_the_letter_is_that_of_the_rule_s_answer() -> None:
    facts = {
        (draft.stem, draft.abc): draft for family in theory.FAMILIES for draft in drafts_of(family)
    }
    for question in theory.test_questions():
        draft = facts[content(question)]
        assert question.right == draft.answer
        assert {*question.options} <= {draft.answer, *draft.wrong}


@pytest.mark.parametrize("seed", [0, 1])
def test_training_shares_no_question_and_no_score_with_the_test(seed: int) -> None:
    test = theory.test_questions()
    trained, _ = theory.make_quiz(None, seed, split="train")
    assert len(trained) > 5_000
    assert not {*map(content, test)} & {*map(content, trained)}
    scores = {question.abc_score for question in test} - {""}
    assert not scores & {question.abc_score for question in trained}
    assert len({*map(content, trained)}) == len(trained)


def test_option_statistics_tell_little() -> None:
    trained, _ = theory.make_quiz(None, 0, split="train")
    right = Counter((each.subject, each.right) for each in trained)
    shown = Counter((each.subject, option) for each in trained for option in each.options)

    def share_right(subject: str, option: str) -> float:
        return right[subject, option] / max(1, shown[subject, option])

    test = theory.test_questions()
    hits = sum(
        max(each.options, key=lambda option: share_right(each.subject, option)) == each.right
        for each in test
    )
    assert hits / len(test) < 0.32
    longest = sum(max(each.options, key=len) == each.right for each in test)
    assert 0.2 < longest / len(test) < 0.3


def test_examples_are_of_neither_side() -> None:
    _, examples = theory.make_quiz(1, seed=0, num_examples=200)
    shown = {*map(content, examples)}
    assert len(shown) == 200
    assert not shown & {*map(content, theory.test_questions())}
    assert not shown & {*map(content, theory.make_quiz(None, 0, split="train")[0])}


@pytest.mark.parametrize("num_questions", [12, 84, 240])
def test_draws_are_balanced(num_questions: int) -> None:
    questions, _ = theory.make_quiz(num_questions, seed=7)
    assert {*questions} <= {*theory.test_questions()}
    assert set(Counter(each.answer for each in questions).values()) == {num_questions // 4}
    assert set(Counter(each.level for each in questions).values()) == {num_questions // 3}
    by_family = Counter(each.subject for each in questions)
    assert max(by_family.values()) - min(by_family.values()) <= 1


def test_all_questions_are_the_public_test_set() -> None:
    questions, examples = theory.make_quiz(None, seed=3)
    assert {*questions} == {*theory.test_questions()}
    assert examples == []


@pytest.mark.parametrize("split", ["test", "dev", "train"])
def test_a_quiz_depends_on_its_seed_alone(split: str) -> None:
    random.seed(1)
    first = theory.make_quiz(30, 3, 2, split=split)
    random.seed(2)
    assert theory.make_quiz(30, 3, 2, split=split) == first
    assert theory.make_quiz(30, 4, 2, split=split) != first


def test_dev_does_not_ask_what_it_shows() -> None:
    asked, shown = theory.make_quiz(None, 0, 100, split="dev")
    assert not {*map(content, asked)} & {*map(content, shown)}


def test_families_and_levels_are_chosen() -> None:
    questions, examples = theory.make_quiz(
        8, 0, 4, families=["cadences", "chords"], levels=["hard"]
    )
    assert Counter(each.subject for each in questions) == {"cadences": 4, "chords": 4}
    assert {each.level for each in [*questions, *examples]} == {"hard"}
    assert Counter(each.answer for each in questions) == dict.fromkeys("ABCD", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"families": ["chord"]}, "'chord' is no family of the theory quiz; did you mean chords? "),
        ({"levels": ["harder"]}, "'harder' is no level of the theory quiz; did you mean hard? "),
        ({"split": "val"}, "There are test, dev, train"),
        ({"num_questions": 757}, "757 questions are wanted of the 756 of the theory quiz's split "),
        ({"num_questions": 0}, "use 1 to 756"),
        ({"num_examples": 9_999}, "9,999 questions are wanted of the "),
    ],
)
def test_mistakes(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        theory.make_quiz(**{"num_questions": 4, "seed": 0, **arguments})
    assert message in str(error.value)


QUESTION = theory.TheoryQuestion(
    "Which?", "X:1\nK:C\nC", ("1", "2", "3", "4"), "B", "chords", "easy"
)


def test_row_has_the_schema_of_music_theory_bench() -> None:
    assert QUESTION.as_row() == {
        "id": QUESTION.id,
        "stem": "Which?",
        "options": {"A": "1", "B": "2", "C": "3", "D": "4"},
        "answer": "B",
        "subject": "chords",
        "level": "easy",
        "abc_score": "X:1\nK:C\nC",
    }
    assert QUESTION.id.startswith("chords/")


def test_training_records_are_conversations_with_the_right_answer() -> None:
    questions, _ = theory.make_quiz(40, seed=5, split="train")
    records = [*theory.training_records(40, seed=5)]
    assert len({record["id"] for record in records}) == 40
    for number, (question, record) in enumerate(zip(questions, records, strict=True)):
        asked, answer = (message["content"] for message in record["messages"])
        assert asked.startswith(question.stem)
        assert question.abc_score in asked
        assert answer == (f"{question.answer}. {question.right}" if number % 2 else question.right)
        assert (f"\nA. {question.options[0]}\nB. " in asked) == bool(number % 2)


def test_tunes_in_training_records_end_before_the_options() -> None:
    questions, _ = theory.make_quiz(600, seed=0, split="train")
    for question, record in zip(questions, theory.training_records(600, seed=0), strict=True):
        asked = record["messages"][0]["content"]
        tunes = [asked[found.start : found.stop] for found in find_tunes(asked)]
        assert tunes == [question.abc_score] * bool(question.abc_score)


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test, train = tmp_path / "test.jsonl", tmp_path / "train.jsonl"
    assert command.main(["test", str(test)]) == 0
    assert command.main(["train", str(train), "--num", "10", "--seed", "2"]) == 0
    assert capsys.readouterr().out == f"{test}: 756 rows\n{train}: 10 rows\n"
    rows = [json.loads(line) for line in test.read_text().splitlines()]
    assert rows == [question.as_row() for question in theory.test_questions()]
    assert len(train.read_text().splitlines()) == 10


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["train", str(tmp_path / "no"), "--num", "0"]) == 1
    assert capsys.readouterr().err.startswith("0 questions are wanted of the ")
