"""Bytes that tokens write: which begin a character, and how that can be completed."""

from __future__ import annotations

import pytest

from musicllm.inference.decoding.spelling import advanced, completed


def test_whatever_begins_a_character_can_be_completed() -> None:
    tails = [bytes([first]) for first in range(256)]
    tails += [bytes([first, second]) for first in range(0xC0, 256) for second in range(256)]
    begun = [tail for tail in tails if (way := advanced(b"", tail)) and way[1]]
    assert bytes([0xED, 0x9F]) in begun
    for tail in begun:
        rest = advanced(b"", tail)
        assert rest is not None
        assert len((rest[1] + completed(rest[1])).decode()) == 1


@pytest.mark.parametrize("data", [b"\xed\xa0", b"\xed\xbf", b"\xf4\x90", b"\xe0\x80", b"\xff"])
def test_no_character_begins_so(data: bytes) -> None:
    assert advanced(b"", data) is None
    assert advanced(data[:1], data[1:]) is None
