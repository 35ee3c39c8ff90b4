"""Cards of tunes: score, sound, cursor, checks, editor, files; nothing of a tune is executed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from musicllm.music import abc
from tests.browser import cards
from tests.browser.conftest import Visits
from tests.browser.site import TUNE

SCALE = "X:1\nT:Scale\nM:4/4\nL:1/4\nQ:1/4=150\nK:D\n|: D F A d | c B ^G A :|\n"
BAR_S = 1.6
OCARINA = "79"
"""A program whose sound is nearly a sine."""

LONG_BAR = TUNE.replace("| e2d B2G |", "| e2d B2G A |", 1)

WIDE_BAR = f"{SCALE.split('|:', maxsplit=1)[0]}{'D2EF G2AB|' * 4}\n{'D2EFG2AB' * 30}|\n"
"""Four bars, and one that is wider than any card."""

STAFFS = """() => {
  const frame = document.querySelector(".score");
  const heights = [...document.querySelectorAll(".abcjs-staff")]
    .map((staff) => staff.getBoundingClientRect().height);
  const { scrollWidth, clientWidth, scrollHeight, clientHeight } = frame;
  return [Math.min(...heights), scrollWidth / clientWidth, scrollHeight - clientHeight];
}"""
"""The height of the lowest staff, how many times as wide as it is seen a score is, and what scrolls
down in it."""


@pytest.fixture
def page(visits: Visits) -> Iterator[Any]:
    """A page that records what sounds; it has no card yet."""
    opened = visits.open()
    opened.add_init_script(cards.RECORDER)
    opened.reload()
    return opened


def play(page: Any) -> None:
    page.get_by_role("button", name="Play", exact=True).first.click()
    page.wait_for_selector("[data-state=playing]")


def set_range(page: Any, label: str, value: float) -> None:
    page.get_by_label(label).evaluate(
        "(range, value) => { range.value = value; "
        "range.dispatchEvent(new Event('input', { bubbles: true })); }",
        str(value),
    )


def pitches(page: Any, count: int, note_s: float) -> list[int]:
    """Return the first notes of a melody of equal notes that was recorded."""
    rate_hz, samples = cards.scheduled(page)
    begin = cards.onset(samples, rate_hz)
    starts = [int((begin + note_s * (number + 0.2)) * rate_hz) for number in range(count)]
    return [cards.pitch(samples[at : at + int(0.6 * note_s * rate_hz)], rate_hz) for at in starts]


IN_A_MARK = """(kind) => {
  const marks = [...document.querySelectorAll(kind)].map((mark) => mark.getBBox());
  const isIn = ({ x, width }, y) => marks.some((box) =>
    box.x <= x && x + width <= box.x + box.width + 1 && box.y <= y && y <= box.y + box.height);
  return [...document.querySelectorAll(".abcjs-note")].filter((note) => {
    const head = note.querySelector(".abcjs-notehead").getBBox();
    return isIn(head, head.y + head.height / 2);
  }).length;
}"""
"""How many notes are in marks of a kind."""


def written(text: str) -> list[int]:
    return [pitch for bar in abc.parse(text).bars for note in bar.notes for pitch in note.pitches]


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_bar_wider_than_the_card_leaves_the_score_legible(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    cards.show(page, [WIDE_BAR, SCALE])
    page.locator(".score svg").nth(1).wait_for()
    lowest, share, down = page.evaluate(STAFFS)
    assert lowest >= 18
    assert share > 2, "the score scrolls in its card"
    assert down == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    play(page)
    page.wait_for_function("() => document.querySelector('.cursor')")
    page.get_by_label("Position").first.fill("60")
    page.wait_for_function("() => document.querySelector('.score').scrollLeft > 100")


def test_a_tune_is_drawn_checked_and_sounds(page: Any) -> None:
    cards.show(page, [LONG_BAR])
    page.locator(".score svg").wait_for()
    assert page.locator(".tune .abcjs-note").count() == len(written(LONG_BAR))
    misfits = page.locator(".marks .misfit")
    misfits.first.wait_for()
    assert misfits.count() == 1
    assert page.evaluate(IN_A_MARK, ".marks .misfit") == 5
    assert page.evaluate(IN_A_MARK, ".marks .form") == len(written(LONG_BAR))
    facts = page.get_by_role("group", name="Checks").inner_text()
    assert "7 of 8 bars fit" in facts
    assert "G major" in facts
    play(page)
    cursor = page.locator(".tune .cursor")
    cursor.wait_for(state="attached")
    first = cursor.get_attribute("x1")
    page.wait_for_function(
        "(first) => document.querySelector('.cursor').getAttribute('x1') !== first", arg=first
    )
    assert page.locator(".tune .sounding").count() >= 1
    page.wait_for_function("() => window.heard.pieces.length > 8")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector("[data-state=paused]")
    assert 0.05 < np.abs(cards.heard(page)).max() < 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("semitones", "factor"), [(0, 1.0), (3, 1.0), (-5, 0.75)])
def test_what_sounds_is_what_is_written(page: Any, semitones: int, factor: float) -> None:
    cards.show(page, [SCALE])
    page.get_by_role("button", name="Sound").click()
    page.get_by_label("Instrument").select_option(OCARINA)
    set_range(page, "Transpose", semitones)
    set_range(page, "Tempo", factor)
    play(page)
    page.wait_for_selector("[data-state=ended]", timeout=60_000)
    once = [pitch + semitones for pitch in written(SCALE)]
    assert pitches(page, 16, BAR_S / 4 / factor) == once + once
    assert page.locator(".cursor").count() == 0


@pytest.mark.slow
def test_the_score_is_transposed(page: Any) -> None:
    cards.show(page, [SCALE])
    page.get_by_role("button", name="Sound").click()
    sharps = page.locator(".abcjs-key-signature path")
    assert sharps.count() == 2
    set_range(page, "Transpose", 2)
    page.wait_for_function(
        "() => document.querySelectorAll('.abcjs-key-signature path').length === 4"
    )  # E major


@pytest.mark.slow
def test_instruments_and_volume_change_what_sounds(page: Any) -> None:
    cards.show(page, [SCALE])
    page.get_by_role("button", name="Sound").click()
    set_range(page, "Volume", 0)
    play(page)
    page.wait_for_function("() => window.heard.pieces.length > 10")
    assert np.abs(cards.heard(page)).max() < 1e-3
    set_range(page, "Volume", 1)
    page.get_by_label("Instrument").select_option("40")
    page.wait_for_function("() => window.heard.pieces.length > 30")
    assert np.abs(cards.heard(page)).max() > 0.05


@pytest.mark.slow
def test_one_card_plays_at_a_time(page: Any) -> None:
    cards.show(page, [SCALE, TUNE])
    players = page.get_by_role("group", name="Player")
    for number in (0, 1):
        players.nth(number).get_by_role("button").click()
        players.nth(number).get_by_role("button", name="Pause").wait_for()
        page.wait_for_selector("[data-state=playing]")
    states = [players.nth(number).get_attribute("data-state") for number in (0, 1)]
    assert states == ["paused", "playing"]


@pytest.mark.slow
def test_a_change_is_seen_heard_and_checked_at_once(page: Any) -> None:
    cards.show(page, [SCALE])
    page.get_by_role("button", name="Sound").click()
    page.get_by_label("Instrument").select_option(OCARINA)
    page.get_by_role("button", name="Edit").click()
    changed = SCALE.replace("c B ^G A", "c B ^G A e")
    page.get_by_label("ABC of the tune").fill(changed)
    page.locator(".misfit").wait_for(state="attached")
    assert page.locator(".tune .abcjs-note").count() == 9
    assert page.evaluate("window.edits.at(-1)") == changed
    page.get_by_role("button", name="Bar 2 has").click()
    selected = page.evaluate("document.getSelection().toString()")
    assert "A e" in selected
    play(page)
    page.wait_for_selector("[data-state=ended]", timeout=60_000)
    assert pitches(page, 9, BAR_S / 4) == written(changed)
    page.get_by_role("button", name="As it was written").click()
    page.wait_for_function("() => document.querySelectorAll('.tune .abcjs-note').length === 8")
    assert page.evaluate("window.edits.at(-1)") == SCALE


@pytest.mark.slow
def test_text_that_is_no_music_says_so_and_stays_editable(page: Any) -> None:
    cards.show(page, ["X:1\nT:None\nK:C\n"])
    page.get_by_text("No score:").wait_for()
    assert page.get_by_role("button", name="Play").is_disabled()
    page.get_by_label("ABC of the tune").fill(SCALE)
    page.wait_for_function("() => document.querySelectorAll('.tune .abcjs-note').length === 8")
    assert page.get_by_role("button", name="Play").is_enabled()


def saved(page: Any, name: str) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {name}", exact=True).click()
    return Path(download.value.path())


@pytest.mark.slow
def test_files_are_what_is_written(page: Any, tmp_path: Path) -> None:
    import music21
    import soundfile

    cards.show(page, [SCALE])
    page.get_by_role("button", name="Sound").click()
    set_range(page, "Transpose", 2)
    page.get_by_role("button", name="Download", exact=True).click()
    assert saved(page, "ABC").read_text("utf-8") == SCALE
    higher = [pitch + 2 for pitch in written(SCALE)]
    midi = mido.MidiFile(saved(page, "MIDI"))
    notes = [m.note for t in midi.tracks for m in t if m.type == "note_on" and m.velocity]
    assert notes == higher * 2
    xml = music21.converter.parseData(saved(page, "MusicXML").read_text("utf-8"))
    assert [note.pitch.midi for note in xml.flatten().notes] == higher
    for name in ("WAV", "MP3"):
        sound, rate_hz = soundfile.read(saved(page, name))
        assert np.abs(sound).max() > 0.1
        assert 16 * BAR_S / 4 <= len(sound) / rate_hz < 16 * BAR_S / 4 + 3
    assert "<svg" in saved(page, "SVG").read_text("utf-8")[:500]
    pdf = saved(page, "PDF").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") == 1


HOSTILE = {
    "script": "X:1\nT:<script>window.hacked=1</script><img src=x onerror=window.hacked=1>\nM:4/4\n"
    'L:1/8\nK:C\n"<img src=x onerror=window.hacked=1>"C8|"^<svg onload=window.hacked=1>"C8|\n'
    "w: <script>window.hacked=1</script>\n",
    "directives": "X:1\nM:4/4\nL:1/8\nK:C\n%%abc-include /etc/passwd\n%%beginsvg\n"
    "<svg onload='window.hacked=1'></svg>\n%%endsvg\n%%titlefont \"><script>\" 20\n"
    "C8|[I:text <b>]C8|\n",
    "lines of a staff": "X:1\nM:4/4\nL:1/8\nK:C stafflines=99999999\nC8|\n",
    "some lines of a staff": "X:1\nM:4/4\nL:1/8\nK:C stafflines=999\nC8|\n",
    "endings": "X:1\nM:4/4\nL:1/8\nK:C\n|:C8|[1-9999 D8:|[2 E8|]\n",
    "a long text": "X:1\nM:4/4\nL:1/8\nK:C\n" + "CDEF GABc|\n" * 2000,
    "octaves": "X:1\nM:4/4\nL:1/8\nK:C\nC" + "," * 3000 + "|\n",
    "voices": "X:1\nM:4/4\nL:1/8\nK:C\n" + "".join(f"V:{n}\nC8|\n" for n in range(40)),
    "tempo": "X:1\nM:4/4\nL:1/8\nQ:1/4=-5\nK:C\nC8|\n",
    "prototype": "X:1\nM:4/4\nL:1/8\nK:C\nV:__proto__\nC8|!constructor!C8|\n",
}


@pytest.mark.slow
def test_hostile_tunes_do_nothing(page: Any, visits: Visits) -> None:
    cards.show(page, list(HOSTILE.values()))
    said = {}
    for number, name in enumerate(HOSTILE):
        card = page.locator(".tune").nth(number)
        card.scroll_into_view_if_needed()
        card.get_by_text("Download").wait_for()
        card.locator(".score svg").or_(card.get_by_text("No score:")).first.wait_for()
        said[name] = card.inner_text()
        assert "root:" not in said[name]
        inserted = "script, img, iframe, foreignObject, [onload], [onerror]"
        assert card.locator(inserted).count() == 0
    assert page.evaluate("window.hacked") is None
    assert "a number in the tune is above 9,999" in said["lines of a staff"]
    assert "stafflines=999 is above 12" in said["some lines of a staff"]
    assert "ending 9999 is above 16" in said["endings"]
    assert "at most 12,000 are drawn" in said["a long text"]
    assert "more than 8 octave marks" in said["octaves"]
    assert "at most 16 are drawn" in said["voices"]
    assert "the tempo cannot be played" in said["tempo"]


@pytest.mark.slow
def test_cards_out_of_view_have_no_score(page: Any) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    cards.show(page, [TUNE] * 100)
    page.wait_for_timeout(1500)
    assert page.locator(".tune svg.icon").count() >= 1
    drawn = page.locator(".score svg").count()
    assert 1 <= drawn <= 12
    assert sum("/v1/tunes/check" in url for url in requests) <= 12
    height = page.evaluate("document.scrollingElement.scrollHeight")
    page.evaluate("scrollTo(0, document.scrollingElement.scrollHeight)")
    page.locator(".tune").last.locator(".score svg").wait_for()
    page.wait_for_timeout(500)
    assert page.locator(".tune").first.locator(".score svg").count() == 0
    assert page.locator(".score svg").count() <= 12
    assert height <= page.evaluate("document.scrollingElement.scrollHeight")


@pytest.mark.slow
def test_a_card_is_used_by_keyboard_and_has_names(page: Any) -> None:
    cards.show(page, [TUNE], votes=True)
    page.locator(".score svg").wait_for()
    page.wait_for_function("() => !document.querySelector('.play').disabled")
    names = []
    for _ in range(8):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.innerText")
        )
    assert names[:7] == ["Play", "Position", "Sound", "Edit", "Download", "Keep", "Discard"]
    unnamed = page.evaluate(
        "[...document.querySelectorAll('.tune button')].filter((b) => "
        "!(b.ariaLabel ?? b.innerText).trim()).length"
    )
    assert unnamed == 0
    assert page.get_by_role("img", name="Score of The Kettle").count() == 1
    page.get_by_role("button", name="Keep").focus()
    for key in ("Enter", "Space"):
        page.keyboard.press(key)
    assert page.evaluate("window.verdicts") == ["keep", None]
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-state=playing]")


@pytest.mark.slow
def test_a_tune_that_is_being_written_grows(page: Any) -> None:
    beginning = SCALE + "D F A"
    cards.show(page, [beginning], complete=False)
    page.locator(".score svg").wait_for()
    assert page.locator(".tune .abcjs-note").count() == 8
    assert page.get_by_role("button", name="Play").count() == 0


@pytest.mark.slow
def test_a_browser_without_sound_says_so(visits: Visits) -> None:
    page = visits.open()
    page.add_init_script("delete window.AudioContext")
    page.reload()
    cards.show(page, [TUNE])
    page.get_by_text("No sound: this browser has no Web Audio.").wait_for()
    page.locator(".tune .abcjs-note").first.wait_for()
    assert page.locator(".tune .abcjs-note").count() > 8


@pytest.mark.slow
def test_a_font_that_cannot_be_played_is_said(
    page: Any, visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    font = tmp_path / "mine.sf3"
    font.write_bytes(b"RIFF\0\0\0\0sfbkLIST\0\0\0\0INFOifil\4\0\0\0\3\0\1\0")
    monkeypatch.setenv("MUSICLLM_SOUNDFONT", str(font))
    cards.show(page, [TUNE])
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_text("compressed (.sf3), which the page cannot play").wait_for()
    monkeypatch.delenv("MUSICLLM_SOUNDFONT")
    play(page)
    visits.errors.clear()  # the browser notes the answer 400


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_card_fits_a_phone(visits: Visits, scheme: str) -> None:
    page = visits.open(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    cards.show(page, [TUNE], votes=True)
    page.locator(".score svg").wait_for()
    page.get_by_role("button", name="Sound").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ink = page.evaluate("getComputedStyle(document.querySelector('.score svg')).color")
    dark = sum(int(part) for part in ink.strip("rgb()").split(",")) < 3 * 128
    assert dark == (scheme == "light")
