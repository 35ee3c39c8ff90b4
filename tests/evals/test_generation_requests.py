from __future__ import annotations

import pytest

from musicllm.errors import InputError
from musicllm.evals.generation import FAMILIES, Request, make_requests, request_of
from musicllm.evals.generation.adherence import Adherence, adherence
from musicllm.evals.requests import asks_for_tune
from musicllm.music import abc

JIG = """X:1
R:jig
L:1/8
M:6/8
K:{key}
{a} {b} | {a} FED | {a} {b} | G2E E3 | {a} {b} | {a} FED | G2A B2G | F2D D3 :|
d2e f2d | g2e f2d | d2e f2d | e2d B2c | d2e f2d | g2e f2d | d2B A2G | F2D D3 :|
"""
TUNES = [
    JIG.format(key=key, a=a, b=b)
    for key in ("D", "G")
    for a in ("A2D", "A2B", "ABA", "d2A")
    for b in ("FED", "FGA", "F2E")
]


def test_families_take_turns_and_tunes_are_used_once_while_there_are_enough() -> None:
    result = make_requests(TUNES, [], 12, seed=0)
    assert [r.family for r in result] == [
        f for f in FAMILIES for _ in range(2 + (f in ("metadata", "chords")))
    ]
    melodies = ["".join(r.reference.split('"')[::2]) for r in result]
    assert len(set(melodies)) == 12


def test_what_is_wanted_stands_in_the_prompt_and_holds_for_the_reference() -> None:
    keys = {
        "metadata": {"key", "metre", "rhythm"},
        "chords": {"chords"},
        "motif": {"motif"},
        "form": {"form"},
        "first_bars": {"opening"},
    }
    for request in make_requests(TUNES, [], None, seed=3):
        assert keys[request.family] <= request.conditions.keys()
        assert all(value in request.prompt for value in request.conditions.values())
        result = adherence(request, abc.parse(request.reference))
        assert {value for value in vars(result).values() if isinstance(value, bool)} == {True}


def test_requests_are_a_function_of_tunes_and_seed() -> None:
    def make(seed: int) -> list[Request]:
        return make_requests(TUNES, ["motif", "form"], 6, seed)

    assert make(0) == make(0)
    assert make(0) != make(1)


def test_tunes_come_again_in_other_families_when_they_run_out() -> None:
    result = make_requests(TUNES[:2], ["form", "metadata"], 100, seed=0)
    assert [request.family for request in result] == ["form"] * 2 + ["metadata"] * 2


def test_no_number_asks_once_for_each_tune() -> None:
    assert len(make_requests(TUNES, ["metadata"], None, seed=0)) == len(TUNES)


def test_texts_that_are_no_tunes_are_passed_over() -> None:
    result = make_requests(["Prose.", TUNES[0]], ["metadata"], 2, seed=0)
    assert [request.reference for request in result] == [abc.parse(TUNES[0].strip()).source]


def test_chinese_wordings() -> None:
    (request,) = make_requests(TUNES, ["metadata"], 1, seed=0, language="zh")
    assert request.stated.metre == "6/8"
    assert not request.prompt.isascii()


@pytest.mark.parametrize(
    ("tunes", "families", "text"),
    [
        (TUNES, ["chord", "form"], "chord: no such family of requests for tunes; there are metada"),
        (["Prose."], [], "none of the 1 held-out texts is a tune to ask for"),
        (
            ["X:1\nL:1/4\nM:4/4\nK:C\nCDEF|GABc|dcBA|"],
            ["metadata", "motif"],
            "none of the 1 held-out texts offers what requests of the family motif name; leave it",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(tunes: list[str], families: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make_requests(tunes, families, 10, seed=0)


def test_request_of_an_instruction_record() -> None:
    record = {
        "messages": [
            {"role": "user", "content": "Write a tune around this motif: CDEF"},
            {"role": "assistant", "content": TUNES[0]},
        ],
        "task": "motif_to_tune",
        "conditions": {"motif": "CDEF"},
    }
    request = request_of(record)
    assert (request.family, request.conditions) == ("motif", {"motif": "CDEF"})
    assert request.reference == TUNES[0]
    assert request_of({**record, "task": "harmonize"}).family == "harmonize"
    del record["task"], record["conditions"]
    assert request_of(record) == Request("Write a tune around this motif: CDEF", "", {}, TUNES[0])


def test_nothing_asked_is_nothing_kept() -> None:
    assert adherence(Request("Anything."), abc.parse(TUNES[0])) == Adherence()
    assert adherence(Request("Anything."), None) == Adherence()


def test_a_request_keeps_the_system_prompt_of_its_record() -> None:
    system = {"role": "system", "content": "You compose."}
    question = {"role": "user", "content": "A jig."}
    turns = [question, {"role": "assistant", "content": "X:1\nK:D\nABc|"}]
    plain, record = {"messages": turns}, {"messages": [system, *turns]}
    assert asks_for_tune(plain)
    assert asks_for_tune(record)
    assert not asks_for_tune({"messages": [system, *turns, *turns]})
    assert request_of(record).messages == [system, turns[0]]
    assert request_of(plain).messages == turns[:1]
    assert request_of(record).reference == turns[1]["content"]
