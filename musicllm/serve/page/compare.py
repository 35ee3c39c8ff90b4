"""Blind comparisons for the page: begin one, and vote; verdicts on single answers.

The sides are written by `/v1/chat/completions` under the names that a comparison gives them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from musicllm.serve.api.chat import read_messages
from musicllm.serve.api.errors import BadRequestError
from musicllm.serve.api.service import Service
from musicllm.serve.preferences import Pair, PreferenceFile, Side, Verdicts

STRICT = ConfigDict(extra="forbid", strict=True)
MAX_NAME = 200
OFF = "serve.preferences is null, so nothing is written"


class Contest(BaseModel):
    """What is compared.

    Attributes:
        kind: two models, or one model with and without the grammar.
        model: of the second kind; null for the default.
        grammar: of the first kind: both are written under the grammar.
        tune: rules of the grammar; see `tune` of the API.
    """

    model_config = STRICT

    kind: Literal["models", "grammar"]
    model: str | None = None
    grammar: bool = False
    tune: dict[str, Any] | None = None


class Vote(BaseModel):
    """Which side is better.

    Attributes:
        choice: the letter of the better side; null for neither.
        messages: the conversation that both answered.
        answers: by letter.
    """

    model_config = STRICT

    choice: Literal["a", "b"] | None
    messages: list[dict[str, Any]]
    answers: dict[Literal["a", "b"], str]


class Judgement(BaseModel):
    """A verdict on one answer.

    Attributes:
        visitor: who judges: any text of their own.
        messages: the conversation that was answered.
        answer: to it.
        verdict: null takes an earlier one back.
        writer: what wrote it, for people.
    """

    model_config = STRICT

    visitor: str
    messages: list[dict[str, Any]]
    answer: str
    verdict: Literal["keep", "discard"] | None
    writer: str


def router(service: Service) -> APIRouter:
    """Return the routes.

    Raises:
        InputError: the file of preferences cannot be written, or holds something else.
    """
    routes = APIRouter(include_in_schema=False)
    file = None if service.preferences is None else PreferenceFile(service.preferences)
    verdicts = None if file is None else Verdicts(file)

    @routes.post("/page/comparisons")
    def begin(contest: Contest) -> dict[str, Any]:
        new = service.comparisons.begin(writers(contest, service))
        return {"id": new.id, "sides": {letter: new.name(letter) for letter in new.sides}}

    @routes.post("/page/comparisons/{name}/vote")
    def vote(name: str, vote: Vote) -> dict[str, Any]:
        prompt = service.with_system(read_messages(vote.messages))
        if set(vote.answers) != {"a", "b"}:
            raise BadRequestError("answers must have those of both sides, a and b", "answers")
        with service.comparisons.ending(name) as comparison:
            labels = {letter: side.label for letter, side in comparison.sides.items()}
            reason = _reason_to_write_none(vote, file)
            if not reason and file is not None and vote.choice is not None:
                other: Literal["a", "b"] = "b" if vote.choice == "a" else "a"
                file.append(
                    Pair(
                        prompt,
                        vote.answers[vote.choice],
                        vote.answers[other],
                        labels[vote.choice],
                        labels[other],
                        "vote",
                        comparison.id,
                        _now(),
                    )
                )
        return {"names": labels, "is_written": not reason, "reason": reason}

    @routes.post("/page/verdicts")
    def judge(judgement: Judgement) -> dict[str, Any]:
        if verdicts is None:
            raise BadRequestError(f"{OFF}; start the server with serve.preferences=<file>")
        if max(len(judgement.visitor), len(judgement.writer)) > MAX_NAME:
            raise BadRequestError(f"visitor and writer have at most {MAX_NAME} characters")
        num_pairs = verdicts.judge(
            judgement.visitor,
            service.with_system(read_messages(judgement.messages)),
            judgement.answer,
            judgement.verdict,
            writer=judgement.writer,
            time=_now(),
        )
        return {"num_pairs": num_pairs}

    return routes


def writers(contest: Contest, service: Service) -> tuple[Side, Side]:
    """Return the two sides of a contest, in no secret order.

    Raises:
        BadRequestError: there is no second model, or the grammar is not followed.
    """
    if contest.kind == "models":
        names = service.names()
        if len(names) < 2:
            raise BadRequestError(
                "this server has one model; start it with inputs.second_model=<model>", "kind"
            )
        for name in names[:2]:
            _refuse_without_grammar(name, service, contest.grammar)
        rules: dict[str, Any] = {"grammar": None, "tune": None}
        if contest.grammar:
            rules = {"grammar": "abc", "tune": contest.tune}
        return Side(names[0], names[0], rules), Side(names[1], names[1], rules)
    name = service.names()[0] if contest.model is None else contest.model
    if name not in service.models:
        raise BadRequestError(f"there is no model {name} here", "model")
    _refuse_without_grammar(name, service, True)
    with_it = {"grammar": "abc", "tune": contest.tune}
    return (
        Side(name, f"{name}, with the grammar", with_it),
        Side(name, f"{name}, without the grammar", {"grammar": None, "tune": None}),
    )


def _refuse_without_grammar(name: str, service: Service, uses_grammar: bool) -> None:
    if uses_grammar and not service.models[name].follows_grammar:
        rule = f"the engine of {name} does not follow the grammar"
        raise BadRequestError(f"{rule}; compare without it", "grammar")


def _reason_to_write_none(vote: Vote, file: PreferenceFile | None) -> str:
    """Return why a vote makes no pair; empty if it makes one."""
    if file is None:
        return OFF
    if vote.choice is None:
        return "neither was chosen, so there is no pair to write"
    if vote.answers["a"] == vote.answers["b"]:
        return "both answers are the same, so there is no pair to write"
    return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
