"""What a file is asked when it is proven and no corpus is given: requests, tunes and prose."""

from __future__ import annotations

FORMS = (
    "jig", "reel", "hornpipe", "waltz", "slow air", "slip jig", "polka", "march", "song", "lullaby",
)  # fmt: skip
KEYS = ("D major", "G", "A minor", "E dorian", "C mixolydian")

REQUESTS = tuple(f"Write a {form} in {key}." for form in FORMS for key in KEYS)
"""Fifty user messages."""

BEGINNINGS = tuple(
    f"X:{number}\nL:1/8\nM:{metre}\nK:{key}\n"
    for number, (metre, key) in enumerate(
        ((metre, key) for metre in ("6/8", "4/4", "2/2", "3/4", "9/8")
         for key in ("D", "G", "Am", "Em", "C", "A", "Dm", "Bb", "F#m", "Edor")), start=1
    )
)  # fmt: skip
"""Fifty beginnings of tunes, for a model without a chat template."""

TEXTS = (
    "X:1\nL:1/8\nM:6/8\nK:G\n|: GAG GAB | ABA ABd | edd gdd | edB dBA | GAG GAB | ABA ABd | "
    "edd gdB | AGF G3 :|\n|: B2B d2d | ege dBA | B2B dBG | ABA AGA | BAB d2d | ege dBd | gfg aga | "
    "bgg g3 :|\n",
    "X:2\nL:1/8\nM:4/4\nK:D\nAF | D2 FA d2 fd | e2 ce A2 ce | d2 fd A2 FA | G2 BG E2 AF | "
    "D2 FA d2 fd | e2 ce A2 Bc | dfed cABc | d2 d2 d2 |]\n",
    "A jig is a dance in compound metre: each bar of six eighths has two beats of three. A reel "
    "has four beats, runs in even eighths, and is played faster than a hornpipe, whose eighths "
    "swing. Both have two parts of eight bars, each of which is repeated.\n",
)
"""Texts whose perplexity is compared."""
