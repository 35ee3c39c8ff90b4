"""What the tab for composing needs: the form for a brief, its words and rules, and what came of it.

The tab sends the request that is returned here to `/v1/chat/completions`, as any client does.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from musicllm.data.instructions import FAMILIES, languages
from musicllm.errors import InputError
from musicllm.serve import composing
from musicllm.serve.api.service import Service
from musicllm.serve.composing import Brief
from musicllm.serve.composing.choices import TITLES

MAX_WORDING = 1_000_000


class Wanted(BaseModel):
    """What the tab has so far.

    Attributes:
        brief: its fields; see `composing.Brief`.
        grammar: whether the answer is written under the grammar.
        wording: another number words the request otherwise.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    brief: dict[str, Any]
    grammar: bool = False
    wording: int = 0


class Written(Wanted):
    """What the tab had, with the answer.

    Attributes:
        answer: of the model.
    """

    answer: str


def families() -> list[dict[str, str]]:
    """Return the families of requests for the page: task, title, and what the answer is."""
    return [
        {"task": task, "title": TITLES[task], "answer": family.answer}
        for task, family in FAMILIES.items()
    ]


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/page/compose")
    def compose(wanted: Wanted) -> dict[str, Any]:
        brief = Brief.read(wanted.brief)
        uses_grammar = wanted.grammar and brief.writes_tune
        complaints = composing.complaints(brief, uses_grammar=uses_grammar)
        answer: dict[str, Any] = {
            "languages": languages(None),
            "offers": [asdict(own) for own in composing.offers(brief, uses_grammar=uses_grammar)],
            "complaints": [own._asdict() for own in complaints],
            "request": None,
            "grammar": None,
            "tune": None,
        }
        if complaints:
            return answer
        answer["request"] = composing.request(brief, wanted.wording % MAX_WORDING)
        if uses_grammar:
            answer["grammar"] = "abc"
            answer["tune"] = asdict(composing.rules(brief, service.rules))
        return answer

    @routes.post("/page/compose/met")
    def met(written: Written) -> dict[str, Any]:
        brief = Brief.read(written.brief)
        uses_grammar = written.grammar and brief.writes_tune
        if complaints := composing.complaints(brief, uses_grammar=uses_grammar):
            raise InputError(f"{complaints[0].field} {complaints[0].text}")
        return {
            "met": [asdict(own) for own in composing.met(brief, written.answer)],
            "right_answer": composing.right_answer(brief),
        }

    return routes
