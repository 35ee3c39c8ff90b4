"""Turns, context and answers, without a terminal."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from musicllm.errors import InputError, StageError
from musicllm.music.grammar import TuneRules
from musicllm.serve.chat import records
from musicllm.serve.chat.answering import Answer
from musicllm.serve.chat.conversation import Conversation, Turn
from tests.serve.chat.scripted import SETTINGS, Scripted, conversation


def with_longest(talk: Conversation, max_new_tokens: int) -> Conversation:
    settings = dataclasses.replace(talk.manner.settings, max_new_tokens=max_new_tokens)
    talk.manner = dataclasses.replace(talk.manner, settings=settings)
    return talk


def test_the_model_sees_the_system_prompt_and_every_turn() -> None:
    engine = Scripted("Hello.", "A reel.")
    talk = conversation(engine, system="Be brief.")
    pieces: list[str] = []
    assert talk.say("Hi", pieces.append) == Answer("Hello.", 7, "model", 6)
    assert "".join(pieces) == "Hello."
    talk.say("What is it?")
    assert engine.seen == ["Be brief.", "Hi", "Hello.", "What is it?"]
    assert [request.seed for request in engine.requests] == [7, 8]
    assert talk.turns[1] == Turn("What is it?", Answer("A reel.", 8, "model", 7))


def test_pieces_that_an_engine_does_not_stream_come_at_the_end() -> None:
    class Silent(Scripted):
        def write(self, requests, on_piece=None):  # type: ignore[no-untyped-def]
            return super().write(requests)

    pieces: list[str] = []
    conversation(Silent("All at once.")).say("Hi", pieces.append)
    assert pieces == ["All at once."]


def test_the_oldest_turns_leave_until_the_answer_has_room() -> None:
    engine = Scripted("a" * 50, context=300)
    talk = conversation(engine)  # an answer may have 100 tokens, so a prompt has at most 200
    for number in range(4):
        talk.say(f"{number}" * 20)
        assert talk.view is not None
        assert talk.view.num_tokens == sum(map(len, engine.seen)) <= 200
    assert talk.view.num_left_out == 1  # 4 messages and 3 answers are 230 tokens
    assert engine.seen == ["1" * 20, "a" * 50, "2" * 20, "a" * 50, "3" * 20]
    assert len(talk.turns) == 4  # what the model no longer sees is still there


def test_as_many_turns_stay_as_fit_exactly() -> None:
    engine = Scripted("a" * 50, context=300)
    talk = conversation(engine)
    talk.say("0" * 50)
    talk.say("1" * 50)
    assert len(engine.seen) == 3
    talk.turns[0] = Turn("0" * 101, talk.turns[0].answer)
    talk.retry()
    assert engine.seen == ["1" * 50]


def test_an_answer_keeps_at_most_half_the_context_for_itself() -> None:
    engine = Scripted("a" * 500, context=300)
    talk = with_longest(conversation(engine), 1000)
    answer = talk.say("0" * 100)
    assert engine.requests[-1].settings.max_new_tokens == 200
    assert answer.end == "length"
    talk.say("1" * 50)
    assert engine.seen == ["1" * 50]


def test_a_message_beyond_the_context_is_refused_and_not_kept() -> None:
    talk = conversation(Scripted("Hello.", context=100), system="s" * 10)
    talk.say("Hi")
    with pytest.raises(InputError, match=r"it has 110 tokens with the chat template .* 100"):
        talk.say("x" * 100)
    assert [turn.message for turn in talk.turns] == ["Hi"]
    talk.say("x" * 89)
    assert talk.turns[1].answer == Answer("H", 8, "length", 1)


@pytest.mark.parametrize("engine", [Scripted("a", context=None), Scripted("a", counts=False)])
def test_nothing_leaves_where_the_engine_knows_no_limit(engine: Scripted) -> None:
    talk = conversation(engine)
    for _ in range(3):
        talk.say("x" * 900)
    assert len(engine.seen) == 5


def test_a_stopped_answer_keeps_its_text_and_is_part_of_the_conversation() -> None:
    engine = Scripted(("Once upon", KeyboardInterrupt()), "Yes.")
    talk = conversation(engine)
    assert talk.say("Tell") == Answer("Once upon", 7, "stopped", None)
    talk.say("On?")
    assert engine.seen == ["Tell", "Once upon", "On?"]


def test_an_answer_stopped_before_its_first_word_can_be_retried() -> None:
    engine = Scripted(KeyboardInterrupt(), "Yes.")
    talk = conversation(engine)
    with pytest.raises(KeyboardInterrupt):
        talk.say("Tell")
    assert talk.turns == [Turn("Tell", None)]
    assert talk.retry().text == "Yes."
    assert [turn.message for turn in talk.turns] == ["Tell"]
    assert talk.replaced == []


def test_an_error_leaves_the_message_for_a_retry_and_a_new_message_puts_it_aside() -> None:
    engine = Scripted(StageError("the endpoint is gone"), StageError("still"), "Yes.")
    talk = conversation(engine)
    for message in ("One", "Two"):
        with pytest.raises(StageError):
            talk.say(message)
    assert talk.turns == [Turn("Two")]
    assert talk.replaced == [Turn("One")]
    talk.say("Three")
    assert engine.seen == ["Three"]
    assert talk.replaced == [Turn("One"), Turn("Two")]


def test_retry_takes_the_next_seed_and_keeps_the_old_answer() -> None:
    engine = Scripted("First.", "Second.", "Third.")
    talk = conversation(engine)
    talk.say("Hi")
    talk.retry()
    assert engine.seen == ["Hi"]
    assert talk.turns == [Turn("Hi", Answer("Second.", 8, "model", 7))]
    assert talk.replaced == [Turn("Hi", Answer("First.", 7, "model", 6))]
    talk.seed = 7
    talk.retry()
    assert engine.requests[-1] == engine.requests[0]


def test_a_failed_retry_changes_nothing() -> None:
    talk = conversation(Scripted("First.", StageError("gone")))
    talk.say("Hi")
    for again in (talk.retry, lambda: talk.edit("Ho")):
        with pytest.raises(StageError):
            again()
    assert talk.turns == [Turn("Hi", Answer("First.", 7, "model", 6))]
    assert talk.replaced == []


def test_edit_replaces_the_last_message() -> None:
    engine = Scripted("One.", "Two.", "Three.")
    talk = conversation(engine)
    talk.say("A")
    talk.say("B")
    talk.edit("C")
    assert engine.seen == ["A", "One.", "C"]
    assert [turn.message for turn in talk.turns] == ["A", "C"]
    assert talk.replaced[0].message == "B"


@pytest.mark.parametrize("action", ["retry", "edit"])
def test_there_is_nothing_to_change_before_the_first_message(action: str) -> None:
    talk = conversation(Scripted("a"))
    with pytest.raises(InputError, match=f"there is nothing to {action}: the conversation has no"):
        getattr(talk, action)(*(["x"] if action == "edit" else []))


def test_an_empty_answer_is_not_shown_to_the_model() -> None:
    engine = Scripted("", "Yes.")
    talk = conversation(engine)
    assert talk.say("A").text == ""
    talk.say("B")
    assert engine.seen == ["B"]


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ("left out", "its chat template leaves it out; say it in the first message"),
        ("refused", "the chat template says: no system"),
    ],
)
def test_a_system_prompt_without_a_place_in_the_template_is_refused(
    system: str, reason: str
) -> None:
    with pytest.raises(InputError, match=f"this model takes no system prompt: {reason}"):
        conversation(Scripted("a", system=system), system="Be brief.")


def test_a_saved_conversation_goes_on_where_it_was(tmp_path: Path) -> None:
    engine = Scripted("One.", "Two.", ("Thr", KeyboardInterrupt()), "Four.")
    talk = conversation(engine, system="Be brief.")
    talk.manner = dataclasses.replace(talk.manner, rules=TuneRules(metre="6/8"))
    for message in ("A", "B"):
        talk.say(message)
    talk.retry()
    path = tmp_path / "new" / "talk.json"
    records.save(talk, "tiny", path)
    other = conversation(engine, seed=99)
    assert records.load(other, path) == "tiny"
    assert (other.turns, other.replaced) == (talk.turns, talk.replaced)
    assert (other.manner, other.seed) == (talk.manner, 10)
    other.say("C")
    assert engine.seen == ["Be brief.", "A", "One.", "B", "Thr", "C"]
    assert engine.requests[-1].rules == TuneRules(metre="6/8")


def test_a_saved_conversation_is_a_record_of_messages(tmp_path: Path) -> None:
    talk = conversation(Scripted("Grüße\u2028."), system="Be brief.")
    talk.say("A")
    records.save(talk, "tiny", tmp_path / "talk.json")
    content = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))
    assert content["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "Grüße\u2028.", "seed": 7, "end": "model",
         "num_new_tokens": 7},
    ]  # fmt: skip


SYSTEM: dict[str, object] = {"role": "system", "content": "Be brief."}
USER: dict[str, object] = {"role": "user", "content": "A"}
ANSWER: dict[str, object] = {
    "role": "assistant", "content": "x", "seed": 7, "end": "model", "num_new_tokens": 1,
}  # fmt: skip
USUAL = dataclasses.asdict(SETTINGS)
RULES = dataclasses.asdict(TuneRules())


def broken(path: Path, **changes: object) -> Path:
    talk = conversation(Scripted("One."))
    talk.say("A")
    records.save(talk, "tiny", path)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "another"}, 'lacks "format": "musicllm conversation 1"'),
        ({"messages": [ANSWER]}, 'messages[0].role="assistant": it must follow a user message'),
        ({"messages": [USER, USER]}, 'messages[1].role="user": it must not follow a user message'),
        ({"messages": [USER | {"role": "tool"}]}, 'messages[0].role="tool": it must be user or'),
        ({"messages": [USER | {"content": 3}]}, "messages[0].content=3: it must be text"),
        ({"messages": [USER | {"content": "\ud800"}]}, 'content="\\ud800": it must be text'),
        ({"messages": [{"role": "user"}]}, "it has no messages[0].content"),
        ({"messages": [USER, ANSWER | {"end": "x"}]}, 'messages[1].end="x": it must be one of'),
        ({"messages": [USER, ANSWER | {"seed": -1}]}, "messages[1].seed=-1: it must be a whole"),
        ({"messages": {}}, "messages={...}: it must be a list"),
        ({"messages": [3]}, "messages[0]=3: it must be an object"),
        ({"replaced": [SYSTEM]}, 'replaced[0].role="system": it must be user or assistant'),
        ({"settings": None}, "settings=null: it must be an object"),
        ({"settings": {"temperature": 1}}, "it has no settings.top_k"),
        ({"settings": USUAL | {"temperature": -7}}, "settings.temperature=-7: it must be from 0"),
        (
            {"settings": USUAL | {"temperature": True}},
            "settings.temperature=true: it must be a num",
        ),
        ({"settings": USUAL | {"top_p": -7}}, "settings.top_p=-7: it must be from 1e-06 to 1"),
        ({"settings": USUAL | {"top_p": float("nan")}}, "settings.top_p=NaN: it must be from"),
        ({"settings": USUAL | {"top_k": 1.5}}, "settings.top_k=1.5: it must be a whole number"),
        ({"settings": USUAL | {"top_q": 1}}, "settings.top_q=1: it is no setting; there are tem"),
        ({"rules": {"colour": "red"}}, "it has no rules.max_foreign_share"),
        ({"rules": RULES | {"key": -7}}, "rules.key=-7: it must be text"),
        ({"spare_rules": RULES | {"metre": "x"}}, "spare_rules.metre=x is no metre that the gramm"),
        ({"spare_rules": RULES | {"chords": "G"}}, 'spare_rules.chords="G": it must be a list of'),
        ({"spare_rules": RULES | {"num_bars": 0}}, "spare_rules.num_bars=0: it must be from 1 to"),
        ({"spare_rules": RULES | {"required": 1}}, "spare_rules.required=1: it must be true or"),
        ({"spare_rules": None}, "spare_rules=null: it must be an object"),
        ({"seed": "x"}, 'seed="x": it must be a whole number from 0 to 4294967295'),
        ({"seed": 2**32}, "seed=4294967296: it must be a whole number from 0 to 4294967295"),
        ({"model": 3}, "model=3: it must be text"),
    ],
)
def test_a_file_that_is_no_conversation_is_refused(
    changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    talk = conversation(Scripted("One."))
    talk.say("B")
    before = (talk.turns, talk.manner, talk.seed)
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        records.load(talk, broken(tmp_path / "talk.json", **changes))
    assert str(tmp_path / "talk.json") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (talk.turns, talk.manner, talk.seed) == before


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = broken(tmp_path / "talk.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in set(content) - {"format"}:
        path.write_text(json.dumps({key: content[key] for key in content if key != name}))
        with pytest.raises(InputError, match=rf"talk\.json cannot be loaded: it has no {name}$"):
            records.load(conversation(Scripted("a")), path)


def test_messages_without_an_answer_stay_where_they_may_stand(tmp_path: Path) -> None:
    talk = conversation(Scripted("a"))
    path = broken(tmp_path / "talk.json", messages=[SYSTEM, USER], replaced=[USER, USER, ANSWER])
    records.load(talk, path)
    assert (talk.manner.system, talk.turns) == ("Be brief.", [Turn("A")])
    assert [turn.answer is None for turn in talk.replaced] == [True, False]


def test_the_seed_after_the_largest_is_0_and_can_be_loaded(tmp_path: Path) -> None:
    talk = conversation(Scripted("a"), seed=2**32 - 1)
    assert talk.say("A").seed == 2**32 - 1
    records.save(talk, "tiny", tmp_path / "talk.json")
    records.load(talk, tmp_path / "talk.json")
    assert talk.say("B").seed == 0


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deeply_nested_json_is_refused(depth: int, tmp_path: Path) -> None:
    path = broken(tmp_path / "talk.json", seed=0)
    text = path.read_text().replace('"seed": 0,', f'"seed": {"[" * depth}{"]" * depth},')
    path.write_text(text)
    with pytest.raises(InputError, match=r"nested too deeply|seed=\[\.\.\.\]: it must be a whole"):
        records.load(conversation(Scripted("a")), path)


def test_a_missing_file_and_one_that_is_no_json_are_named(tmp_path: Path) -> None:
    talk = conversation(Scripted("One."))
    with pytest.raises(InputError, match=r"gone\.json does not exist; /save writes such a file"):
        records.load(talk, tmp_path / "gone.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.json is no saved conversation"):
        records.load(talk, tmp_path / "bytes.json")


def test_a_system_prompt_that_this_model_cannot_take_leaves_the_conversation(
    tmp_path: Path,
) -> None:
    records.save(conversation(Scripted("a"), system="Be brief."), "tiny", tmp_path / "talk.json")
    talk = conversation(Scripted("a", system="refused"))
    talk.say("Hi")
    before = (talk.turns, talk.manner)
    with pytest.raises(InputError, match="takes no system prompt"):
        records.load(talk, tmp_path / "talk.json")
    assert (talk.turns, talk.manner) == before


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(InputError, match="exists and is no saved conversation, so it is not over"):
        records.save(conversation(Scripted("a")), "tiny", tmp_path / "notes.json")
    assert (tmp_path / "notes.json").read_text() == "{}"
    with pytest.raises(InputError, match=r"is a folder; name a file, such as .*conversation\.json"):
        records.save(conversation(Scripted("a")), "tiny", tmp_path)
    records.save(conversation(Scripted("a")), "tiny", tmp_path / "talk.json")
    records.save(conversation(Scripted("a")), "tiny", tmp_path / "talk.json")
