"""`/v1/tunes`: requests in words and in fields, over HTTP."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import mido
from fastapi.testclient import TestClient

from musicllm.data.instructions import FAMILIES
from musicllm.inference.requests import WritingRequest
from musicllm.music.grammar import TuneRules
from musicllm.serve.api.app import build_app
from musicllm.serve.api.service import Service
from musicllm.serve.composing.brief import fields_of
from tests.browser.site import TUNE, ScriptedEngine, service_of
from tests.waiting import wait_for

JIG = {"task": "metadata_to_tune", "rhythm": "jig", "key": "G", "metre": "6/8"}


@contextmanager
def opened(service: Service) -> Iterator[TestClient]:
    with TestClient(build_app(service), base_url="http://127.0.0.1") as client:
        wait_for(lambda: all(model.state == "ready" for model in service.models.values()))
        yield client


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def client(engine: ScriptedEngine) -> Iterator[TestClient]:
    with opened(service_of({"scripted": engine})) as client:
        yield client


def post(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/tunes", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_request_in_words_gets_tunes_with_checks_and_files(
    client: TestClient, engine: ScriptedEngine
) -> None:
    answer = post(client, prompt="A jig, please.", seed=7, temperature=0.5)
    assert (answer["model"], answer["request"]) == ("scripted", "A jig, please.")
    assert engine.requests[0].messages == ({"role": "user", "content": "A jig, please."},)
    assert (engine.requests[0].seed, engine.requests[0].settings.temperature) == (7, 0.5)
    (choice,) = answer["choices"]
    assert (choice["finish_reason"], choice["musicllm"]["seed"]) == ("stop", 7)
    (tune,) = choice["tunes"]
    assert tune["abc"] == TUNE.rstrip() == choice["text"][tune["start"] : tune["stop"]]
    assert (tune["key"], tune["num_bars_fitting"], tune["form"]) == ("G major", 8, "AABB")
    files = {file["format"]: file for file in tune["files"]}
    assert set(files) == {"musicxml", "midi", "svg"}
    assert not any(file["problems"] for file in files.values())
    midi = mido.MidiFile(file=io.BytesIO(base64.b64decode(files["midi"]["base64"])))
    assert sum(m.type == "note_on" and m.velocity > 0 for m in midi) == 2 * tune["num_notes"]
    root = ElementTree.fromstring(files["musicxml"]["text"])
    assert len(list(root.iter("note"))) == tune["num_notes"]
    assert files["svg"]["text"].startswith("<svg")
    assert files["midi"]["name"] == "the-kettle.mid"


def test_a_request_in_fields_is_worded_and_compared(
    client: TestClient, engine: ScriptedEngine
) -> None:
    answer = post(client, brief=JIG, formats=[], grammar="abc")
    words = engine.requests[0].messages[0]["content"]  # type: ignore[index]
    assert answer["request"] == words
    assert "6/8" in words
    rules = engine.requests[0].rules
    assert rules is not None
    assert (rules.key, rules.metre, rules.required) == ("G", "6/8", True)
    assert answer["tune"]["key"] == "G"
    (choice,) = answer["choices"]
    assert {own["field"]: own["is_met"] for own in choice["met"]} == {
        "rhythm": False,  # the tune has no R:
        "key": True,
        "metre": True,
    }
    assert choice["tunes"][0]["files"] == []
    assert answer["right_answer"] is None


def test_several_answers_have_seeds_of_their_own(
    client: TestClient, engine: ScriptedEngine
) -> None:
    answer = post(client, prompt="Jigs!", n=3, seed=5, formats=[])
    assert [choice["musicllm"]["seed"] for choice in answer["choices"]] == [5, 6, 7]
    assert answer["usage"]["completion_tokens"] == 3 * (len(answer["choices"][0]["text"]) // 4)


def test_answers_without_tunes_and_with_broken_ones_say_so() -> None:
    texts = iter(["No, thank you.", "X:1\nM:6/8\nK:G\nGAB £\n", f"{TUNE}\n" * 18])
    script: Callable[[WritingRequest], str] = lambda _: next(texts)  # noqa: E731
    with opened(service_of({"scripted": ScriptedEngine(script)})) as client:
        none = post(client, prompt="A jig?")["choices"][0]
        assert none["tunes"] == []
        assert none["problem"].startswith("no tune is in the text")
        (broken,) = post(client, prompt="A jig?")["choices"][0]["tunes"]
        assert (broken["parses"], broken["error"]["start"]) == (False, 18)
        assert broken["files"][0]["problems"] == ["no musicxml: the tune does not parse"]
        tunes = post(client, prompt="Jigs?", formats=["musicxml"])["choices"][0]["tunes"]
        problems = [tune["files"][0]["problems"] for tune in tunes]
        assert problems[:16] == [[]] * 16
        assert problems[16:] == [["no musicxml: only the first 16 tunes get files"]] * 2


def test_an_engine_without_the_grammar_is_read_against_the_rules() -> None:
    service = service_of({"scripted": ScriptedEngine()}, rules=TuneRules(key="D"))
    service.models["scripted"].follows_grammar = False
    with opened(service) as client:
        choice = post(client, prompt="A jig!", grammar="abc", formats=[])["choices"][0]
        assert '"G" cannot stand here' in choice["breach"]


def test_a_question_about_a_tune_has_a_right_answer(client: TestClient) -> None:
    answer = post(client, brief={"task": "name_key", "tune": TUNE}, formats=[])
    assert answer["right_answer"] == "G major"
    assert answer["choices"][0]["met"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "write either prompt, a request in words, or brief, an object of fields"),
        ({"prompt": "a", "brief": JIG}, "write either prompt"),
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "a", "stream": True}, "stream=true is not served: /v1/chat/completions str"),
        ({"prompt": "a", "messages": []}, "messages=[] is not served: write prompt or brief"),
        ({"prompt": "a", "fromats": []}, "fromats is no field of this request; formats?"),
        ({"prompt": "a", "formats": ["doc"]}, "formats has doc, which is none of midi, mp3"),
        ({"prompt": "a", "formats": "midi"}, 'formats="midi" must be a list of midi, mp3'),
        ({"prompt": "a", "n": 17}, "n=17 must be a whole number from 1 to 16"),
        ({"prompt": "a", "n": 0}, "n=0 must be a whole number from 1 to 16"),
        ({"prompt": "a", "wording": 1}, "wording is only for a brief"),
        ({"brief": {"task": "x"}}, "brief: task=x is none of "),
        ({"brief": {**JIG, "key": "H"}}, "brief.key "),
        ({"brief": {**JIG, "colour": "red"}}, "brief: colour is no field of "),
        ({"brief": JIG, "tune": {"key": "D"}, "grammar": "abc"}, "tune is stated by the brief"),
        ({"prompt": "a" * 40_000, "max_tokens": 9}, "and the context of the model 4,096"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    client: TestClient, body: dict[str, Any], message: str
) -> None:
    answer = client.post("/v1/tunes", json=body)
    assert answer.status_code == 400, answer.text
    assert message in answer.json()["error"]["message"]


def test_a_request_that_is_too_long_names_the_field_that_was_sent(client: TestClient) -> None:
    long = {"prompt": "a" * 40_000}
    error = client.post("/v1/tunes", json=long).json()["error"]
    assert error["message"].startswith("prompt has ")
    assert error["message"].endswith(
        " tokens, and the context of the model 4,096, which the answer shares; shorten it"
    )
    assert (error["param"], error["code"]) == ("prompt", "context_length_exceeded")
    notes = "".join(f"\nN:{'a' * 400}" for _ in range(100))
    brief = {"task": "name_key", "tune": TUNE.replace("T:The Kettle", f"T:The Kettle{notes}")}
    error = client.post("/v1/tunes", json={"brief": brief}).json()["error"]
    assert error["message"].startswith("brief has ")
    assert error["param"] == "brief"


def test_only_fields_that_were_sent_are_complained_about(client: TestClient) -> None:
    answer = client.post("/v1/tunes", json={"brief": {**JIG, "num_bars": -1}, "grammar": "abc"})
    message = answer.json()["error"]["message"]
    assert "num_bars is out of range; write a number from 1 to 200" in message
    assert "chords" not in message


def test_the_fields_that_each_task_needs_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "TUNES.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    for task in FAMILIES:
        needed = {name for name, use in fields_of(task, uses_grammar=False).items() if use.needed}
        own = [row for row in rows if f"`{task}`" in row[0]]
        if needed == {"tune"}:
            assert own == []  # the last row
        else:
            assert needed <= set(re.findall(r"`(\w+)`", own[0][1]))
