from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from fastapi.testclient import TestClient

from musicllm.errors import InputError
from musicllm.serve.api.app import build_app
from musicllm.serve.api.service import Service
from tests.browser.site import ScriptedEngine, service_of
from tests.waiting import wait_for

LOCAL = "http://127.0.0.1"

MESSAGES = [{"role": "user", "content": "Write a jig."}]
MODELS = {
    "first": ScriptedEngine(lambda request: f"first {request.rules is not None}"),
    "second": ScriptedEngine(lambda request: f"second {request.rules is not None}"),
}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return service_of(MODELS, tmp_path / "pairs.jsonl")


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(build_app(service), base_url=LOCAL) as own:
        wait_for(lambda: all(model.state == "ready" for model in service.models.values()))
        yield own


def post(client: TestClient, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def message(client: TestClient, path: str, **body: Any) -> str:
    return str(post(client, path, 400, **body)["error"]["message"])


def written(client: TestClient, side: str) -> str:
    """Return an answer of the API; what names its writer is looked for in all of it."""
    whole = client.post("/v1/chat/completions", json={"model": side, "messages": MESSAGES})
    assert whole.status_code == 200, whole.text
    answer = whole.json()
    content = str(answer["choices"][0]["message"].pop("content"))
    assert answer["model"] == side
    assert not any(name in json.dumps(answer) for name in MODELS)
    return content


def begun(client: TestClient, **contest: Any) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return id, names and answers of a comparison."""
    new = post(client, "/page/comparisons", **contest)
    sides: dict[str, str] = new["sides"]
    return new["id"], sides, {letter: written(client, side) for letter, side in sides.items()}


def vote(client: TestClient, name: str, choice: Any, answers: Any, status: int = 200) -> Any:
    path = f"/page/comparisons/{name}/vote"
    return post(client, path, status, choice=choice, messages=MESSAGES, answers=answers)


def pairs(service: Service) -> list[dict[str, Any]]:
    assert service.preferences is not None
    return [json.loads(line) for line in service.preferences.read_text("utf-8").splitlines()]


def test_a_vote_reveals_the_names_and_is_a_pair(client: TestClient, service: Service) -> None:
    for _ in range(4):  # both draws come up
        name, _, answers = begun(client, kind="models")
        better = next(letter for letter, text in answers.items() if text == "second False")
        result = vote(client, name, better, answers)
        assert result["names"][better] == "second"
        assert result["is_written"] is True
    assert len(pairs(service)) == 4
    for pair in pairs(service):
        assert pair["prompt"] == MESSAGES
        assert pair["chosen"] == [{"role": "assistant", "content": "second False"}]
        assert pair["rejected"][0]["content"] == "first False"
        assert (pair["chosen_by"], pair["rejected_by"], pair["origin"]) == (
            "second", "first", "vote",
        )  # fmt: skip


def test_a_comparison_has_one_vote(client: TestClient, service: Service) -> None:
    name, sides, answers = begun(client, kind="models")
    assert client.get(f"/v1/models/{sides['a']}").status_code == 404  # it would say too much
    vote(client, name, "a", answers)
    again = vote(client, name, "b", answers, status=400)
    assert "this comparison is over" in again["error"]["message"]
    assert len(pairs(service)) == 1
    late = client.post("/v1/chat/completions", json={"model": sides["a"], "messages": MESSAGES})
    assert late.status_code == 404


def test_with_and_without_the_grammar(client: TestClient, service: Service) -> None:
    name, _, answers = begun(client, kind="grammar", model="second", tune={"key": "Em"})
    assert sorted(answers.values()) == ["second False", "second True"]
    better = next(letter for letter, text in answers.items() if text.endswith("True"))
    assert vote(client, name, better, answers)["names"][better] == "second, with the grammar"
    assert pairs(service)[0]["rejected_by"] == "second, without the grammar"
    rules = [request.rules for request in MODELS["second"].requests if request.rules]
    assert rules[-1].key == "Em"


def test_neither_and_equal_answers_write_nothing(client: TestClient, service: Service) -> None:
    name, _, answers = begun(client, kind="models")
    result = vote(client, name, None, answers)
    assert (result["is_written"], set(result["names"].values())) == (False, set(MODELS))
    name, _, _ = begun(client, kind="models")
    result = vote(client, name, "a", {"a": "same", "b": "same"})
    assert result["reason"] == "both answers are the same, so there is no pair to write"
    assert pairs(service) == []


def test_what_only_the_server_knows_cannot_be_stated(client: TestClient) -> None:
    sides = post(client, "/page/comparisons", kind="grammar")["sides"]
    body = {"model": sides["a"], "messages": MESSAGES, "grammar": "abc"}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert "is stated when it begins" in answer.json()["error"]["message"]
    listed = client.get("/v1/models").json()["data"]
    assert [model["id"] for model in listed] == list(MODELS)


def test_keep_and_discard_make_a_pair(client: TestClient, service: Service) -> None:
    body = {"visitor": "me", "messages": MESSAGES, "writer": "first"}
    assert post(client, "/page/verdicts", **body, answer="x", verdict="keep") == {"num_pairs": 0}
    assert post(client, "/page/verdicts", **body, answer="y", verdict="discard") == {"num_pairs": 1}
    assert pairs(service)[0]["chosen"][0]["content"] == "x"
    post(client, "/page/verdicts", **body, answer="y", verdict=None)
    assert pairs(service) == []


def test_bad_bodies_are_one_sentence(client: TestClient) -> None:
    assert "kind" in message(client, "/page/comparisons", kind="three")
    assert "there is no model x" in message(client, "/page/comparisons", kind="grammar", model="x")
    path = "/page/comparisons/none/vote"
    body = {"choice": "a", "messages": MESSAGES, "answers": {"a": "x", "b": "y"}}
    assert "is over" in message(client, path, **body)
    assert "both sides" in message(client, path, **{**body, "answers": {"a": "x"}})
    assert "messages" in message(client, path, **{**body, "messages": []})
    assert "choice" in message(client, path, **{**body, "choice": "c"})
    verdict = {"visitor": "x" * 201, "messages": MESSAGES, "answer": "x", "verdict": "keep"}
    assert "at most 200" in message(client, "/page/verdicts", **verdict, writer="m")


def test_one_model_cannot_be_compared_with_another() -> None:
    with TestClient(build_app(service_of({"only": ScriptedEngine()})), base_url=LOCAL) as client:
        text = message(client, "/page/comparisons", kind="models")
        assert "start it with inputs.second_model=<model>" in text


def test_an_engine_that_does_not_follow_the_grammar(service: Service) -> None:
    service.models["second"].follows_grammar = False
    with TestClient(build_app(service), base_url=LOCAL) as client:
        for contest in (
            {"kind": "models", "grammar": True},
            {"kind": "grammar", "model": "second"},
        ):
            text = message(client, "/page/comparisons", **contest)
            assert text == "the engine of second does not follow the grammar; compare without it"


def test_without_a_file_votes_reveal_and_verdicts_are_refused() -> None:
    service = service_of(MODELS)
    with TestClient(build_app(service), base_url=LOCAL) as client:
        wait_for(lambda: all(model.state == "ready" for model in service.models.values()))
        name, _, answers = begun(client, kind="models")
        result = vote(client, name, "a", answers)
        assert (result["is_written"], result["reason"]) == (
            False, "serve.preferences is null, so nothing is written",
        )  # fmt: skip
        body = {"visitor": "me", "messages": MESSAGES, "answer": "x", "verdict": "keep"}
        assert "serve.preferences=<file>" in message(client, "/page/verdicts", **body, writer="m")


def test_a_file_of_something_else_stops_the_server_at_once(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text("Dear diary\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds something else than preference pairs"):
        build_app(service_of(MODELS, path))
