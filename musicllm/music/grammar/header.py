r"""The header of a tune, from the digits after `X:` to the end of the `K:` line.

One field a line, each once (titles and other texts: up to 20): `X:` first, `K:` last, between
them `M:`, `L:`, `Q:` and texts in any order. Values of `M:`, `L:` and `K:` are those of `metres`;
`Q:` is `1/4=120` or `120`. A text has no colon, `%`, `\`, `<` or `&`, and up to 200 characters.
"""

from __future__ import annotations

from musicllm.music.abc.keys import Key
from musicllm.music.grammar.cursor import NO_BARS, Cursor
from musicllm.music.grammar.metres import Metre, key_words, metre, metre_words, unit_words
from musicllm.music.grammar.trie import ALL, build

TEXT_FIELDS = frozenset("ABCDFGNORSTZ")
MAX_FIELDS = 20
MAX_TEXT_CHARS = 200
MAX_NUMBER_CHARS = 8
_NOT_IN_TEXT = frozenset("%\\<:：&")
TEMPO = build(
    (f"{beat}{speed}", None)
    for beat in ("", *(f"{n}/{unit}=" for n in (1, 3) for unit in (2, 4, 8, 16)))
    for speed in range(20, 400)
)


def number(c: Cursor, char: str) -> bool:
    """Read the number of the tune, of which the first digit was read."""
    if char == "\n":
        c.step, c.seen = letter, "X"
        return True
    c.word += "1"
    return char in "0123456789" and len(c.word) < MAX_NUMBER_CHARS


def letter(c: Cursor, char: str) -> bool:
    """Read the letter of a field."""
    if char in "MLQ":
        is_new = char not in c.seen
    elif char == "K":
        is_new = "M" in c.seen or not c.tables.needs_metre
    else:
        is_new = char in TEXT_FIELDS and c.num_fields < MAX_FIELDS
        c.num_fields += 1
    c.field, c.step = char, colon
    return is_new


def colon(c: Cursor, char: str) -> bool:
    """Read the colon after the letter of a field."""
    c.step = value
    return char == ":"


def value(c: Cursor, char: str) -> bool:
    """Read the first character of a value, or the blank before it."""
    field = c.field
    if field in TEXT_FIELDS:
        c.word, c.step = "", text
        return text(c, char)
    c.seen += field
    c.allowed = ALL
    if field == "M":
        c.node, c.step, c.allowed = metre_words(), metre_value, c.tables.metres
    elif field == "L":
        c.node, c.step = unit_words(), unit_value
    elif field == "Q":
        c.node, c.step = TEMPO, tempo
    else:
        c.node, c.step, c.allowed = key_words(), key_value, c.tables.keys
    return True if char == " " else c.step(c, char)


def text(c: Cursor, char: str) -> bool:
    """Read a text."""
    if char == "\n":
        c.step = letter
        return True
    c.word += char
    return char not in _NOT_IN_TEXT and char.isprintable() and len(c.word) < MAX_TEXT_CHARS


def follow(c: Cursor, char: str) -> bool:
    """Read one more character of a word in `node`; whether an allowed word starts so."""
    node = c.node.next.get(char)
    if node is None or not node.reach & c.allowed:
        return False
    c.node = node
    return True


def metre_value(c: Cursor, char: str) -> bool:
    """Read the value of `M:`."""
    if char != "\n":
        return follow(c, char)
    if not c.node.bit & c.allowed:
        return False
    assert isinstance(c.node.value, Metre), "words of M: are metres"
    c.metre, c.step = c.node.value, letter
    return True


def unit_value(c: Cursor, char: str) -> bool:
    """Read the value of `L:`."""
    if char != "\n":
        return follow(c, char)
    if not c.node.bit:
        return False
    assert isinstance(c.node.value, int), "words of L: are grains"
    c.unit, c.step = c.node.value, letter
    return True


def tempo(c: Cursor, char: str) -> bool:
    """Read the value of `Q:`."""
    if char != "\n":
        return follow(c, char)
    c.step = letter
    return bool(c.node.bit)


def key_value(c: Cursor, char: str) -> bool:
    """Read the value of `K:`, after which the music starts."""
    if char != "\n":
        return follow(c, char)
    if not c.node.bit & c.allowed:
        return False
    assert isinstance(c.node.value, Key), "words of K: are keys"
    start_music(c, c.node.value)
    return True


def start_music(c: Cursor, key: Key) -> None:
    """Set what is in force at the first note."""
    if "M" not in c.seen:
        c.metre = metre("")
    if "L" not in c.seen:
        c.unit = c.metre.unit
    c.pos, c.debt, c.opens, c.variant = 0, 0, True, 0
    c.tuplet, c.broken, c.last, c.can_tie, c.needs, c.slurs = None, None, 0, False, False, 0
    c.bars, c.has_notes, c.num_chars, c.bar_chars, c.line_chars = NO_BARS, False, 0, 0, 0
    c.num_chords = 0
    c.tables.plan.start(c)
    if c.tables.pitches:
        c.tables.pitches.start(c, key)
    c.step = c.tables.line
