"""Composing by form: valid combinations, the request in words and rules, answers, verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from musicllm.inference.requests import WritingRequest
from tests.browser.conftest import Visits
from tests.browser.site import TUNE, ScriptedEngine, served, service_of

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

HEIGHTS = """() => {
  const { scrollHeight, scrollTop } = document.documentElement;
  return [scrollHeight, scrollTop];
}"""
"""How high the page is, and how far it is scrolled."""


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return tmp_path / "pairs.jsonl"


@pytest.fixture
def address(engine: ScriptedEngine, pairs: Path) -> Iterator[str]:
    with served(service_of({"scripted": engine}, pairs)) as place:
        yield place


def tune_of_seed(request: WritingRequest) -> str:
    return TUNE.replace("The Kettle", f"Number {request.seed}")


def opened(visits: Visits, **options: Any) -> Any:
    page = visits.open("/#compose", **options)
    page.locator(".preview .words", has_text="jig").wait_for()
    return page


def field(page: Any, label: str) -> Any:
    return page.locator("#panel-compose").get_by_label(label)


def options(page: Any, label: str) -> list[str]:
    texts = field(page, label).locator("option").all_inner_texts()
    return [text for text in texts if text != "any"]


def request(page: Any) -> str:
    return str(page.locator(".preview .words").inner_text())


def write(page: Any, count: int) -> None:
    """Have an answer written; `count` are there then."""
    from playwright.sync_api import expect

    button = page.get_by_role("button", name="Write", exact=True)
    expect(button).to_be_enabled(timeout=10_000)
    button.click()
    expect(page.locator(".result")).to_have_count(count)
    expect(button).to_be_enabled(timeout=15_000)


def test_a_brief_is_written_and_compared(visits: Visits, engine: ScriptedEngine) -> None:
    page = opened(visits)
    page.locator(".kept").first.wait_for()
    words = request(page)
    assert "jig" in words
    assert "D major" in words
    assert "6/8" in words
    write(page, 1)
    (sent,) = engine.requests
    assert sent.messages is not None
    assert sent.rules is not None
    assert [own["content"] for own in sent.messages] == [words]
    rules = sent.rules
    assert (rules.key, rules.metre, rules.form, rules.num_bars) == ("D", "6/8", "AABB", 16)
    page.locator(".met").wait_for()
    met = {text.split(":")[0][2:] for text in page.locator(".met .is-met").all_inner_texts()}
    assert met == {"Metre", "Form"}, "the tune is in G, has 8 bars and names no kind"
    assert "The Kettle" in page.locator(".result .tune").inner_text()


def test_only_what_contradicts_nothing_is_offered(visits: Visits, engine: ScriptedEngine) -> None:
    from playwright.sync_api import expect

    page = opened(visits)
    assert options(page, "Metre") == ["6/8", "9/8"]
    field(page, "Metre").select_option("")
    field(page, "Kind of tune").select_option("waltz")
    expect(field(page, "Metre").locator("option")).to_have_text(["any", "3/4"])
    field(page, "Metre").select_option("3/4")
    expect(field(page, "Kind of tune").locator("option", has_text="jig")).to_have_count(0)
    field(page, "Task").select_option("form_to_tune")
    expect(field(page, "Chords")).to_be_visible()
    field(page, "Chords").fill("G D7 G")
    expect(field(page, "Form").locator("option", has_text="ABAC")).to_have_count(0)
    assert "AABB" in options(page, "Form")
    assert "waltz" in request(page) or "R:waltz" in request(page)
    page.get_by_role("switch", name="Grammar").uncheck()
    expect(field(page, "Chords")).to_have_count(0)
    write(page, 1)
    assert engine.requests[0].rules is None


def test_what_cannot_be_is_said_at_its_field(visits: Visits) -> None:
    from playwright.sync_api import expect

    page = opened(visits)
    field(page, "Task").select_option("motif_to_tune")
    button = page.get_by_role("button", name="Write", exact=True)
    expect(button).to_be_disabled()
    field(page, "Motif").fill("A2D FE")
    text = "It does not fill its bars of 6/8, counted in L:1/8."
    expect(page.locator(".field.line .problem")).to_have_text(text)
    expect(button).to_be_disabled()
    field(page, "Motif").fill("A2D FED")
    expect(button).to_be_enabled()
    assert "A2D FED" in request(page)
    words = request(page)
    page.get_by_role("button", name="Other words").click()
    expect(page.locator(".preview .words")).not_to_have_text(words)


def test_a_question_has_its_right_answer_beside_it(visits: Visits, engine: ScriptedEngine) -> None:
    from playwright.sync_api import expect

    engine.script = lambda _: "It is in D."
    page = opened(visits)
    grammar = page.locator("#panel-compose").get_by_role("switch", name="Grammar")
    expect(grammar).to_be_checked()
    field(page, "Task").select_option("name_key")
    expect(grammar).not_to_be_checked()
    expect(grammar).to_be_disabled()
    page.get_by_text("Answers to questions are words, written without it").wait_for()
    page.locator("#panel-compose .field.text textarea").fill(TUNE)
    write(page, 1)
    page.locator(".computed").wait_for()
    assert page.locator(".computed").inner_text() == "Computed from the tune: G major"
    assert engine.requests[0].rules is None


def test_kept_and_discarded_answers_become_a_pair(
    visits: Visits, engine: ScriptedEngine, pairs: Path
) -> None:
    engine.script = tune_of_seed
    page = opened(visits)
    words = request(page)
    write(page, 1)
    page.locator(".result").nth(0).get_by_role("button", name="Keep").click()
    page.get_by_text("Noted. A pair is written as soon as you discard").wait_for()
    write(page, 2)
    page.locator(".result").nth(0).get_by_role("button", name="Discard").click()
    page.get_by_text("Written: 1 pair").wait_for()
    (line,) = [json.loads(own) for own in pairs.read_text("utf-8").splitlines()]
    assert line["prompt"] == [{"role": "user", "content": words}]
    assert "Number 1" in line["chosen"][0]["content"]
    assert "Number 2" in line["rejected"][0]["content"]
    assert line["chosen_by"] == "scripted, with the grammar"
    page.locator(".result").nth(0).get_by_role("button", name="Discard").click()
    page.get_by_text("The verdict is taken back.").wait_for()
    assert pairs.read_text("utf-8") == ""


def test_two_users_have_their_own_briefs_and_answers_and_keep_them(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.script = tune_of_seed
    one, two = opened(visits), opened(visits)
    field(two, "Key").select_option("Em")
    write(one, 1)
    write(two, 1)
    write(two, 2)
    asked = [sent.messages[0]["content"] for sent in engine.requests if sent.messages]
    assert [("D major" in words, "E minor" in words) for words in asked] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip
    for page, count in ((one, 1), (two, 2)):
        page.reload()
        page.locator(".result .tune").nth(count - 1).wait_for()
        assert page.locator(".result").count() == count
    assert field(two, "Key").input_value() == "Em"


def test_the_page_itself_never_scrolls(visits: Visits) -> None:
    page = opened(visits, viewport={"width": 1280, "height": 900})
    for count in range(1, 5):
        write(page, count)
        page.locator(".met").nth(count - 1).wait_for()
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator(".side .tune .facts").nth(1).wait_for()
    page.get_by_role("tab", name="Chat").click()
    for count in range(1, 4):
        page.get_by_role("textbox", name="Message").fill("Write a jig.")
        page.keyboard.press("Enter")
        page.locator(".answer > .actions .facts").nth(count - 1).wait_for()
    for name in ("Chat", "Compose", "Compare"):
        page.get_by_role("tab", name=name).click()
        page.evaluate("document.documentElement.scrollTop = 10_000")
        assert page.evaluate(HEIGHTS) == [900, 0], name
        box = page.get_by_role("tablist").bounding_box()
        assert 0 <= box["y"] < 60, "the tabs are out of view"


def test_it_is_stopped_and_what_is_written_stays(visits: Visits, engine: ScriptedEngine) -> None:
    engine.holds = (70,)
    page = opened(visits)
    page.get_by_role("button", name="Write", exact=True).click()
    page.locator(".result .written .tune").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped; what is written is kept.").wait_for()
    engine.go_on()
    assert page.get_by_role("button", name="Keep").count() == 0


def test_html_in_fields_and_answers_is_text(visits: Visits, engine: ScriptedEngine) -> None:
    code = "<img src=x onerror='window.hurt=1'><script>window.hurt=1</script>"
    engine.script = lambda _: f"{code}\n\n{TUNE}"
    page = opened(visits)
    field(page, "Task").select_option("motif_to_tune")
    field(page, "Motif").fill(code)
    page.locator(".problem", has_text="It is no ABC").wait_for()
    field(page, "Motif").fill("A2D FED")
    write(page, 1)
    assert code in page.locator(".result .written .words").first.inner_text()
    assert page.evaluate("window.hurt") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_goes_by_keyboard(visits: Visits, scheme: str) -> None:
    page = opened(visits, color_scheme=scheme, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="Compare").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    for _ in range(40):
        if page.evaluate("document.activeElement.textContent") == "Write":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".result .met").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
