from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from musicllm.music.grammar import TuneRules
from musicllm.schema import TuneConfig
from musicllm.schema.keys import settings
from musicllm.serve.api import errors
from musicllm.serve.page import compose
from tests.browser.site import TUNE, ScriptedEngine, service_of

BRIEF = {"task": "metadata_to_tune", "rhythm": "jig", "key": "G", "metre": "6/8"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    service = service_of({"scripted": ScriptedEngine()}, rules=TuneRules(num_bars=16))
    app = FastAPI()
    errors.install(app)
    app.include_router(compose.router(service))
    with TestClient(app) as own:
        yield own


def post(client: TestClient, path: str = "/page/compose", **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_brief_becomes_a_request_that_the_api_takes(client: TestClient) -> None:
    answer = post(client, brief=BRIEF, grammar=True)
    assert answer["complaints"] == []
    assert "jig" in answer["request"]
    assert "G major" in answer["request"]
    assert (answer["grammar"], answer["tune"]["key"], answer["tune"]["num_bars"]) == (
        "abc", "G", None,
    )  # fmt: skip
    assert set(answer["tune"]) == set(settings(TuneConfig))
    assert [own["name"] for own in answer["offers"]][:3] == ["rhythm", "key", "metre"]


def test_without_the_grammar_there_are_no_rules(client: TestClient) -> None:
    answer = post(client, brief=BRIEF)
    assert (answer["grammar"], answer["tune"]) == (None, None)
    question = post(client, brief={"task": "name_key", "tune": TUNE}, grammar=True)
    assert (question["grammar"], question["tune"]) == (None, None)
    assert TUNE.strip() in question["request"]


def test_complaints_take_the_place_of_the_request(client: TestClient) -> None:
    answer = post(client, brief={**BRIEF, "metre": "4/4"}, grammar=True)
    assert answer["request"] is None
    assert answer["complaints"][0]["field"] == "metre"


def test_another_number_words_it_otherwise(client: TestClient) -> None:
    texts = {post(client, brief=BRIEF, wording=n)["request"] for n in (0, 1, 2, 3, -1, 10**9)}
    assert len(texts) > 2


def test_an_answer_is_compared(client: TestClient) -> None:
    answer = post(client, "/page/compose/met", brief={**BRIEF, "key": "D"}, answer=TUNE)
    met = {own["field"]: own["is_met"] for own in answer["met"]}
    assert met == {"rhythm": False, "key": False, "metre": True}
    question = {"task": "name_key", "tune": TUNE}
    answer = post(client, "/page/compose/met", brief=question, answer="It is in D.")
    assert answer == {"met": [], "right_answer": "G major"}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"brief": {"task": "nothing"}}, "task=nothing is none of"),
        ({"brief": {**BRIEF, "colour": "red"}}, "colour is no field of"),
        ({"brief": BRIEF, "wordings": 3}, "wordings"),
        ({"brief": BRIEF, "grammar": "yes"}, "grammar"),
        ({}, "brief"),
    ],
)
def test_what_is_no_brief_is_a_400(client: TestClient, body: dict[str, Any], text: str) -> None:
    answer = client.post("/page/compose", json=body)
    assert answer.status_code == 400
    assert text in answer.json()["error"]["message"]
