"""How much a call works, in steps that are the same on every machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from musicllm.music.abc import AbcError


def count_calls(function: Callable[[str], object], text: str) -> int:
    """Return how many calls and returns of functions a call causes, Python's and C's.

    A call that refuses the text with an `AbcError` counts as one that ends.
    """
    count = 0

    def add(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(add)
    try:
        with contextlib.suppress(AbcError):
            function(text)
    finally:
        sys.setprofile(before)
    return count
