"""The rules of the static part of ABC: tokens, and how they make a tune."""

from __future__ import annotations

from musicllm.music.grammar.static.notation import (
    Chars,
    Expr,
    Rule,
    chars,
    either,
    many,
    maybe,
    no_chars,
    some,
    up_to,
)

_DIGIT = chars("0-9")
_REST_OF_LINE = some(no_chars("\n"))
_BLANKS = some(" ")
_TIE = maybe("-")
_WORD = maybe(up_to(8, chars("a-z")))

_FIELDS: dict[str, Expr] = {
    "number-field": "X:" + _BLANKS + up_to(6, _DIGIT) + _BLANKS,
    "text-field": chars("A-D", "F-I", "N-W", "Z", "m", "r", "s", "w", "+") + ":" + _REST_OF_LINE,
    "metre-field": "M:" + _BLANKS + Rule("metre") + _BLANKS,
    "unit-field": "L:" + _BLANKS + Rule("unit-length") + _BLANKS,
    "key-field": "K:" + _BLANKS + Rule("key") + _BLANKS,
    "body-field": chars("I", "N", "P-R", "T-W", "m", "r", "s", "w") + ":" + _REST_OF_LINE,
    "inline-field": "["
    + (
        ("M:" + _BLANKS + Rule("metre"))
        | ("L:" + _BLANKS + Rule("unit-length"))
        | ("K:" + _BLANKS + Rule("key"))
        | (chars("I", "N", "P-R", "V", "r") + ":" + many(no_chars("]", "\n", "|")))
    )
    + "]",
    "metre": ("C" + maybe("|"))
    | "none"
    | (Rule("beats") + some("+" + Rule("beats")) + "/" + Rule("unit")),
    "beats": chars("1-9") + maybe(_DIGIT),
    "unit-length": "1" + maybe("/" + Rule("unit")),
    "unit": chars("1", "2", "4", "8") | "16" | "32" | "64",
    "key": "none"
    | ((either("HP", "Hp") | Rule("tonic")) + some(many(" ") + (Rule("changed") | Rule("staff")))),
    "tonic": chars("A-G") + maybe(chars("#", "b")) + maybe(_BLANKS + Rule("mode")),
    "mode": (chars("m", "M") + maybe(either("aj", "in", "ix") + _WORD))
    | (
        (chars("D", "d") + "or")
        | (chars("P", "p") + "hr")
        | (chars("L", "l") + either("yd", "oc"))
        | (chars("I", "i") + "on")
        | (chars("A", "a") + "eo")
    )
    + _WORD,
    "changed": Rule("accidental") + chars("A-G", "a-g"),
    "staff": chars("a-z") + some(chars("a-z", "0-9", "+", "=", "-")),
}
"""Fields, without the end of their line."""

_MUSIC: dict[str, Expr] = {
    "note": Rule("pitch") + maybe(Rule("length")) + _TIE,
    "pitch": maybe(Rule("accidental")) + chars("A-G", "a-g") + some(chars("'", ",")),
    "accidental": ("^" + maybe("^")) | ("_" + maybe("_")) | "=",
    "length": (Rule("count") + maybe(Rule("division"))) | Rule("division"),
    "division": "/" + maybe(many("/") | Rule("count")),
    "count": chars("1-9") + maybe(up_to(2, _DIGIT)),
    "rest": (chars("x", "z") + maybe(Rule("length"))) | ("Z" + maybe(Rule("count"))),
    "chord": "["
    + many((Rule("note") | Rule("rest")) + _BLANKS)
    + "]"
    + maybe(Rule("length"))
    + _TIE,
    "grace": "{" + maybe("/") + _BLANKS + many(Rule("note") + _BLANKS) + "}",
    "quoted": '"' + many(no_chars('"', "\n")) + '"',
    "decoration": chars("H", "L", "M", "P", "S", "T", "u", "v", "~", ".")
    | ("!" + many(chars("A-Z", "a-z", "0-9", "<", ">", "(", ")", "+", ".")) + "!"),
    "tuplet": "("
    + chars("2-9")
    + maybe(":" + maybe(chars("1-9")) + maybe(":" + maybe(Rule("count")))),
    "broken": up_to(3, ">") | up_to(3, "<"),
    "stroke": (maybe(":") + "|" + maybe(chars("|", "]")) + maybe(":" + maybe("|" + maybe(":"))))
    | ("::" + maybe("|"))
    | ("[|" + maybe("]") + maybe(":")),
    "ending": chars("1-9") + some(chars(",", "-") + chars("1-9")),
    "bracket-ending": "[" + Rule("ending"),
    "blanks": many(chars(" ", "`")),
    "newline": Chars(("\n",), is_negated=False),
}
"""The tokens of a line of music."""

TOKENS = {**_FIELDS, **_MUSIC}
"""What reads as one word: no token refers to what is not a token.

llguidance reads them greedily and never goes back, so no token may begin like a longer one that the
next characters can refuse: `|[1` is two, since a chord may follow `|`.
"""

_BLANK = maybe(Rule("blanks"))
_GAP = maybe(Rule("gap"))

STRUCTURE: dict[str, Expr] = {
    "tune": Rule("header") + Rule("body"),
    "header": Rule("number-field")
    + Rule("newline")
    + some(Rule("header-field") + Rule("newline"))
    + Rule("key-field")
    + Rule("newline"),
    "header-field": Rule("text-field") | Rule("metre-field") | Rule("unit-field"),
    "body": some(Rule("field") + Rule("newline"))
    + _BLANK
    + maybe(Rule("bar-line"))
    + many(Rule("bar")),
    "field": Rule("body-field") | Rule("metre-field") | Rule("unit-field") | Rule("key-field"),
    "bar": many(Rule("beat")) + some(Rule("mark") + _BLANK) + Rule("bar-line"),
    "bar-line": many(((Rule("stroke") + maybe(Rule("ending"))) | Rule("bracket-ending")) + _GAP),
    "beat": Rule("event")
    + some(Rule("broken") + _BLANK + some(chars(")", "-") + _BLANK) + Rule("event")),
    "event": some((Rule("mark") | Rule("tuplet") | "(") + _BLANK)
    + (Rule("note") | Rule("chord") | Rule("rest"))
    + _GAP
    + some(")" + _GAP),
    "mark": Rule("quoted") | Rule("grace") | Rule("decoration") | Rule("inline-field"),
    "gap": (Rule("blanks") + maybe(Rule("line-break"))) | Rule("line-break"),
    "line-break": maybe("\\" + _BLANK)
    + Rule("newline")
    + some(Rule("field") + Rule("newline"))
    + _BLANK,
}
"""How tokens make a tune."""
