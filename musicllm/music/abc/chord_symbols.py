"""Chord symbols: the text in double quotes over a note, parsed and written in one spelling.

Supported are the symbols of ABC 2.1, section 4.18 (a bass in lower case, `G(Em)` for an
alternative, ♯ ♭ ♮), and the spellings of lead sheets and chord books for the same chords: `CM7`,
`Cma7`, `CΔ` and `C^7` are `Cmaj7`; `C-7` is `Cm7`; `C°` is `Cdim`; `Cø` is `Cm7b5`; `C6/9` is
`C69`; `NC` is `N.C.`; `D/f+` is `D/F#`; `(G7)` is `G7`. Equal chords have one spelling, and every
supported chord has tones.

Not supported, since they are ambiguous: German `H` (`B` would then be B flat), a letter in
lower case (a minor chord or a bass note), `C2`, `C4`, `C7+`, a bass without a chord (`/F#`),
several chords in one text (`G;D`), degrees (`V7`), and words.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from musicllm.music.abc.chord_quality import read_quality

NO_CHORD = "N.C."
"""The symbol for no chord."""

_ANNOTATION_MARKS = frozenset("^_<>@")
"""First characters of annotations, which give their position (ABC 2.1, section 4.19)."""

_WORDS = """
trill tr mordent turn roll fermata segno sign coda fine end dacapo dacoda dc ds ppp pp p mp mf ff
fff fz sf sfz cresc crescendo decresc dim diminuendo rit ritard rall accel segue solo tutti loco
pizz arco legato staccato dolce upbow downbow breath 8va 8vb slow slower fast faster lively moderato
allegro allegretto andante adagio largo presto vivace intro verse chorus refrain bridge interlude
break dance last
"""
_PHRASES = """
da capo, da coda, dal segno, to coda, al fine, al coda, dc al fine, dc al coda, ds al fine,
ds al coda, a tempo, tempo primo, 1st time, 2nd time, last time, 8va ad lib
"""
_DIRECTIONS = frozenset((*_WORDS.split(), *(phrase.strip() for phrase in _PHRASES.split(","))))
"""Directions and decorations that old books write in quotes without a mark; none is a chord."""

_UNUSUAL = str.maketrans("♯♭Δ△∆°º˚øØ⌀−–⁺", "#b^^^ooohhh--+", "♮")
_NO_CHORD = re.compile(r"n\.?\s?c\.?|no\s?chord|tacet", re.IGNORECASE)
_INNER_BLANK = re.compile(
    r"\s+(?=[(/]|(?:maj|min|dim|aug|sus|add|no|omit)(?![a-z]))|(?<=[(/,])\s+|\s+(?=\))",
    re.IGNORECASE,
)
_PARTS = re.compile(r"([A-G])([#b]?)(.*?)(?:/([A-Ga-g])([#b+]?))?")
_LOWER_MINOR = re.compile(r"[a-g][#b]?m(?!a)")
_ALTERNATIVE = re.compile(r"(.+?)\(([A-G].*)\)")
_MAX_CHARS = 40


@dataclass(frozen=True, slots=True)
class Chord:
    """A parsed chord symbol.

    Attributes:
        root: letter and accidental, such as `F#`; empty for `N.C.`.
        quality: what follows the root, in the canonical spelling, such as `m7b5`.
        steps: sounding semitones above the root, without the bass.
        bass: letter and accidental of the lowest note if it is not the root; else empty.
        alternative: symbol of a chord that may be played instead; empty if there is none.
    """

    root: str
    quality: str = ""
    steps: frozenset[int] = frozenset()
    bass: str = ""
    alternative: str = ""

    @property
    def symbol(self) -> str:
        """The chord in the canonical spelling."""
        if not self.root:
            return NO_CHORD
        bass = f"/{self.bass}" if self.bass else ""
        other = f"({self.alternative})" if self.alternative else ""
        return f"{self.root}{self.quality}{bass}{other}"


@lru_cache(maxsize=4096)
def read_chord(text: str) -> Chord | None:
    """Parse a chord symbol; None for text that is not a chord, or ambiguous."""
    text = text.strip()
    if len(text) > _MAX_CHARS:
        return None
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_UNUSUAL))
    if _NO_CHORD.fullmatch(text):
        return Chord("")
    text = _INNER_BLANK.sub("", text)
    if text[:1] == "(" and text[-1:] == ")" and text.count("(") == 1:
        text = text[1:-1]
    if _LOWER_MINOR.match(text):
        text = text[0].upper() + text[1:]
    chord = _read_plain(text)
    other = _ALTERNATIVE.fullmatch(text)
    if chord is None and other is not None:
        chord, second = _read_plain(other[1]), _read_plain(other[2])
        if chord is not None and second is not None:
            return Chord(chord.root, chord.quality, chord.steps, chord.bass, second.symbol)
        return None
    return chord


def _read_plain(text: str) -> Chord | None:
    """Parse root, quality and bass."""
    parts = _PARTS.fullmatch(text)
    quality = read_quality(parts[3]) if parts else None
    if parts is None or quality is None:
        return None
    root = parts[1] + parts[2]
    bass = parts[4].upper() + parts[5].replace("+", "#") if parts[4] else ""
    return Chord(root, quality.name, quality.steps, "" if bass == root else bass)


@lru_cache(maxsize=4096)
def symbol_over_note(quoted: str) -> str | None:
    """Return the chord symbol of a quoted token such as `"Am"` over a note.

    Returns:
        A chord in the canonical spelling; or text that is not a supported chord, with runs of
        blanks joined; None for annotations, for fingerings and signs (text without a letter), and
        for directions (`"D.C."`) that old books write without a mark.
    """
    text = " ".join(quoted[1:-1].split())
    if not text or text[0] in _ANNOTATION_MARKS:
        return None
    chord = read_chord(text)
    if chord is not None:
        return chord.symbol
    if not any(map(str.isalpha, text)):
        return None
    words = " ".join(re.sub(r"[.:()!]", "", text).split()).casefold()
    return None if words in _DIRECTIONS else text


def is_chord(symbol: str) -> bool:
    """Return whether a symbol over a note is a supported chord."""
    return read_chord(symbol) is not None
