"""The chat: streaming, stopping, retrying, editing, settings, files, errors, hostile answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musicllm.inference.requests import WritingRequest
from musicllm.music.grammar import TuneRules
from musicllm.serve.chat import records
from musicllm.serve.chat.answering import Manner
from musicllm.serve.chat.conversation import Conversation
from tests.browser.conftest import Visits
from tests.browser.site import SAMPLING, SETTINGS, TUNE, ScriptedEngine, served, service_of
from tests.waiting import wait_for

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DONE = ".answer > .actions .facts"

BREAKS_OFF = """() => {
  const whole = window.fetch;
  window.fetch = (path, ...rest) => {
    if (path !== "/v1/chat/completions") return whole(path, ...rest);
    const piece = JSON.stringify({ choices: [{ delta: { content: "la la" } }] });
    return Promise.resolve(new Response(new ReadableStream({
      start(stream) {
        stream.enqueue(new TextEncoder().encode(`data: ${piece}\\n\\n`));
        setTimeout(() => stream.error(new TypeError("network error")), 100);
      },
    })));
  };
}"""
"""Answers break off as those of a server that dies."""


class ShortEngine(ScriptedEngine):
    """Every answer reaches the most tokens."""

    def write(self, *given: Any) -> Any:
        for number, completion in super().write(*given):
            yield number, replace(completion, finished=False)


def message_of(request: WritingRequest) -> str:
    assert request.messages is not None
    return str(request.messages[-1]["content"])


def echo(request: WritingRequest) -> str:
    """Answer with the message and the seed."""
    return f"You said {message_of(request)} ({request.seed})."


def say(page: Any, message: str) -> None:
    field = page.get_by_role("textbox", name="Message")
    field.fill(message)
    field.press("Enter")


def answers(page: Any) -> list[str]:
    """Return the texts of the answers that are complete."""
    return [
        text.strip()
        for text in page.locator(".answer:has(> .actions .facts) > .words").all_inner_texts()
    ]


def wait_for_answers(page: Any, count: int) -> None:
    from playwright.sync_api import expect

    expect(page.locator(DONE)).to_have_count(count, timeout=15_000)


def test_a_message_is_answered_as_a_stream_with_words_and_a_tune(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.holds = (14, 70)
    page = visits.open()
    say(page, "Write a jig.")
    page.locator(".words.growing").wait_for()
    assert page.locator("[role=log]").get_attribute("aria-busy") == "true"
    engine.go_on()
    tune = page.locator(".answer[aria-busy=true] .tune")
    tune.evaluate("element => { element.dataset.mark = 'mine'; }")
    engine.go_on()
    wait_for_answers(page, 1)
    mark = page.locator(".answer .tune").get_attribute("data-mark")
    assert mark == "mine", "a card that is drawn anew when it is complete jumps"
    assert answers(page) == ["Here is a jig.", "Do you like it?"]
    assert page.locator(".answer .tune").count() == 1
    assert "The Kettle" in page.locator(".answer .tune").inner_text()
    assert page.locator(".bubble").all_inner_texts() == ["Write a jig."]
    assert page.locator("[role=log]").get_attribute("aria-busy") == "false"


@pytest.mark.slow
def test_several_turns_are_seen_by_the_model_and_each_takes_the_next_seed(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.script = echo
    page = visits.open()
    say(page, "one")
    wait_for_answers(page, 1)
    say(page, "two")
    wait_for_answers(page, 2)
    assert answers(page) == ["You said one (1).", "You said two (2)."]
    messages = engine.requests[-1].messages
    assert messages is not None
    assert [message["content"] for message in messages] == ["one", "You said one (1).", "two"]


@pytest.mark.slow
def test_enter_sends_and_shift_enter_begins_a_line(visits: Visits, engine: ScriptedEngine) -> None:
    page = visits.open()
    field = page.get_by_role("textbox", name="Message")
    field.press("Enter")  # nothing to send
    field.type("Write")
    height = field.bounding_box()["height"]
    field.press("Shift+Enter")
    field.type("a reel")
    assert field.bounding_box()["height"] > height
    assert not engine.requests
    field.press("Enter")
    wait_for_answers(page, 1)
    assert message_of(engine.requests[0]) == "Write\na reel"


@pytest.mark.slow
def test_escape_stops_and_keeps_what_is_written(visits: Visits, engine: ScriptedEngine) -> None:
    engine.script, engine.pause_s = (lambda _: "la " * 2000), 0.02
    page = visits.open()
    say(page, "sing")
    page.locator(".words.growing").wait_for()
    page.keyboard.press("Escape")
    wait_for_answers(page, 1)
    assert answers(page)[0].startswith("la la")
    assert page.get_by_text("Stopped; what is written is kept.").count() == 1
    engine.script, engine.pause_s = echo, 0
    say(page, "again")  # the model is free: what was left is not written to its end
    wait_for_answers(page, 2)


@pytest.mark.slow
def test_an_answer_that_is_stopped_before_its_first_word_can_be_tried_again(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.pause_s = 0.5
    page = visits.open()
    first, second = page, visits.open()
    say(first, "first")
    first.locator(".words.growing").wait_for()
    say(second, "second")
    second.locator(".waiting", has_text="Yours is the next answer").wait_for()
    second.get_by_role("button", name="Stop").click()
    second.get_by_text("Stopped before the first word.").wait_for()
    engine.pause_s = 0
    first.keyboard.press("Escape")
    second.get_by_role("button", name="Try again").click()
    wait_for_answers(second, 1)
    assert second.locator(".failure").count() == 0


@pytest.mark.slow
def test_another_answer_takes_the_next_seed_and_keeps_the_old_one_aside(
    visits: Visits, engine: ScriptedEngine, tmp_path: Path
) -> None:
    engine.script = echo
    page = visits.open()
    say(page, "one")
    wait_for_answers(page, 1)
    page.get_by_role("button", name="Another answer").click()
    page.get_by_text("You said one (2).").wait_for()
    wait_for_answers(page, 1)
    record = saved(page, tmp_path / "conversation.json")
    assert [message["content"] for message in record["messages"]] == ["one", "You said one (2)."]
    assert [message["content"] for message in record["replaced"]] == ["one", "You said one (1)."]


@pytest.mark.slow
def test_the_last_message_is_edited_by_keyboard(visits: Visits, engine: ScriptedEngine) -> None:
    engine.script = echo
    page = visits.open()
    say(page, "one")
    wait_for_answers(page, 1)
    page.get_by_role("textbox", name="Message").press("ArrowUp")
    editor = page.get_by_role("textbox", name="Your message")
    editor.press("Escape")
    assert page.locator(".bubble").all_inner_texts() == ["one"]
    page.get_by_role("textbox", name="Message").press("ArrowUp")
    editor.fill("two")
    editor.press("Enter")
    page.get_by_text("You said two (2).").wait_for()
    assert page.locator(".bubble").all_inner_texts() == ["two"]
    assert [message_of(request) for request in engine.requests] == ["one", "two"]


@pytest.mark.slow
def test_a_new_conversation_begins_and_the_last_can_be_brought_back(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.script = echo
    page = visits.open()
    say(page, "one")
    wait_for_answers(page, 1)
    page.get_by_role("button", name="New conversation").click()
    assert page.locator(".bubble").count() == 0
    page.get_by_role("heading", name="What shall we play?").wait_for()
    page.get_by_role("button", name="Bring the last one back").click()
    assert answers(page) == ["You said one (1)."]


@pytest.mark.slow
def test_reload_keeps_the_conversation_and_a_second_tab_has_its_own(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.script = echo
    page = visits.open()
    say(page, "one")
    wait_for_answers(page, 1)
    other = visits.tab(page.context)
    assert other.locator(".bubble").count() == 0
    page.reload()
    assert answers(page) == ["You said one (1)."]
    say(page, "two")
    wait_for_answers(page, 2)
    assert answers(page)[1] == "You said two (2)."


@pytest.mark.slow
def test_a_reload_in_the_middle_keeps_what_was_written(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.script, engine.pause_s = (lambda _: "la " * 2000), 0.02
    page = visits.open()
    say(page, "sing")
    page.locator(".words.growing").wait_for()
    page.reload()
    wait_for_answers(page, 1)
    assert answers(page)[0].startswith("la")
    assert page.get_by_text("Stopped; what is written is kept.").count() == 1


@pytest.mark.slow
def test_an_answer_that_breaks_off_says_so_alone(visits: Visits) -> None:
    page = visits.open()
    page.evaluate(BREAKS_OFF)
    say(page, "sing")
    page.get_by_text("The connection to the server broke off").wait_for()
    assert answers(page) == ["la la"]
    assert page.get_by_text("Stopped; what is written is kept.").count() == 0


@pytest.mark.slow
def test_an_answer_that_is_too_long_names_the_setting(chromium: Any) -> None:
    with served(service_of({"scripted": ShortEngine()})) as address:
        visits = Visits(chromium, address)
        page = visits.open()
        say(page, "sing")
        page.get_by_text("tokens. Allow longer answers in Settings.").wait_for()
        visits.close()


@pytest.mark.slow
def test_the_message_field_has_the_focus_where_there_is_a_keyboard(visits: Visits) -> None:
    from playwright.sync_api import expect

    desktop = visits.open()
    expect(desktop.get_by_role("textbox", name="Message")).to_be_focused()
    assert desktop.evaluate("document.documentElement.scrollTop") == 0
    for path, options in (("/", PHONE), ("/#compose", {})):
        page = visits.open(path, **options)
        page.locator(".composer").wait_for(state="attached")
        page.wait_for_timeout(300)
        assert page.evaluate("document.activeElement === document.body"), path


@pytest.mark.slow
def test_examples_say_in_plain_words_what_they_send(visits: Visits, engine: ScriptedEngine) -> None:
    page = visits.open()
    card = page.get_by_role("button", name="From a description")
    assert "A jig in G major" in card.inner_text()
    assert "X:1" not in page.locator(".examples").inner_text()
    card.click()
    wait_for_answers(page, 1)
    assert message_of(engine.requests[0]).startswith("Turn this description into a score.")


@pytest.mark.slow
def test_settings_reach_the_engine(visits: Visits, engine: ScriptedEngine) -> None:
    page = visits.open()
    page.get_by_role("button", name="Settings").click()
    drawer = page.get_by_role("dialog", name="Settings")
    drawer.get_by_label("Temperature").fill("0.25")
    drawer.get_by_label("Top k").fill("40")
    drawer.get_by_label("Longest answer").fill("77")
    drawer.get_by_label("Seed of the next answer").fill("1234")
    drawer.get_by_label("System prompt").fill("You are a fiddler.")
    drawer.get_by_label("Grammar").check()
    drawer.get_by_label("Key").fill("Em")
    drawer.get_by_label("Bars").fill("16")
    drawer.get_by_label("Chords").press_sequentially("Em D Em")
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    say(page, "Write a jig.")
    wait_for_answers(page, 1)
    (request,) = engine.requests
    assert request.settings.temperature == 0.25
    assert request.settings.top_k == 40
    assert request.settings.max_new_tokens == 77
    assert request.seed == 1234
    assert request.rules is not None
    assert (request.rules.key, request.rules.num_bars) == ("Em", 16)
    assert request.rules.chords == ("Em", "D", "Em")
    assert request.messages is not None
    assert request.messages[0] == {"role": "system", "content": "You are a fiddler."}


@pytest.mark.slow
def test_a_setting_outside_its_range_is_said_and_not_taken(
    visits: Visits, engine: ScriptedEngine
) -> None:
    page = visits.open()
    page.get_by_role("button", name="Settings").click()
    field = page.get_by_role("dialog", name="Settings").get_by_label("Top p")
    field.fill("1.5")
    assert field.get_attribute("aria-invalid") == "true"
    assert page.get_by_text("It must be a number from 0.000001 to 1.").count() == 1
    page.keyboard.press("Escape")
    say(page, "Write a jig.")
    wait_for_answers(page, 1)
    assert engine.requests[0].settings.top_p == SAMPLING.top_p


@pytest.mark.slow
def test_rules_that_contradict_each_other_are_refused_with_the_reason(
    visits: Visits, engine: ScriptedEngine
) -> None:
    page = visits.open()
    page.get_by_role("button", name="Settings").click()
    drawer = page.get_by_role("dialog", name="Settings")
    drawer.get_by_label("Grammar").check()
    drawer.get_by_label("Metre").fill("nonsense")
    page.keyboard.press("Escape")
    say(page, "Write a jig.")
    failure = page.locator(".failure")
    failure.wait_for()
    assert "metre" in failure.inner_text()
    assert "nonsense" in failure.inner_text()
    assert not engine.requests
    visits.errors.clear()  # the console names the status 400


def saved(page: Any, path: Path) -> dict[str, Any]:
    """Save the conversation of a page, and return what the file holds."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the conversation").click()
    download.value.save_as(path)
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


@pytest.mark.slow
def test_a_saved_conversation_is_continued_by_the_terminal_and_by_the_page(
    visits: Visits, engine: ScriptedEngine, tmp_path: Path
) -> None:
    path = tmp_path / "conversation.json"
    page = visits.open()
    say(page, "Write a jig.")
    wait_for_answers(page, 1)
    saved(page, path)
    manner = Manner(None, SAMPLING, None, TuneRules())
    conversation = Conversation(engine, manner, seed=0)
    assert records.load(conversation, path) == "scripted"
    (turn,) = conversation.turns
    assert turn.message == "Write a jig."
    assert turn.answer is not None
    assert turn.answer.text == f"Here is a jig.\n\n{TUNE}\nDo you like it?"
    assert (turn.answer.seed, conversation.seed) == (1, 2)

    records.save(conversation, "scripted", path)
    other = visits.open()
    with other.expect_file_chooser() as chooser:
        other.get_by_role("button", name="Open a saved conversation").click()
    chooser.value.set_files(path)
    wait_for_answers(other, 1)
    assert answers(other) == ["Here is a jig.", "Do you like it?"]
    path.write_text('{"format": "musicllm conversation 1", "messages": 3}')
    with other.expect_file_chooser() as chooser:
        other.get_by_role("button", name="Open a saved conversation").click()
    chooser.value.set_files(path)
    other.get_by_text("cannot be opened: messages: it must be a list").wait_for()
    assert answers(other) == ["Here is a jig.", "Do you like it?"]


HOSTILE = """<img src=x onerror="document.title='stolen'"><script>document.title = 'stolen'</script>
<a href="javascript:alert(1)">here</a> &lt;b&gt; [link](javascript:alert(2))

X:1
T:<svg onload="document.title='stolen'">
%%abc-include /etc/passwd
%%beginsvg
<svg><script>document.title = 'stolen'</script></svg>
%%endsvg
M:4/4
L:1/4
K:C
"<img src=x onerror=alert(1)>"C D E F |

the end"""


def test_html_and_script_in_an_answer_are_text(visits: Visits, engine: ScriptedEngine) -> None:
    engine.script = lambda _: HOSTILE
    page = visits.open()
    say(page, "<b>bold</b>")
    wait_for_answers(page, 1)
    page.wait_for_timeout(300)
    words = answers(page)
    assert words[0] == HOSTILE.split("\n\n", maxsplit=1)[0]
    assert words[1] == "the end"
    assert page.locator(".bubble").inner_text() == "<b>bold</b>"
    assert page.title() == "musicllm"
    assert page.locator(".log :is(script, img, iframe, a, object, embed)").count() == 0
    assert "root:" not in page.content()


@pytest.mark.slow
def test_ten_megabytes_are_refused_when_they_are_pasted(
    visits: Visits, engine: ScriptedEngine
) -> None:
    page = visits.open(permissions=["clipboard-read", "clipboard-write"])
    field = page.get_by_role("textbox", name="Message")
    field.fill("Write a jig.")
    page.evaluate("navigator.clipboard.writeText('a'.repeat(10_000_000))")
    field.press("ControlOrMeta+v")
    page.get_by_text("10 MB; this server takes 1 MB. Shorten it.").wait_for()
    assert field.input_value() == "Write a jig."
    field.press("Enter")
    wait_for_answers(page, 1)
    assert message_of(engine.requests[0]) == "Write a jig."


@pytest.mark.slow
def test_a_conversation_above_the_limit_is_refused_before_it_is_sent(chromium: Any) -> None:
    engine = ScriptedEngine(script=echo)
    settings = replace(SETTINGS, max_body_mb=0.002)
    with served(service_of({"scripted": engine}, settings=settings)) as address:
        page = Visits(chromium, address).open()
        say(page, "one")
        wait_for_answers(page, 1)
        say(page, "la " * 600)
        page.get_by_text("this server takes 0.002 MB. Shorten it.").wait_for()
        assert page.locator(".bubble").all_inner_texts() == ["one"]
        assert len(engine.requests) == 1
        page.get_by_role("textbox", name="Message").fill("two")
        page.keyboard.press("Enter")
        wait_for_answers(page, 2)


@pytest.mark.slow
def test_a_model_that_never_stops_is_cut_off_by_the_limit_of_time(chromium: Any) -> None:
    engine = ScriptedEngine(script=lambda _: "la " * 100_000, pause_s=0.01)
    service = service_of({"scripted": engine})
    for model in service.models.values():
        model.limits = type(model.limits)(model.limits.num_waiting, 1.0)
    with served(service) as address:
        page = Visits(chromium, address).open()
        say(page, "sing")
        page.get_by_text("Cut off: one answer may take").wait_for()
        assert answers(page)[0].startswith("la la")


@pytest.mark.slow
def test_where_the_server_is_gone_it_is_said_and_the_message_can_be_tried_again(
    chromium: Any,
) -> None:
    with served(service_of({"scripted": ScriptedEngine()})) as address:
        page = Visits(chromium, address).open()
        page.get_by_role("heading", name="What shall we play?").wait_for()
    say(page, "Write a jig.")
    page.get_by_text("The server cannot be reached; is it still running?").wait_for()
    assert page.get_by_role("button", name="Try again").is_enabled()
    assert page.locator(".bubble").all_inner_texts() == ["Write a jig."]


@pytest.mark.slow
def test_a_model_that_is_still_loading_or_failed_is_said_above(chromium: Any) -> None:
    import threading

    gate = threading.Event()
    engine = ScriptedEngine()
    service = service_of({"scripted": engine})
    (model,) = service.models.values()

    def opened() -> Any:
        gate.wait(30)
        return engine

    model.open = opened
    with served(service, waits=False) as address:
        page = Visits(chromium, address).open()
        page.get_by_text("The model scripted is still loading").wait_for()
        field = page.get_by_role("textbox", name="Message")
        field.fill("Write a jig.")
        assert page.get_by_role("button", name="Send").is_disabled()
        gate.set()
        page.get_by_text("The model scripted is still loading").wait_for(state="hidden")
        field.press("Enter")
        wait_for_answers(page, 1)


@pytest.mark.slow
def test_two_users_write_at_once_and_see_the_queue(visits: Visits, engine: ScriptedEngine) -> None:
    engine.script, engine.pause_s = echo, 0.1
    pages = [visits.open() for _ in range(2)]
    for number, page in enumerate(pages):
        say(page, f"user {number}")
    for page in pages:
        wait_for_answers(page, 1)
    assert [answers(page) for page in pages] == [
        ["You said user 0 (1)."],
        ["You said user 1 (1)."],
    ]


@pytest.mark.slow
def test_the_end_stays_in_sight_unless_the_user_reads_above(
    visits: Visits, engine: ScriptedEngine
) -> None:
    engine.script, engine.pause_s = (lambda _: "la la la\n" * 150), 0.005
    page = visits.open()
    say(page, "sing")
    log = page.locator(".log")
    rest = "element => element.scrollHeight - element.scrollTop - element.clientHeight"
    wait_for(lambda: log.evaluate("element => element.scrollHeight > 1.5 * element.clientHeight"))
    assert log.evaluate(rest) < 60
    log.hover()
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(100)
    place = log.evaluate("element => element.scrollTop")
    page.wait_for_timeout(300)
    assert log.evaluate("element => element.scrollTop") == place
    page.get_by_role("button", name="To the end").click()
    wait_for_answers(page, 1)
    assert log.evaluate(rest) < 60


@pytest.mark.slow
def test_at_phone_width_nothing_is_wider_and_everything_is_large_enough_to_touch(
    visits: Visits,
) -> None:
    page = visits.open(**PHONE)
    say(page, "Write a jig.")
    wait_for_answers(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("dialog", name="Settings").get_by_label("Grammar").check()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, input:not([type=checkbox]), textarea')]
        .filter((element) => !element.closest('.tune') && element.offsetParent)
        .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
        .filter(([, box]) => box.height < 44 || box.width < 44).map(([text]) => text)"""
    )
    assert small == []


@pytest.mark.slow
def test_the_colours_that_were_chosen_are_kept(visits: Visits) -> None:
    page = visits.open(color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Colours: system").click()
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Colours: light").click()
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    page.get_by_role("button", name="Colours: dark").wait_for()
    assert page.evaluate(paper) == dark


@pytest.mark.slow
def test_copying_an_answer(visits: Visits, engine: ScriptedEngine) -> None:
    page = visits.open(permissions=["clipboard-read", "clipboard-write"])
    say(page, "Write a jig.")
    wait_for_answers(page, 1)
    page.get_by_role("button", name="Copy the answer").click()
    page.get_by_role("button", name="Copied").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text == f"Here is a jig.\n\n{TUNE}\nDo you like it?"


@pytest.mark.slow
def test_an_edited_tune_is_what_the_model_reads_and_is_kept_over_a_reload(
    visits: Visits, engine: ScriptedEngine, tmp_path: Path
) -> None:
    page = visits.open()
    say(page, "Write a jig.")
    wait_for_answers(page, 1)
    edited = TUNE.replace("GAB c2d", "GAB d2c")
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("ABC of the tune").fill(edited)
    page.get_by_text("edited: the model reads your version").wait_for()
    page.wait_for_timeout(600)  # states are stored every half second
    page.reload()
    page.get_by_text("edited: the model reads your version").wait_for()
    page.get_by_role("button", name="Edit", exact=True).click()
    assert page.get_by_label("ABC of the tune").input_value().strip() == edited.strip()
    say(page, "And a second strain?")
    wait_for_answers(page, 2)
    messages = engine.requests[-1].messages
    assert messages is not None
    content = f"Here is a jig.\n\n{edited}\nDo you like it?"
    assert messages[1] == {"role": "assistant", "content": content}
    record = saved(page, tmp_path / "conversation.json")
    assert record["messages"][1]["content"] == content
    assert record["replaced"][1]["content"] == f"Here is a jig.\n\n{TUNE}\nDo you like it?"
    page.locator(".tune").first.scroll_into_view_if_needed()  # a card far away has no editor
    page.get_by_role("button", name="As it was written").click()
    page.get_by_text("edited: the model reads your version").wait_for(state="detached")


@pytest.mark.slow
def test_kept_and_discarded_answers_become_pairs(chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    engine = ScriptedEngine(lambda request: TUNE.replace("Kettle", f"Kettle {request.seed}"))
    with served(service_of({"scripted": engine}, preferences=path)) as address:
        page = Visits(chromium, address).open()
        say(page, "Write a jig.")
        wait_for_answers(page, 1)
        page.get_by_role("button", name="Discard").click()
        page.get_by_text("A pair is written as soon as you keep another answer").wait_for()
        page.get_by_role("button", name="Another answer").click()
        page.locator(".tune", has_text="Kettle 2").wait_for()
        wait_for_answers(page, 1)
        page.get_by_role("button", name="Keep").click()
        page.get_by_text("Written: 1 pair").wait_for()
    (pair,) = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert pair["prompt"] == [{"role": "user", "content": "Write a jig."}]
    assert "Kettle 2" in pair["chosen"][0]["content"]
    assert "Kettle 1" in pair["rejected"][0]["content"]


@pytest.mark.slow
def test_a_key_is_asked_for_where_the_server_demands_one(chromium: Any) -> None:
    engine = ScriptedEngine(script=echo)
    with served(service_of({"scripted": engine}, key="secret")) as address:
        page = Visits(chromium, address).open()
        field = page.get_by_label("This server demands a key")
        field.fill("wrong")
        page.get_by_role("button", name="Use this key").click()
        field.wait_for(state="detached")
        field.fill("secret")  # it is back: that key was refused
        page.get_by_role("button", name="Use this key").click()
        say(page, "one")
        wait_for_answers(page, 1)
        page.reload()
        wait_for_answers(page, 1)
        other = Visits(chromium, address).tab(page.context)
        other.get_by_label("This server demands a key").wait_for()  # a key is kept for its tab
