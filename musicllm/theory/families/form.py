"""Questions about form: letters and names of forms, and number of bars played."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby, product

from musicllm.theory import staff
from musicllm.theory.drafts import Draft, level, near_counts, others, score

_FORMS = (
    "AB", "ABA", "AABB", "ABAC", "AABA", "AABC", "ABC", "ABCA", "ABAB", "ABBA", "AAB", "ABB",
    "AABBA", "ABACA", "ABCBA", "AABBC", "AABBCC", "ABACABA", "ABABC", "AABCC", "ABCAB",
)  # fmt: skip
_NAMED = {
    "binary form": ("AB", "AABB", "AAB", "ABB"),
    "ternary form": ("ABA", "AABA", "ABBA", "AABBA", "ABAA"),
    "rondo": ("ABACA", "ABACABA", "ABACADA", "AABACA"),
    "strophic form": ("AAA", "AAAA", "AAAAA"),
    "arch form": ("ABCBA", "ABCDCBA"),
    "through-composed form": ("ABC", "ABCD", "ABCDE"),
}


def form() -> Iterator[Draft]:
    """The form of a score as played, in letters, and its name.

    Harder with more than four sections, with repeat signs, and for the name.
    """
    draw = random.Random("form")
    for letters, repeats, _ in product(_FORMS, (False, True), range(24)):
        if repeats and not _has_doubles(letters):
            continue
        hard = level(len(letters) > 4, repeats)
        stem = "Which form has this score as it is played, with a letter for each section?"
        yield Draft(stem, _tune(draw, letters, repeats), letters, _near_forms(letters), hard)
    for name, forms in _NAMED.items():
        for letters, _ in product(forms, range(24)):
            repeats = _has_doubles(letters) and len(set(letters)) > 1 and draw.random() < 0.5
            hard = level(True, len(letters) > 4, repeats)
            stem = "What is the form of this score called?"
            yield Draft(
                stem, _tune(draw, letters, repeats), name, _other_names(letters, name), hard
            )


def played_bars() -> Iterator[Draft]:
    """The number of bars played, with repeats and endings.

    Harder with first and second endings, and with a second repeat.
    """
    draw = random.Random("played bars")
    stem = "How many bars are played in this score, with its repeats?"
    for _ in range(350):
        before, repeated, after = draw.randint(1, 4), draw.randint(2, 5), draw.randint(0, 4)
        bars = [_bar(draw) for _ in range(before + repeated + after)]
        music = " | ".join(bars[:before]) + " |: " + " | ".join(bars[before:][:repeated])
        music += " :| " + " | ".join(bars[before + repeated :])
        count = len(bars) + repeated
        wrong = near_counts(count, draw, len(bars), 2 * len(bars))
        yield Draft(stem, score(music.rstrip()), str(count), wrong, "easy")
    for has_second in [False] * 350 + [True] * 350:
        shared, first, second = draw.randint(2, 5), draw.randint(1, 2), draw.randint(1, 2)
        music, count = _with_endings(draw, shared, first, second), 2 * shared + first + second
        num_bars = shared + first + second
        if has_second:
            again = draw.randint(2, 4)
            music += " |: " + " | ".join(_bar(draw) for _ in range(again)) + " :|"
            count, num_bars = count + 2 * again, num_bars + again
        wrong = near_counts(count, draw, num_bars, 2 * num_bars)
        yield Draft(stem, score(music), str(count), wrong, level(True, has_second))


def _with_endings(draw: random.Random, shared: int, first: int, second: int) -> str:
    same, first_bars, second_bars = (
        " | ".join(_bar(draw) for _ in range(num)) for num in (shared, first, second)
    )
    return f"|: {same} |1 {first_bars} :|2 {second_bars} ||"


def _tune(draw: random.Random, letters: str, repeats: bool) -> str:
    """Return a tune with two bars per section, and repeats as signs or written out."""
    bars = {letter: f"{_bar(draw)} | {_bar(draw)}" for letter in sorted(set(letters))}
    if len({bar for two in bars.values() for bar in two.split(" | ")}) < 2 * len(bars):
        return _tune(draw, letters, repeats)
    if not repeats:
        return score(" || ".join(bars[letter] for letter in letters) + " |]")
    parts = []
    for letter, run in groupby(letters):
        num = len(list(run))
        parts += [f"|: {bars[letter]} :|"] * (num // 2) + [f"{bars[letter]} ||"] * (num % 2)
    return score(" ".join(parts))


def _bar(draw: random.Random) -> str:
    return " ".join(pitch.abc() for pitch in staff.in_key(staff.walk(draw, 4), 0))


def _has_doubles(letters: str) -> bool:
    return any(len(list(run)) == 2 for _, run in groupby(letters))


def _other_names(letters: str, name: str) -> tuple[str, ...]:
    """Return other names of forms; symmetric forms may also be called arch forms."""
    is_mirror = letters == letters[::-1]
    return tuple(
        other for other in others(_NAMED, name) if not (is_mirror and other == "arch form")
    )


def _near_forms(letters: str) -> tuple[str, ...]:
    """Return forms with a similar number of sections, the most similar first."""

    def distance(other: str) -> int:
        same = sum(a == b for a, b in zip(other, letters, strict=False))
        return abs(len(other) - len(letters)) - same

    return others(sorted(_FORMS, key=distance), letters)[:6]
