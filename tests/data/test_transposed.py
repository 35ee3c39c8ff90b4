from __future__ import annotations

from musicllm.data.records import Record
from musicllm.data.transposed import copies
from musicllm.music.abc import parse
from tests.helpers import make_tune

RECORD = {"id": "b/1", "source": "b", "text": make_tune(1), "fingerprint_group": "b/0"}


def tune(body: str) -> Record:
    return {**RECORD, "text": f"X:1\nL:1/4\nM:4/4\nK:C\n{body}\n"}


def pitches(text: str) -> list[int]:
    return [pitch for bar in parse(text).bars for note in bar.notes for pitch in note.pitches]


def test_a_tune_comes_in_every_transposition() -> None:
    made, drops = copies(RECORD, [0, 2, -3])

    assert made[0] is RECORD
    assert [copy["id"] for copy in made] == ["b/1", "b/1+2", "b/1-3"]
    assert {copy["fingerprint_group"] for copy in made} == {"b/0"}
    assert pitches(made[1]["text"]) == [pitch + 2 for pitch in pitches(RECORD["text"])]
    assert pitches(made[2]["text"]) == [pitch - 3 for pitch in pitches(RECORD["text"])]
    assert drops == []


def test_a_copy_that_leaves_the_range_is_dropped() -> None:
    made, drops = copies(tune("D E F d |]"), [0, 12, 13, -7, -8])  # 62 to 74; the span is 55 to 86

    assert [copy["id"] for copy in made] == ["b/1", "b/1+12", "b/1-7"]
    assert [drop.place for drop in drops] == ["b/1+13", "b/1-8"]
    assert drops[0].reason == "leaves its range when transposed"
    assert drops[0].detail == "voice 1 would reach from 75 to 87, beyond 55 to 86 (MIDI numbers)"
    assert not drops[0].is_fault


def test_every_voice_may_move_a_little() -> None:
    two_voices = tune("[V:1]c4 |]\n[V:2]C,,4 |]")  # a bass at 36

    made, drops = copies(two_voices, [3, -3, 5, -4])

    assert [copy["id"] for copy in made] == ["b/1+3", "b/1-3", "b/1+5"]
    assert drops[0].detail == "voice 2 would reach from 32 to 32, beyond 55 to 86 (MIDI numbers)"


def test_what_cannot_be_read_or_leaves_midi_is_dropped() -> None:
    _, drops = copies(tune("D & E F G |]"), [2])
    assert (drops[0].reason, drops[0].place) == ("cannot be transposed", "b/1+2")
    assert "voice overlays" in drops[0].detail
    _, drops = copies(tune("C,,,, D4 |]"), [-2])
    assert "leaves MIDI's range" in drops[0].detail


def test_other_records_have_no_copies() -> None:
    prose = {**RECORD, "text": f"It goes\n{make_tune(1)}\nlike this."}
    messages = [{"role": "assistant", "content": make_tune(1)}]
    chat = {"id": "c", "source": "c", "messages": messages}
    assert copies(prose, [2, 3]) == ([prose], [])
    assert copies(chat, [2, 3]) == ([chat], [])
