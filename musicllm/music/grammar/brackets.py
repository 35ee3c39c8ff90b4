"""What has two ends in a line of music, each closed in its bar, slurs by the end of the tune.

Chords, inline fields, slurs, tuplets, quoted text, grace notes and decorations. Chords have no
quoted text inside; where the first note has a length, all others have the same one and the chord
none. Tuplets are `(p`, `(p:q`, `(p:q:r` and `(p::r` with p from 2 to 9, and end in their bar.
Decorations are those of ABC 2.1, section 4.14.
"""

from __future__ import annotations

from math import gcd

from musicllm.music.grammar import bars, fields
from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.durations import (
    can_embellish,
    can_name_chord,
    count,
    has_many_chords,
    length,
    room,
)
from musicllm.music.grammar.lengths import MAX_OCTAVES, NOTES, spelling
from musicllm.music.grammar.strokes import WORDS
from musicllm.music.grammar.trie import build

MAX_SLURS = 8
MAX_CHORD_NOTES = 8
MAX_GRACE_NOTES = 12
MAX_QUOTED_CHARS = 60
_USUAL_Q = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
NOT_QUOTED = frozenset('%\\<:：&|[]"')
GRACE_LENGTHS = ("", "2", "3", "4", "6", "8", "/", "//", "/2", "/4", "3/", "3/2", "1/2", "1/4")
_GRACE_PREFIXES = frozenset(text[:stop] for text in GRACE_LENGTHS for stop in range(len(text) + 1))
DECORATIONS = build(
    (f"{name}!", None)
    for name in [
        "trill",
        "trill(",
        "trill)",
        "lowermordent",
        "uppermordent",
        "mordent",
        "pralltriller",
        "roll",
        "turn",
        "turnx",
        "invertedturn",
        "invertedturnx",
        "arpeggio",
        ">",
        "accent",
        "emphasis",
        "fermata",
        "invertedfermata",
        "tenuto",
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "+",
        "plus",
        "snap",
        "slide",
        "wedge",
        "upbow",
        "downbow",
        "open",
        "thumb",
        "breath",
        "pppp",
        "ppp",
        "pp",
        "p",
        "mp",
        "mf",
        "f",
        "ff",
        "fff",
        "ffff",
        "sfz",
        "crescendo(",
        "crescendo)",
        "diminuendo(",
        "diminuendo)",
        "segno",
        "coda",
        "D.S.",
        "D.C.",
        "dacoda",
        "dacapo",
        "fine",
        "shortphrase",
        "mediumphrase",
        "longphrase",
    ]
)


def start(c: Cursor, _: str) -> bool:
    """Read `[`, which starts a chord, a field or a bar line."""
    c.step, c.can_tie = opened, False
    return room(c) != 0 or fields.may_stand(c, "L") or _strokes(c) != 0


def _strokes(c: Cursor) -> int:
    return bars.strokes(c) & WORDS.next["["].reach


def opened(c: Cursor, char: str) -> bool:
    """Read the character after `[`."""
    if char in "KLM":
        return fields.start_inline(c, char)
    if char in "|123456789":
        return bars.start(c, "[") and c.step(c, char)
    c.allowed = room(c)
    if not c.allowed:
        return False
    c.word, c.chord, c.last = "", (0, None), 0
    if c.tables.pitches:
        c.tables.pitches.begin(c)
    return chord(c, char)


def chord(c: Cursor, char: str) -> bool:
    """Read the first character of a note in a chord, or the end of the chord."""
    num, inner = c.chord
    if char == "]":
        if num == 0:
            return False
        c.word = inner or ""
        if inner:
            count(c, spelling(c.unit).value[inner])
            c.step = c.tables.item
        else:
            c.step = length
        return True
    if num >= MAX_CHORD_NOTES:
        return False
    c.word = ""
    if char in "^_=":
        c.word, c.step = char, chord_accidental
        return True
    c.field, c.step = char, chord_octave
    return char in NOTES and (not c.tables.pitches or c.tables.pitches.letter(c, "", char))


def chord_accidental(c: Cursor, char: str) -> bool:
    """Read what follows an accidental in a chord."""
    sign = c.word
    if char == sign and char != "=":
        c.word = sign + char
        return True
    c.word, c.field, c.step = "", char, chord_octave
    return char in NOTES and (not c.tables.pitches or c.tables.pitches.letter(c, sign, char))


def chord_octave(c: Cursor, char: str) -> bool:
    """Read what follows a note in a chord or its octave marks."""
    if char in ",'":
        marks = c.word + char
        c.word = marks
        if len(marks) > MAX_OCTAVES or c.field.isupper() != (char == ","):
            return False
        return not c.tables.pitches or c.tables.pitches.octave(c, marks)
    if c.tables.pitches and not c.tables.pitches.sound(c, c.word):
        return False
    c.word, c.step, c.has_notes = "", chord_length, True
    return chord_length(c, char)


def chord_length(c: Cursor, char: str) -> bool:
    """Read the length of a note in a chord, or what follows it."""
    num, inner = c.chord
    spelled = spelling(c.unit)
    if char in "0123456789/":
        c.word += char
        if inner is not None:
            return inner.startswith(c.word)
        return spelled.reach.get(c.word, 0) & c.allowed != 0
    if inner is None and c.word:
        grains = spelled.value.get(c.word)
        if grains is None or not c.allowed >> grains & 1:
            return False
    elif c.word != (inner or ""):
        return False
    c.chord = (num + 1, c.word)
    c.step = chord
    return chord(c, char)


def slur(c: Cursor, _: str) -> bool:
    """Read `(`, which starts a slur or a tuplet."""
    c.step, c.last, c.can_tie = after_slur, 0, False
    return can_embellish(c) and (c.slurs < MAX_SLURS or not (c.tuplet or c.broken))


def after_slur(c: Cursor, char: str) -> bool:
    """Read the character after `(`."""
    if char in "23456789":
        p = int(char)
        c.word, c.step = char, tuplet
        usual = _USUAL_Q.get(p, 3 if c.metre.compound else 2)
        return (
            not c.tuplet
            and not c.broken
            and any(_may_be(c, p, q, r) for q in {usual, *range(1, 10)} for r in range(1, 10))
        )
    c.slurs, c.needs, c.step = c.slurs + 1, True, c.tables.item
    return c.slurs <= MAX_SLURS and char != "\n" and c.step(c, char)


def _may_be(c: Cursor, p: int, q: int, r: int) -> bool:
    """Return whether a tuplet fits into the bar."""
    left = (bars.exact(c) or c.metre.longest) - c.pos
    if c.tables.chords and has_many_chords(c):
        left -= 1
    step = p // gcd(p, q)
    return left * p // q // step * step >= r


def _numbers(c: Cursor, word: str) -> tuple[int, int, int]:
    """Return p, q and r of a tuplet, such as `3:2` or `3::2`."""
    p, q, r = (int(n or 0) for n in (word + "::").split(":")[:3])
    return p, q or _USUAL_Q.get(p, 3 if c.metre.compound else 2), r or p


def tuplet(c: Cursor, char: str) -> bool:
    """Read a tuplet after its first number, or what follows it."""
    word = c.word
    if char == ":":
        c.word = word + ":"
        return word.count(":") < 2 and _completes(c)
    if char in "123456789" and word.endswith(":"):
        c.word = word + char
        return _completes(c)
    p, q, r = _numbers(c, word)
    if word.endswith(":") or char in "0123456789" or not _may_be(c, p, q, r):
        return False
    c.tuplet, c.needs, c.step = (p, q, r, 0), True, c.tables.item
    return char not in "|:\n" and c.step(c, char)


def _completes(c: Cursor) -> bool:
    """Return whether the numbers so far start a tuplet that fits into the bar."""
    parts = c.word.split(":")
    p, q, r = _numbers(c, c.word)
    qs = range(1, 10) if c.word.endswith(":") and len(parts) == 2 else (q,)
    rs = range(1, 10) if len(parts) < 3 or not parts[2] else (r,)
    return any(_may_be(c, p, q, r) for q in qs for r in rs)


def quote(c: Cursor, _: str) -> bool:
    """Read the quotation mark before a chord symbol or an annotation."""
    c.word, c.step, c.last, c.can_tie = "", quoted, 0, False
    return can_name_chord(c) if c.tables.chords else can_embellish(c)


def quoted(c: Cursor, char: str) -> bool:
    """Read quoted text."""
    chords = c.tables.chords
    if char == '"':
        c.step, c.needs = c.tables.item, True
        c.num_chords += bool(chords)
        return c.word == chords[c.num_chords - 1] if chords else bool(c.word)
    c.word += char
    if chords:
        return chords[c.num_chords].startswith(c.word)
    return char not in NOT_QUOTED and char.isprintable() and len(c.word) <= MAX_QUOTED_CHARS


def mark(c: Cursor, _: str) -> bool:
    """Read the first `!` of a decoration."""
    c.node, c.step, c.last, c.can_tie = DECORATIONS, marked, 0, False
    return can_embellish(c)


def marked(c: Cursor, char: str) -> bool:
    """Read the name of a decoration."""
    node = c.node.next.get(char)
    if node is None:
        return False
    c.node = node
    if node.bit:
        c.step, c.needs = c.tables.item, True
    return True


def grace(c: Cursor, _: str) -> bool:
    """Read `{`."""
    c.word, c.step, c.chord, c.last, c.can_tie = "", grace_note, (0, None), 0, False
    return can_embellish(c)


def grace_note(c: Cursor, char: str) -> bool:
    """Read what starts a grace note, or the end of the grace notes."""
    num, _ = c.chord
    if char == "}":
        c.step, c.needs = c.tables.item, True
        return num > 0 and not c.word
    if char == "/" and num == 0 and not c.word:
        c.word = "/"
        return True
    if num >= MAX_GRACE_NOTES:
        return False
    sign = c.word.lstrip("/")
    if char in "^_=":
        c.word += char
        return not sign or (sign == char and char != "=")
    c.word, c.field, c.step, c.chord = "", char, grace_octave, (num + 1, None)
    return char in NOTES


def grace_octave(c: Cursor, char: str) -> bool:
    """Read what follows a grace note or its octave marks."""
    if char in ",'":
        c.word += char
        return len(c.word) <= MAX_OCTAVES and c.field.isupper() == (char == ",")
    c.word, c.step = "", grace_length
    return grace_length(c, char)


def grace_length(c: Cursor, char: str) -> bool:
    """Read the length of a grace note, or what follows it."""
    if char in "0123456789/":
        c.word += char
        return c.word in _GRACE_PREFIXES
    if c.word not in GRACE_LENGTHS:
        return False
    c.word, c.step = "", grace_note
    return grace_note(c, char)
