from __future__ import annotations

from musicllm.data.transposed import transposed
from musicllm.music.abc import parse
from tests.helpers import make_tune

RECORD = {"id": "b/1", "source": "b", "text": make_tune(1), "fingerprint_group": "b/0"}


def pitches(text: str) -> list[int]:
    return [pitch for bar in parse(text).bars for note in bar.notes for pitch in note.pitches]


def test_every_tune_comes_in_every_transposition() -> None:
    copies, drops = transposed([RECORD], [0, 2, -3])

    assert copies[0] is RECORD
    assert [copy["id"] for copy in copies] == ["b/1", "b/1+2", "b/1-3"]
    assert {copy["fingerprint_group"] for copy in copies} == {"b/0"}
    assert pitches(copies[1]["text"]) == [pitch + 2 for pitch in pitches(RECORD["text"])]
    assert pitches(copies[2]["text"]) == [pitch - 3 for pitch in pitches(RECORD["text"])]
    assert drops == []


def test_a_copy_that_leaves_the_range_is_dropped() -> None:
    copies, drops = transposed([RECORD], [0, 90])

    assert copies == [RECORD]
    assert (drops[0].place, drops[0].reason) == ("b/1+90", "cannot be transposed")
    assert "leaves MIDI's range" in drops[0].detail
    assert not drops[0].is_fault
