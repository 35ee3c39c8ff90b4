"""Which of several records that count as the same stays: the fuller and cleaner one.

Records are ordered by, one after the other: no tune with a fault that was let pass; more bars that
fit their metre; fewer bars that do not; nothing that had to be mended; more notes; more text, white
space left aside. A copy that breaks off has fewer bars, one that is damaged has fewer that fit.
What is equal in all of this keeps its order, so neither workers nor engine have a say.
"""

from __future__ import annotations

from musicllm.data.music import Examined
from musicllm.data.records import texts_of

_BITS = {"is_faultless": 1, "fitting": 15, "not_unfitting": 6, "is_unmended": 1, "notes": 14}
_TEXT_BITS = 64 - sum(_BITS.values())


def fullness(examined: Examined) -> int:
    """Return a number below 2**64 that is the greater, the fuller and cleaner a record is."""
    num_unfitting = examined.num_bars - examined.num_fitting
    figures = {
        "is_faultless": not examined.faults,
        "fitting": examined.num_fitting,
        "not_unfitting": max(0, _most(_BITS["not_unfitting"]) - num_unfitting),
        "is_unmended": not examined.repairs,
        "notes": examined.num_notes,
    }
    value = 0
    for name, bits in _BITS.items():
        value = (value << bits) | min(int(figures[name]), _most(bits))
    num_chars = sum(len("".join(text.split())) for text in texts_of(examined.record))
    return (value << _TEXT_BITS) | min(num_chars, _most(_TEXT_BITS))


def _most(bits: int) -> int:
    return (1 << bits) - 1
