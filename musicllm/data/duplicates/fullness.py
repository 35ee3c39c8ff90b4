"""Ranks duplicates: the fuller and cleaner record is kept.

Records are ordered by, in turn: no tune with an accepted fault; more bars that
fit their metre; fewer bars that do not; no repairs; more notes; more text, without white
space. A truncated copy has fewer bars, a damaged one has fewer that fit.
Records equal in all of these keep their order, independently of workers and engine.
"""

from __future__ import annotations

from musicllm.data.music import Examined
from musicllm.data.records import texts_of

_BITS = {"is_faultless": 1, "fitting": 15, "not_unfitting": 6, "is_unmended": 1, "notes": 14}
_TEXT_BITS = 64 - sum(_BITS.values())


def fullness(examined: Examined) -> int:
    """Return an integer below 2**64 that is higher for fuller and cleaner records."""
    num_unfitting = examined.num_bars - examined.num_fitting
    figures = {
        "is_faultless": not examined.faults,
        "fitting": examined.num_fitting,
        "not_unfitting": max(0, _largest(_BITS["not_unfitting"]) - num_unfitting),
        "is_unmended": not examined.repairs,
        "notes": examined.num_notes,
    }
    value = 0
    for name, bits in _BITS.items():
        value = (value << bits) | min(int(figures[name]), _largest(bits))
    num_chars = sum(len("".join(text.split())) for text in texts_of(examined.record))
    return (value << _TEXT_BITS) | min(num_chars, _largest(_TEXT_BITS))


def _largest(bits: int) -> int:
    return (1 << bits) - 1
