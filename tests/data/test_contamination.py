from __future__ import annotations

import pickle
from typing import Any

import pytest

from musicllm.data.contamination import ContaminationIndex
from musicllm.data.settings import Question
from musicllm.music.abc import parse
from musicllm.music.analysis.melody import melodic_fingerprint
from musicllm.music.transform import transpose
from tests.helpers import make_tune

LONG = Question(
    "bench",
    "long",
    "In the opening movement of this symphony the composer repeats a short rhythmic figure because",
    ("it unites all themes", "it was common", "it is loud", "it is slow"),
)
SHORT = Question(
    "bench",
    "short",
    "What does a leitmotif portray in opera?",
    ("a character or idea", "the overture", "the tempo marking", "the stage"),
)


def found(questions: list[Question], text: str) -> str | None:
    match = ContaminationIndex(questions).find({"text": text})
    return match and match.question


def test_thirteen_shared_words_are_found_whatever_stands_between_them() -> None:
    text = (
        "… IN the opening — movement of this symphony, the composer repeats a short\nrhythmic hum"
    )

    match = ContaminationIndex([SHORT, LONG]).find({"text": text})

    assert match is not None
    assert (match.benchmark, match.question) == ("bench", "long")
    words = "in the opening movement of this symphony the composer repeats a short rhythmic"
    assert match.how == f"13 words: {words}"


def test_twelve_shared_words_are_not_enough() -> None:
    text = "in the opening movement of this symphony the composer repeats a short rhythm"

    assert found([LONG], text) is None


def test_options_belong_to_the_words() -> None:
    text = "the composer repeats a short rhythmic figure because: it unites all themes / it was"

    assert found([LONG], text) == "long"


def test_conversations_are_looked_through() -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "user", "content": LONG.stem}]

    assert ContaminationIndex([LONG]).find({"messages": messages}) is not None


def test_a_short_question_needs_its_stem_and_all_options() -> None:
    options = [f"({letter}) {text}." for letter, text in zip("DCBA", SHORT.options, strict=True)]
    whole = "\n".join(["What does a Leitmotif portray in opera?", "Think first.", *options])

    match = ContaminationIndex([SHORT]).find({"text": whole})

    assert match is not None
    assert match.how.startswith("stem and options: what does a leitmotif portray in opera a char")
    assert found([SHORT], whole.replace("the stage", "the stages")) is None
    assert found([SHORT], whole.replace("portray", "paint")) is None


def test_a_short_question_that_says_little_is_not_covered() -> None:
    fugue = Question("bench", "fugue", "What is a fugue?", ("A", "B", "C", "D"))
    index = ContaminationIndex([fugue, SHORT])

    assert index.not_covered == (fugue,)
    assert index.find({"text": "What is a fugue? A B C D"}) is None


def test_numbers_options_and_headers_are_no_evidence() -> None:
    counting = Question(
        "bench", "count", "Continue: 1 2 3 4 5 6 7 8 9 10 11 12 13 14", ("15", "16", "17", "18")
    )
    header = Question(
        "bench", "header", "X:1 T:? M:4/4 L:1/8 Q:1/4=120 K:C CDEF GABc what", ("I", "II", "V", "X")
    )

    assert ContaminationIndex([counting, header]).not_covered == (counting, header)
    assert found([counting, header], counting.stem + header.stem) is None


def test_what_many_questions_have_tells_none_of_them() -> None:
    asked = "Which of these several famous composers wrote the following piece of music for"
    several = [
        Question("b", f"q{i}", f"{asked} instrument{i} players?", ("w", "x", "y", "z"))
        for i in range(12)
    ]

    assert found(several[:1], asked) == "q0"
    assert found(several, asked) is None
    assert found(several, f"{asked} instrument7 players") == "q7"


def test_blank_options_are_left_out() -> None:
    blank = Question("bench", "blank", SHORT.stem, ("", *SHORT.options[1:]))

    assert found([blank], " ".join([SHORT.stem, "or", *SHORT.options])) == "blank"


def record_of(tune: str) -> tuple[dict[str, Any], frozenset[int]]:
    return {"text": tune}, melodic_fingerprint(parse(tune))


@pytest.mark.parametrize("semitones", [0, 5])
def test_a_tune_is_found_in_any_key(semitones: int) -> None:
    question = Question("bench", "tune", "Which key?", ("C", "D", "E", "F"), make_tune(1))
    index = ContaminationIndex([question])

    match = index.find(*record_of(transpose(make_tune(1), semitones)))

    assert match is not None
    assert match.question == "tune"
    count = len(melodic_fingerprint(parse(make_tune(1))))
    assert match.how == f"tune: {count} of {count} melodic figures"
    assert index.find(*record_of(make_tune(2))) is None


def test_half_of_a_questions_tune_is_enough() -> None:
    question = Question("bench", "tune", "", (), make_tune(1))
    hashes = sorted(melodic_fingerprint(parse(make_tune(1))))
    half = (len(hashes) + 1) // 2
    index = ContaminationIndex([question])

    assert index.find({"text": ""}, frozenset(hashes[:half])) is not None
    assert index.find({"text": ""}, frozenset(hashes[: half - 1])) is None


@pytest.mark.parametrize("abc", ["X:1\nL:1/4\nM:4/4\nK:C\nC D E F | G A B c |]\n", "no tune"])
def test_a_tune_that_is_too_short_or_none_is_not_looked_for(abc: str) -> None:
    question = Question("bench", "scale", "Which scale?", ("a", "b", "c", "d"), abc)

    assert ContaminationIndex([question]).not_covered == (question,)


def test_an_index_survives_the_way_to_another_process() -> None:
    index = pickle.loads(pickle.dumps(ContaminationIndex([LONG])))

    assert index.find({"text": LONG.stem}) is not None


def test_without_questions_nothing_is_found() -> None:
    assert ContaminationIndex([]).find({"text": "some text"}, frozenset([1])) is None
