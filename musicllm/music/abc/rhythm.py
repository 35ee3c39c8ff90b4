"""Note lengths in integer ticks: lengths, tuplets and broken rhythm."""

from __future__ import annotations

from functools import lru_cache

from musicllm.music.abc.limits import AbcError, Limits, shorten
from musicllm.music.abc.tokens import LENGTH

TICKS = 2**12 * 3**3 * 5 * 7 * 11 * 13
"""Ticks in a whole note: 1/4096 notes and tuplets of 3, 5, 7, 9, 11 and 13 are whole numbers."""

_USUAL_Q = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


@lru_cache(maxsize=4096)
def read_length(length: str) -> tuple[int, int]:
    """Return numerator and denominator of a length such as `3/2`, `/` or `//`.

    Raises:
        AbcError: it is not a length, zero, or out of range; the message lacks the note.
    """
    match = LENGTH.fullmatch(length)
    if match is None:
        raise AbcError("has no valid length")
    times, slashes, parts = match.groups()
    if len(times) > 4 or len(parts) > 4 or len(slashes) > 6 or (parts and len(slashes) != 1):
        raise AbcError("has an absurd length")
    multiple = int(times) if times else 1
    divisor = int(parts) if parts else 2 ** len(slashes)
    if divisor == 0 or multiple == 0:
        raise AbcError(f"has a length of {multiple}/{divisor}")
    return multiple, divisor


@lru_cache(maxsize=1024)
def shortest_length(length: str) -> str:
    """Return the shortest spelling of a valid length: `1` is empty, `2/4` is `/`, `//` is `/4`."""
    multiple, divisor = read_length(length)
    while multiple % 2 == 0 and divisor % 2 == 0:
        multiple, divisor = multiple // 2, divisor // 2
    suffix = {1: "", 2: "/"}.get(divisor, f"/{divisor}")
    return (str(multiple) if multiple > 1 else "") + suffix


def read_tuplet(token: str, compound: bool, limits: Limits) -> tuple[int, int, int]:
    """Return p, q and r of `(p:q:r`: p notes in the time of q, for the next r notes.

    Raises:
        AbcError: a number is missing, zero or above `limits.max_tuplet`.
    """
    numbers = (token[1:] + "::").split(":")[:3]
    p, q, r = (0 if len(n) > 3 else int(n or -1) for n in numbers)
    absurd = not all(n == -1 or 1 <= n <= limits.max_tuplet for n in (p, q, r))
    if absurd or p == 1 or (q == -1 and p > 9):
        raise AbcError(f'tuplet "{shorten(token)}" is absurd')
    usual = _USUAL_Q.get(p, 3 if compound else 2)
    return p, usual if q == -1 else q, p if r == -1 else r


def read_broken(token: str) -> tuple[int, int, int]:
    """Return a, b, d: signs such as `>` and `<<` scale the notes before and after by a/d and b/d.

    Raises:
        AbcError: more than three signs, or different ones.
    """
    count = len(token)
    if count > 3 or token != token[0] * count:
        raise AbcError(f'broken rhythm "{shorten(token)}" is absurd')
    long, short, divisor = 2 ** (count + 1) - 1, 1, 2**count
    return (long, short, divisor) if token[0] == ">" else (short, long, divisor)


def scaled(ticks: int, times: int, divisor: int) -> int:
    """Multiply ticks by a fraction.

    Raises:
        AbcError: the result is not a whole number of ticks.
    """
    result, rest = divmod(ticks * times, divisor)
    if rest or not result:
        raise AbcError("the note is too short to count")
    return result
