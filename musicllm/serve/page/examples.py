"""Messages that the page offers to begin with: what music models are trained to answer."""

from __future__ import annotations

from typing import NamedTuple


class Example(NamedTuple):
    """A message to begin with.

    Attributes:
        title: a few words for people.
        summary: what the message says, in one plain line for people.
        message: what is sent.
    """

    title: str
    summary: str
    message: str


_MELODY = """X:1
R:jig
L:1/8
M:6/8
K:G
GAB c2d | e2d B2G | A2B c2A | BAG G3 |]"""
_OPENING = """X:1
R:reel
L:1/8
M:4/4
K:D
d2 AG FADF | G2 BG A2 FA |"""

EXAMPLES = (
    Example("A reel", "In D major and 4/4", "Write a reel in D major, metre 4/4."),
    Example(
        "From a description",
        "A jig in G major from its metre, key and rhythm",
        "Turn this description into a score.\nMetre 6/8\nKey G major\nRhythm jig",
    ),
    Example(
        "Form and motif",
        "A tune of the form AABB from a motif of two bars",
        "Write a tune of the form AABB from the motif G2BG A2cA | B2dB c2ec",
    ),
    Example(
        "Over chords",
        "A melody over G C G D7 G C D7 G",
        "Write a melody over these chords: G C G D7 G C D7 G",
    ),
    Example(
        "Harmonise",
        "Chords for a jig in G of four bars",
        f"Harmonise this melody:\n{_MELODY}",
    ),
    Example(
        "Go on",
        "The rest of a reel in D after its first two bars",
        f"Complete this tune:\n{_OPENING}",
    ),
)
"""The kinds of ChatMusician (arXiv 2402.16153), worded as `data/instructions` words them."""
