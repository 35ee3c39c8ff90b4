"""Faults of answers, what the model sees in a further try, and the loop until there are none."""

from __future__ import annotations

import pytest

from musicllm.data.records import Message
from musicllm.evals.requests import Request
from musicllm.inference.requests import WritingRequest
from musicllm.serve.answers import check_tunes
from musicllm.serve.repair import REPAIRS
from musicllm.serve.repair.faults import Fault, faults_of
from musicllm.serve.repair.kinds.keep import beginning
from musicllm.serve.repair.kinds.tell import complaint
from musicllm.serve.repair.loop import STEP, Chain, compose, write
from tests.serve.chat.scripted import SETTINGS, Scripted

RIGHT = "X:1\nL:1/8\nM:4/4\nK:D\nABcd ABcd | ABcd ABcd | ABcd ABcd |]\n"
SHORT = RIGHT.replace("ABcd |]", "ABc |]")
BROKEN = RIGHT.replace("ABcd |]", "ABc& |]")
PROMPT: tuple[Message, ...] = ({"role": "user", "content": "Write a tune in D major."},)


def texts(answer: str, *, finished: bool = True, language: str = "en", **rest: object) -> list[str]:
    request = Request(PROMPT[0]["content"]) if rest.get("stated", True) else None
    tunes = check_tunes(answer)
    faults = faults_of(
        tunes, finished=finished, request=request, breach=str(rest.get("breach", ""))
    )
    return [fault.text(language) for fault in faults]


def test_faults_are_named_with_bar_and_lengths_in_both_languages() -> None:
    assert texts(RIGHT) == []
    assert texts(SHORT) == ["bar 3 lasts 7/8 instead of 8/8"]
    assert texts(SHORT, language="zh") == ["第 3 小节时值为 7/8，应为 8/8"]
    assert texts("I cannot.") == ["there is no tune in ABC notation"]
    assert texts(RIGHT, finished=False) == ["it is cut off before its end"]
    (unreadable,) = texts(BROKEN)
    assert unreadable.startswith("the tune cannot be read as ABC: line 5")
    assert texts(RIGHT, breach="line 1: X") == ["it breaks a rule of the tune: line 1: X"]
    assert texts(f"{RIGHT}\n{SHORT}") == ["tune 2: bar 3 lasts 7/8 instead of 8/8"]


def test_a_tune_that_is_not_as_the_request_states_it_has_a_fault() -> None:
    assert texts(RIGHT.replace("K:D", "K:G")) == ["the key is G major instead of D major"]
    assert texts(RIGHT.replace("K:D", "K:G"), stated=False) == []
    request = Request("Write one.", conditions={"metre": "3/4", "rhythm": "waltz"})
    faults = faults_of(check_tunes(RIGHT), finished=True, request=request)
    assert [fault.text() for fault in faults] == [
        "the metre is 4/4 instead of 3/4",
        "the rhythm is not the one of the request: waltz",
    ]


def test_the_model_is_told_the_faults_in_the_language_of_its_request() -> None:
    faults = faults_of(check_tunes(SHORT), finished=True)
    messages = REPAIRS["tell"].follow_up(PROMPT, SHORT, faults)
    assert messages is not None
    assert messages[:2] == (*PROMPT, {"role": "assistant", "content": SHORT})
    assert messages[2]["content"] == (
        "That answer has faults:\n- bar 3 lasts 7/8 instead of 8/8\n"
        "Write the whole tune again without them."
    )
    chinese = REPAIRS["tell"].follow_up([{"role": "user", "content": "写一首"}], SHORT, faults)
    assert chinese is not None
    assert "第 3 小节" in chinese[-1]["content"]
    assert REPAIRS["tell"].follow_up(PROMPT, " \n", faults) is None
    many = complaint([Fault("cut")] * 10, "en").splitlines()
    assert len(many) == 1 + 8 + 1 + 1
    assert many[-2] == "- and 2 more"


def test_what_was_right_is_kept_and_the_model_completes_it() -> None:
    assert beginning(SHORT) == RIGHT.split(" ABcd ABcd |]", maxsplit=1)[0]
    assert beginning(BROKEN) == RIGHT.split(" ABcd ABcd |]", maxsplit=1)[0]
    assert beginning(RIGHT) is None
    assert beginning(SHORT.replace("ABcd ABcd |", "ABcd ABcd A |", 1)) is None
    system: Message = {"role": "system", "content": "Only ABC."}
    messages = REPAIRS["keep"].follow_up((system, *PROMPT), SHORT, [])
    assert messages is not None
    assert messages[0] == system
    assert len(messages) == 2
    assert str(beginning(SHORT)) in messages[1]["content"]
    assert REPAIRS["keep"].follow_up(PROMPT, "I cannot.", []) is None


def first(seed: int = 7, text: str | None = None) -> WritingRequest:
    return WritingRequest(None if text else PROMPT, text, SETTINGS, seed)


def test_composing_returns_the_first_answer_without_faults() -> None:
    engine = Scripted(SHORT, "I cannot.", RIGHT, SHORT)
    own = compose(engine, first(), num_tries=4, repair=REPAIRS["tell"])
    assert own.completion.text == RIGHT
    assert own.faults == []
    assert [request.seed for request in engine.requests] == [7, 7 + STEP, (7 + 2 * STEP) % 2**32]
    seen = [request.messages[-1]["content"] for request in engine.requests if request.messages]
    assert "bar 3 lasts" in seen[1]
    assert "there is no tune" in seen[2]


def test_composing_returns_the_try_with_the_fewest_faults_when_tries_run_out() -> None:
    worse = RIGHT.replace("ABcd ABcd | ABcd ABcd", "ABcd ABcdA | ABcd ABcdA")
    engine = Scripted(worse, SHORT, worse)
    own = compose(engine, first(), num_tries=3, repair=REPAIRS["again"])
    assert own.completion.text == SHORT
    assert [request.messages for request in engine.requests] == [PROMPT] * 3


def test_a_beginning_is_continued_anew_and_checked_with_its_continuation() -> None:
    head, tail = RIGHT[:30], RIGHT[30:]
    engine = Scripted("| A", tail)
    own = compose(engine, first(text=head), num_tries=2, repair=REPAIRS["tell"])
    assert own.completion.text == tail
    assert [request.text for request in engine.requests] == [head, head]


def test_faults_are_not_told_where_the_context_has_no_room_for_them() -> None:
    engine = Scripted(SHORT, RIGHT, context=200)
    compose(engine, first(), num_tries=2, repair=REPAIRS["tell"])
    assert engine.requests[1].messages == PROMPT
    roomy = Scripted(SHORT, RIGHT, context=None)
    compose(roomy, first(), num_tries=2, repair=REPAIRS["tell"])
    assert roomy.requests[1].messages != PROMPT


@pytest.mark.parametrize("num_tries", [1, 3])
def test_chains_grow_together_and_stop_by_themselves(num_tries: int) -> None:
    engine = Scripted(SHORT, RIGHT, SHORT, RIGHT)
    chains = [Chain(first(1)), Chain(first(2)), Chain(first(3))]
    grown = list(
        write(
            engine,
            chains,
            num_tries=num_tries,
            repair=REPAIRS["again"],
            faults=lambda _index, _request, completion: faults_of(
                check_tunes(completion.text), finished=True
            ),
        )
    )
    assert grown == ([0, 1, 2, 0, 2] if num_tries == 3 else [0, 1, 2])
    assert [chain.is_right for chain in chains] == [num_tries == 3, True, num_tries == 3]
