"""Blind comparisons: nothing tells who writes before the vote, which is a pair in the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Visits
from tests.browser.site import TUNE, ScriptedEngine, served, service_of

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NAMES = ("one-model", "other-model")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return tmp_path / "pairs.jsonl"


@pytest.fixture
def address(engine: ScriptedEngine, pairs: Path) -> Iterator[str]:
    """A server with two models; the fixture `engine` is the first."""
    engine.script = lambda request: f"{'Strict' if request.rules else 'Free'}.\n\n{TUNE}"
    other = ScriptedEngine(lambda _: f"Other.\n\n{TUNE.replace('K:G', 'K:D')}")
    with served(service_of(dict(zip(NAMES, (engine, other), strict=True)), pairs)) as place:
        yield place


def opened(visits: Visits, **options: Any) -> Any:
    page = visits.open("/#compare", **options)
    page.get_by_role("button", name="Compare", exact=True).wait_for()
    return page


def compare(page: Any, request: str = "Write a jig.") -> None:
    """Have both sides written."""
    from playwright.sync_api import expect

    page.get_by_role("textbox", name="Request").fill(request)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("button", name="A is better")).to_be_enabled(timeout=15_000)


def side_with(page: Any, text: str) -> str:
    """Return the letter of the side that has a text."""
    sides = page.locator(".side").all_inner_texts()
    (letter,) = (side[0] for side in sides if text in side)
    return str(letter)


def lines(pairs: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pairs.read_text("utf-8").splitlines()]


def test_names_are_shown_after_the_vote_which_is_a_pair(visits: Visits, pairs: Path) -> None:
    page = opened(visits)
    compare(page)
    assert not any(name in page.locator(".sides").inner_text() for name in NAMES)
    letter = side_with(page, "Other.")
    page.get_by_role("button", name=f"{letter} is better").click()
    page.get_by_text(f"You preferred {letter}: other-model. The pair is written.").wait_for()
    assert sorted(page.locator(".side .who").all_inner_texts()) == sorted(NAMES)
    (line,) = lines(pairs)
    assert line["prompt"] == [{"role": "user", "content": "Write a jig."}]
    assert line["chosen"][0]["content"].startswith("Other.")
    assert (line["chosen_by"], line["rejected_by"]) == ("other-model", "one-model")
    tally = page.locator(".tally").inner_text()
    assert "other-model: 1" in tally
    assert "one-model: 0" in tally


def test_with_and_without_the_grammar(visits: Visits, pairs: Path) -> None:
    page = opened(visits)
    title = "one-model with and without the grammar"
    page.get_by_label("What is compared").select_option(label=title)
    compare(page)
    letter = side_with(page, "Strict.")
    page.get_by_role("button", name=f"{letter} is better").click()
    page.get_by_text("one-model, with the grammar. The pair is written.").wait_for()
    assert lines(pairs)[0]["rejected_by"] == "one-model, without the grammar"


def test_two_users_vote_at_a_time_and_a_reload_keeps_it(visits: Visits, pairs: Path) -> None:
    one, two = opened(visits), opened(visits)
    compare(one, "Write a jig.")
    compare(two, "Write a reel.")
    for page in (two, one):
        page.get_by_role("button", name=f"{side_with(page, 'Free.')} is better").click()
        page.get_by_text("The pair is written.").wait_for()
    contents = [line["prompt"][0]["content"] for line in lines(pairs)]
    assert contents == ["Write a reel.", "Write a jig."]
    one.reload()
    one.get_by_text("The pair is written.").wait_for()
    assert one.locator(".side .tune").count() == 2
    assert one.get_by_role("button", name="A is better").count() == 0


def test_a_reload_before_the_vote_keeps_the_sides(visits: Visits, pairs: Path) -> None:
    page = opened(visits)
    compare(page)
    letter = side_with(page, "Other.")
    page.reload()
    page.get_by_role("button", name=f"{letter} is better").click()
    page.get_by_text(f"You preferred {letter}: other-model.").wait_for()
    assert len(lines(pairs)) == 1


def test_neither_writes_nothing(visits: Visits, pairs: Path) -> None:
    page = opened(visits)
    compare(page)
    page.get_by_role("button", name="Neither").click()
    page.get_by_text("You preferred neither. Nothing is written: neither was chosen").wait_for()
    assert pairs.read_text("utf-8") == ""


def test_a_side_that_is_stopped_cannot_be_voted_on(visits: Visits, engine: ScriptedEngine) -> None:
    engine.holds = (70,)
    page = opened(visits)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator(".side .tune").nth(1).wait_for()
    assert page.get_by_role("button", name="A is better").is_disabled()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("One side was not written to its end").wait_for()
    assert page.get_by_role("button", name="A is better").count() == 0
    engine.go_on()
    engine.holds = ()
    compare(page)


def test_the_sides_stand_below_each_other_on_a_phone(visits: Visits) -> None:
    page = opened(visits, color_scheme="dark", **PHONE)
    compare(page)
    boxes = [side.bounding_box() for side in page.locator(".side").all()]
    assert boxes[0]["x"] == boxes[1]["x"]
    assert boxes[0]["y"] < boxes[1]["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_one_model_without_grammar_has_nothing_to_compare(chromium: Any) -> None:
    service = service_of({"only": ScriptedEngine()})
    service.models["only"].follows_grammar = False
    with served(service) as place:
        visits = Visits(chromium, place)
        page = visits.open("/#compare")
        page.get_by_text("inputs.second_model=").wait_for()
        visits.close()
        assert not visits.errors
