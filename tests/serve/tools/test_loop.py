"""The loop of a model that calls tools, alone and in a conversation; limits on what it may do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.records import Message
from musicllm.inference.requests import Completion
from musicllm.serve.chat import records
from musicllm.serve.chat.answering import Trying
from musicllm.serve.chat.conversation import Conversation
from musicllm.serve.repair import REPAIRS
from musicllm.serve.tools import TOOLS, Call, Workplace
from musicllm.serve.tools.loop import NO_MORE, Kit, work
from musicllm.serve.tools.protocols import PROTOCOLS
from tests.serve.chat.scripted import SETTINGS, Scripted, conversation

TUNE = "X:1\nL:1/8\nM:4/4\nK:D\nABcd ABcd | ABcd ABcd |]\n"
SHORT = TUNE.replace("ABcd |]", "ABc |]")
CHECK = '<tool_call>{"name": "check_tune", "arguments": {}}</tool_call>'
USER: Message = {"role": "user", "content": "Write a tune."}


def kit(tmp_path: Path, *names: str, max_calls: int = 3, **rest: Any) -> Kit:
    tools = {name: TOOLS[name] for name in names or ("check_tune", "transpose")}
    place = Workplace(lambda: tmp_path / "files")
    return Kit(tools, PROTOCOLS["plain"], max_calls, rest.pop("has_system", True), place, **rest)


class Replies:
    """Answers in order; the last one for all others."""

    def __init__(self, *answers: str) -> None:
        self.seen: list[Sequence[Message]] = []
        self._answers = list(answers)

    def __call__(self, messages: Sequence[Message]) -> Completion:
        self.seen.append(messages)
        text = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return Completion(text, 4, True, 9)


def test_results_are_shown_and_the_answer_ends_the_loop(tmp_path: Path) -> None:
    calls: list[tuple[Call, Any]] = []
    own = kit(tmp_path, on_call=lambda call, result: calls.append((call, result)))
    replies = Replies(f"{SHORT}\n{CHECK}", "Bar 2 is short.")
    done = work(replies, [USER], own, has_room=lambda _: True)
    assert done.text == "Bar 2 is short."
    assert done.num_new_tokens == 8
    assert [step["role"] for step in done.steps] == ["assistant", "user"]
    assert done.steps[0]["content"].endswith(CHECK)
    assert replies.seen[1] == [USER, *done.steps]
    ((call, result),) = calls
    assert call.name == "check_tune"
    assert result["faults"] == ["bar 2 lasts 7/8 instead of 8/8"]
    assert "bar 2 lasts 7/8" in done.steps[1]["content"]


def test_calls_are_limited_whatever_the_model_writes(tmp_path: Path) -> None:
    replies = Replies(f"I call. {CHECK}")
    done = work(replies, [USER], kit(tmp_path, max_calls=2), has_room=lambda _: True)
    assert len(replies.seen) == 4  # two calls, one that is refused, and a last chance to answer
    assert done.text == "I call."
    results = [step["content"] for step in done.steps if step["role"] == "user"]
    assert [NO_MORE in result for result in results] == [False, False, True]
    many = Replies(CHECK * 50, "Done.")
    done = work(many, [USER], kit(tmp_path, max_calls=2), has_room=lambda _: True)
    assert len(many.seen) == 1
    assert done.text == ""


def test_the_loop_ends_where_the_context_has_no_room_for_results(tmp_path: Path) -> None:
    replies = Replies(f"I call. {CHECK}")
    done = work(replies, [USER], kit(tmp_path), has_room=lambda messages: len(messages) < 4)
    assert len(replies.seen) == 2
    assert done.text == "I call."


def test_without_tools_a_call_is_text(tmp_path: Path) -> None:
    own = replace(kit(tmp_path), tools={})
    assert own.told([USER]) == [USER]
    assert work(Replies(CHECK), [USER], own, has_room=lambda _: True).text == CHECK


def talking(engine: Scripted, **rest: Any) -> Conversation:
    talk = conversation(engine)
    talk.manner = replace(talk.manner, settings=replace(SETTINGS, max_new_tokens=300))
    for name, value in rest.items():
        setattr(talk, name, value)
    return talk


def test_a_conversation_calls_tools_and_is_saved_with_them(tmp_path: Path) -> None:
    engine = Scripted(f"{TUNE}{CHECK}", "It is right.", "You are welcome.", context=None)
    talk = talking(engine, kit=kit(tmp_path))
    pieces: list[str] = []
    answer = talk.say("Write a tune.", pieces.append)
    assert (answer.text, answer.seed, answer.end) == ("It is right.", 7, "model")
    assert [step["role"] for step in answer.steps] == ["assistant", "user"]
    assert "".join(pieces) == f"{TUNE}{CHECK}It is right."
    assert engine.requests[0].messages is not None
    assert "check_tune" in engine.requests[0].messages[0]["content"]
    assert [request.seed for request in engine.requests] == [7, 8]
    talk.say("Thanks.")
    assert engine.seen[1:] == ["Write a tune.", "It is right.", "Thanks."]
    path = tmp_path / "saved.json"
    records.save(talk, "m", path)
    again = talking(Scripted("x"))
    records.load(again, path)
    assert again.turns == talk.turns
    saved = json.loads(path.read_text())["messages"]
    assert saved[1]["steps"][0]["content"] == f"{TUNE}{CHECK}"
    assert "steps" not in saved[3]


def test_tools_count_in_the_context(tmp_path: Path) -> None:
    talk = talking(Scripted("Yes.", context=2000), kit=kit(tmp_path, "check_tune"))
    talk.say("Hello")
    assert talk.view is not None
    assert talk.view.num_tokens is not None
    assert talk.view.num_tokens > 300
    small = talking(Scripted("Yes.", context=300), kit=kit(tmp_path, "check_tune"))
    with pytest.raises(Exception, match="the message is too long"):
        small.say("Hello")


def test_a_faulty_tune_is_tried_again_in_a_conversation(tmp_path: Path) -> None:
    told: list[str] = []
    trying = Trying(3, REPAIRS["tell"], lambda faults: told.append(faults[0].text()))
    engine = Scripted(SHORT, f"Sorry.\n\n{TUNE}", context=None)
    talk = talking(engine, trying=trying)
    answer = talk.say("Write a tune in D.")
    assert answer.text == f"Sorry.\n\n{TUNE}"
    assert told == ["bar 2 lasts 7/8 instead of 8/8"]
    assert "bar 2 lasts 7/8" in engine.seen[-1]
    assert [turn.answer.text for turn in talk.replaced if turn.answer] == [SHORT]
    assert answer.seed == 7
    assert talk.seed == 9
    talk.say("Thanks.")
    assert engine.seen[:2] == ["Write a tune in D.", f"Sorry.\n\n{TUNE}"]


def test_talk_is_not_tried_again_and_the_best_is_taken_when_tries_run_out() -> None:
    talk = talking(Scripted("A jig has six quavers."), trying=Trying(4, REPAIRS["tell"]))
    talk.say("What is a jig?")
    assert talk.seed == 8
    worse = SHORT.replace("ABcd ABcd | ABcd", "ABcd ABcd A | ABcd")
    engine = Scripted(worse, SHORT, worse, context=None)
    talk = talking(engine, trying=Trying(3, REPAIRS["again"]))
    assert talk.say("Write a tune.").text == SHORT
    assert len(talk.replaced) == 2
    assert [request.messages for request in engine.requests] == [(USER,)] * 3


def test_a_stopped_answer_is_kept_as_it_is() -> None:
    engine = Scripted((SHORT[:40], KeyboardInterrupt()), context=None)
    talk = talking(engine, trying=Trying(3, REPAIRS["tell"]))
    answer = talk.say("Write a tune.")
    assert (answer.text, answer.end) == (SHORT[:40], "stopped")
    assert len(engine.requests) == 1
