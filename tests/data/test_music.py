from __future__ import annotations

import pytest

from musicllm.data.music import Examined, describe, examine, is_bare_tune
from musicllm.data.records import Drop, Record
from musicllm.music.abc import canonical, parse
from musicllm.schema import MusicConfig
from tests.helpers import make_tune, music_config

GOOD = make_tune(1).strip()
UNREADABLE = GOOD.replace("|", "& |", 1)
UNFITTING = GOOD.replace(" | ", "D | ")
POLICY = music_config()


def record(text: str) -> Record:
    return {"id": "reels.abc:12", "source": "reels", "text": text}


def chat(*contents: str) -> Record:
    roles = ("user", "assistant")
    messages = [
        {"role": roles[number % 2], "content": content} for number, content in enumerate(contents)
    ]
    return {"id": "chat/1", "source": "chat", "messages": messages}


def kept(given: Record, policy: MusicConfig = POLICY) -> Examined:
    result = examine(given, policy)
    assert isinstance(result, Examined)
    return result


def dropped(given: Record, policy: MusicConfig = POLICY) -> Drop:
    result = examine(given, policy)
    assert isinstance(result, Drop)
    return result


def test_without_checking_a_record_passes_as_it_is() -> None:
    given = record(UNREADABLE)
    assert kept(given, music_config(check=False)) == Examined(given, (), (), ())


def test_prose_passes_as_it_is() -> None:
    given = chat("What is Key: A? And M: 12:30?", "K: value is not a key, X: 5 no number.")
    assert kept(given).record is given
    assert kept(given) == Examined(given, (), (), ())


def test_a_good_tune_passes_as_it_is() -> None:
    given = record(f"{GOOD}\n")
    assert kept(given).record is given
    assert kept(given).scores == (parse(GOOD),)


def test_a_bare_tune_takes_its_normal_form() -> None:
    spelled = GOOD.replace("K:D\n", "Z:a typist\nK:D major\n").replace(" | ", "|")

    examined = kept(record(spelled), music_config(normalize=True))

    assert examined.record["text"] == canonical(GOOD) == f"{GOOD}\n"
    assert examined.scores == (parse(canonical(GOOD)),)


def test_what_a_normal_form_leaves_out_is_counted() -> None:
    lines = 'C:Somebody\nQ:1/4=90\nK:D\n%%MIDI program 1\n"^slow" !trill!'
    given = record(GOOD.replace("K:D\n", lines) + "\nw: la la\n")
    examined = kept(given, music_config(normalize=True))
    assert examined.record["text"] == f"{GOOD}\n"
    assert examined.left_out == (
        "annotations", "decorations", "directives", "lyrics", "other texts", "tempo",
    )  # fmt: skip
    assert kept(given).left_out == ()


def test_longer_tunes_are_read_where_the_limits_are_wider() -> None:
    wide = music_config(normalize=True, max_bars=6_000, max_tune_chars=200_000)
    text = "X:1\nL:1/4\nM:4/4\nK:C\n" + "CDEF GABc | " * 15_000
    for tune, reason in (
        (text[:66_000], "line 5005: more than 5,000 bars"),
        (text, "the tune is longer than 100,000 characters"),
    ):
        detail = dropped(record(tune.replace("GABc | ", "|\n"))).detail
        assert detail.startswith(reason)
    assert len(kept(record(text[:66_020].replace("GABc | ", "|\n")), wide).scores) == 1


def test_a_tune_amid_prose_is_not_normalised() -> None:
    given = record(f"It goes:\n\n{GOOD.replace(' | ', '|')}\n\nThe end.")
    assert kept(given, music_config(normalize=True)).record is given


def test_only_the_span_of_a_tune_is_mended() -> None:
    folded = " ".join(GOOD.split("\n"))

    examined = kept(chat("A ‘reel’, please.</s>", f"“Sure”: {folded} \n\n“Enjoy”.</s>"))

    answer = examined.record["messages"][1]["content"]
    assert answer == f"“Sure”: {GOOD} \n\n“Enjoy”.</s>"
    assert examined.record["messages"][0]["content"] == "A ‘reel’, please.</s>"
    assert examined.repairs == ("single line",)
    assert examined.scores == (parse(GOOD),)


def test_each_tune_of_a_text_is_mended_on_its_own() -> None:
    marked = GOOD.replace("\n", "</s>")
    examined = kept(record(f"One:\n{marked}\n\nTwo:\n{GOOD[4:]}\n"))
    assert examined.record["text"] == f"One:\n{GOOD}\n\nTwo:\n{GOOD}\n"
    assert examined.repairs == ("end-of-text marks", "missing X:")
    assert len(examined.scores) == 2


def test_a_tune_in_quotation_marks_is_checked_but_not_touched() -> None:
    escaped = GOOD.replace("\n", "\\n")
    given = record(f'{{"abc": "{escaped}"}}')
    assert kept(given)[:5] == (given, (parse(GOOD),), (), (), ())
    unreadable = UNREADABLE.replace("\n", "\\n")
    assert dropped(record(f'{{"abc": "{unreadable}"}}')).reason == "does not parse"


def test_without_repairs_a_spoiled_tune_is_faulty() -> None:
    given = record(GOOD.replace("M:4/4", "M:common time"))
    assert kept(given).repairs == ("header spellings",)
    assert dropped(given, music_config(repair=False)).reason == "does not parse"


def test_what_does_not_parse_is_dropped_with_the_line() -> None:
    drop = dropped(record(UNREADABLE))
    assert (drop.source, drop.place, drop.reason) == ("reels", "reels.abc:12", "does not parse")
    assert drop.detail.startswith("line 6, column")
    assert drop.is_fault


def test_a_drop_says_where_in_a_conversation_the_tune_stands() -> None:
    drop = dropped(chat("Play.", f"Listen:\n\n{UNREADABLE}\n"))
    assert drop.detail.startswith("tune in message 2, line 3: line 6, column")
    drop = dropped(record(f"Listen:\n{UNFITTING}"))
    assert drop.detail == "tune in line 2: 1 of 8 bars fit"


def test_a_numbered_text_without_key_is_a_tune_that_cannot_be_read() -> None:
    drop = dropped(record("X:1\nT:Title\nDEFG ABcd |"))
    assert (drop.reason, drop.detail) == (
        "does not parse",
        'line 3: "DEFG ABcd |" is no header field, and no "K:" came yet',
    )


def test_a_faulty_tune_may_be_kept_and_counted() -> None:
    keep = music_config(on_fault="keep", normalize=True)
    given = record(f"{UNREADABLE}\n\n{GOOD}\n\n{UNFITTING}")
    examined = kept(given, keep)
    assert examined.record is given
    assert examined.faults == ("does not parse", "bars do not fit the metre")
    assert examined.scores == (parse(GOOD), parse(UNFITTING))
    assert kept(record(UNREADABLE), keep).record == record(UNREADABLE)


def test_only_a_bare_tune_must_be_long() -> None:
    short = make_tune(1, num_bars=3).strip()
    drop = dropped(record(short))
    assert (drop.reason, drop.detail) == ("is too short", "3 bars, 24 notes")
    assert len(kept(chat("Continue this.", short)).scores) == 1
    assert kept(record(short), music_config(min_bars=3)).faults == ()


def test_an_excerpt_may_break_off_inside_a_bar() -> None:
    assert kept(record("The motif\nL:1/8\nM:4/4\nK:D\nDEFG ABcd | DEF | D\n\nrises.")).faults == ()


@pytest.mark.parametrize(("num_wrong", "stays"), [(2, True), (3, False)])
def test_at_most_a_fifth_of_the_bars_may_be_wrong(num_wrong: int, stays: bool) -> None:
    # ten bars; the first bar is left whole, since a short one there is an anacrusis
    head, _, body = make_tune(1, num_bars=10).rpartition("K:D\n")
    bars = body.split(" | ")
    bars[1 : 1 + num_wrong] = ["DEFGABcdd"] * num_wrong
    given = record(f"{head}K:D\n{' | '.join(bars)}")

    if stays:
        assert kept(given).faults == ()
    else:
        drop = dropped(given)
        assert drop.reason == "bars do not fit the metre"
        assert drop.detail == "7 of 10 bars fit"


def test_a_bare_tune_is_given_its_last_bar_line_and_its_number() -> None:
    examined = kept(record(f"{GOOD[4:-3]}</s>\n"))
    assert examined.record["text"] == GOOD
    assert examined.repairs == ("end-of-text marks", "missing X:", "missing final bar line")


@pytest.mark.parametrize(
    ("text", "is_bare"),
    [
        (GOOD, True),
        (f"\n{GOOD}</s>\n", True),
        (UNREADABLE, True),
        (f"Listen:\n{GOOD}", False),
        (f"{GOOD}\n\n{GOOD}", False),
        (f'"{GOOD}"', False),
        (f"{GOOD}\nThis is a reel in two parts.", False),
        ("X: 3\nWhat is it?", False),
    ],
)
def test_bare_tunes(text: str, is_bare: bool) -> None:
    assert is_bare_tune(record(text)) is is_bare
    assert not is_bare_tune(chat(text))


def test_how_much_music_a_record_holds_and_what_it_is_called() -> None:
    text = f"X:1\nT:The Reel\nT:Another\n{GOOD.removeprefix('X:1')}".replace("\n\n", "\n")
    whole = kept(record(text), music_config(normalize=True))
    assert "T:" not in whole.record["text"]
    assert whole[5:] == (("The Reel",), 8, 8, 64)
    both = kept(chat(f"First:\n{text}\n\nThen:\n{GOOD.replace(' | ', 'D | ', 1)}", "Thanks."))
    assert both[5:] == (("The Reel", ""), 16, 15, 129)


def test_describe() -> None:
    assert describe(parse(GOOD)) == ("D", "4/4", "reel", 0, ())
    assert describe(parse("X:1\nM:C|\nK:E minor\nE8|"))[:3] == ("Em", "2/2", "none named")
    assert describe(parse('X:1\nM:C\nK:C\n"G7/b"E4"H7"E4|')).unreadable_chords == ("H7",)
    free = describe(parse("X:1\nR: Slip  Jig\nM:none\nK:none\nE8|"))
    assert free[:3] == ("none", "none", "slip jig")
