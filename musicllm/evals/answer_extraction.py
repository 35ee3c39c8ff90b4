r"""Reads which option a written answer states; scores nothing.

The rules, in this order; the first that finds a letter decides:

1. The answer, or its first line, is the text of an option, which is no letter A to D.
2. The last statement: `the answer is B`, `option (B) is correct`, `I would choose B`, `\boxed{B}`,
   `so, B.`, and `答案是B`, `故选B`, `B正确` and the like. Denied ones (`is not B`, `不选B`) and
   those of several letters (`A or B`) state nothing.
3. The first word: `B`, `(B)`, `B. Dominant`, `b)`, `Option B`.
4. The text of an option: the only one that occurs without being denied, or the last that the answer
   `is`.
5. The only letter in brackets or after `option` that is not denied.

Letters are notes as well: those of `C major`, `B-flat`, `D.C.` and `A和弦` are no options. Where
nothing else is said, `the answer is C` means option C, even if C is the text of another one. What
follows an answer as a whole further question with its options and a cue is not read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from musicllm.evals.questions import LETTERS

_NOTE = (
    r"[\s-]*(?:(?i:sharp|flat|natural|major|minor|maj|min|dim|aug|ionian|dorian|phrygian|lydian"
    r"|mixolydian|aeolian|locrian|chord|string|clef)\b|大调|小调|大三|小三|调|和弦|音)"
)
_SEVERAL = r"[)\]]*\s*(?:,|/|&|、|和|或|\b(?:or|and)\b)\s*\(?[A-D]\b(?!\s*(?:is|are)\b)"
_LETTER = (
    r"[\s\"'“‘「『【\[(<]{0,8}(?P<letter>"
    rf"[A-D](?![A-Za-z0-9#♯♭♮]|'s|\.[A-Za-z]|{_NOTE}|{_SEVERAL})"
    r"|[a-d](?=\s*(?:[.)\],;:!]|\n|$)))"
)
_CLOSED = r"[\"'”’」』】\])>]*"
_END = rf"(?={_CLOSED}\s*(?:[.,;:!?。]|\n|$))"
_OPTION = r"(?:(?i:the\s+)?(?i:option|choice|answer|letter)\s*:?|选项)?"
_STATEMENTS = (
    # the correct answer to this question is therefore (B)
    r"(?i:\b(?:(?<!wrong )(?<!incorrect )(?:answer|option|choice|solution)|statement)\b"
    r"[^.\n?!,;:=]{0,40}?(?:\bis\b|\bbe\b|:|=|→|->)\s*:?\s*(?:\w+ly|thus|therefore)?,?\s*)"
    rf"{_OPTION}{_LETTER}",
    # option (B) is clearly the best answer
    rf"\b{_OPTION}{_LETTER}{_CLOSED}\s*(?i:is|would be|must be|seems|appears)\s+(?i:to be\s+)?"
    r"(?i:\w+ly\s+)?(?i:the\s+)?(?i:most\s+)?"
    r"(?i:correct|right|best|true|answer|accurate|appropriate)",
    # I would choose option B
    rf"\b(?i:choose|chose|pick|select|say|go with|going with|opt for)\s+{_OPTION}{_LETTER}",
    # so, it is B.
    r"\b(?i:so|thus|hence|therefore|wait|actually|no|it is|it's|it must be),?:?\s+"
    rf"(?i:it is|it's|it must be)?\s*{_OPTION}{_LETTER}{_END}",
    rf"\\boxed\s*\{{{_LETTER}",
    rf"答案\s*(?:应该|应当|应|就|选择|选|是|为|:|\s)+(?:选项)?{_LETTER}",
    rf"(?:正确|最佳|合适)的?(?:选项|说法|一项)\s*(?:应该|应当|应|就|是|为|:)+{_LETTER}",
    rf"选择?{_LETTER}(?!\s*(?:选?项)?\s*(?:是|为)?\s*(?:错|不))",
    rf"(?:选项)?{_LETTER}{_CLOSED}\s*(?:选项|项)?\s*(?:是|为|最)?\s*(?:正确|对的|合适|最佳)",
)
_STATED = tuple(map(re.compile, _STATEMENTS))
_FIRST = re.compile(rf"\W*{_OPTION}{_LETTER}{_CLOSED}(?=\s*(?:[.,:;!。]|\n|$|[-–—]\s)|(?<=\)))")
_MENTIONED = re.compile(r"(?:(?i:option|choice)\s+|选项|\()(?P<letter>[A-D])(?![A-Za-z0-9#♯♭♮])")
_SAID = re.compile(
    r"(?:(?:answer|option|choice|it)\b[^.]{0,40}\b(?:is|be):?|答案[是为:]+)[\s\"']*$"
)
_DENIED = re.compile(
    r"(?i:\b(?:not|never|neither|nor|cannot|rather than|instead of|eliminate|rule out|exclude)\b"
    r"|n't\b)|不|非|排除"
)
_REFUTED = re.compile(
    rf"{_CLOSED}\s*(?i:(?:is|are|seems)?\s*(?:not|wrong|incorrect|false)|isn't)|{_CLOSED}\s*[是为]?[错不]"
)
_CLAUSE = re.compile(r"[.,;:!?。\n]|\b(?:but|because|since|as)\b")
_FURTHER = re.compile(
    r"\n[^\n]*\n\s*A[.)][^\n]*\n\s*B[.)][^\n]*\n\s*C[.)][^\n]*\n\s*D[.)][^\n]*\n\s*(?:Answer|答案)\s*:"
)
_MARKUP = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_LOOK_BACK = 160
"""Characters before a letter or text that tell whether it is stated or denied."""

_WRITTEN_OUT = 3
"""Characters of an option that is recognised wherever it occurs; `2` or `G` may be anything."""


def extract(text: str, options: Sequence[str] = ()) -> str | None:
    """Return the letter that an answer states; None where it states none.

    Args:
        text: what a model wrote behind the prompt, in English or Chinese.
        options: the texts of A, B, C and D; an answer may repeat one instead of its letter.
    """
    text, letters = _plain(text), _letters(options)
    for whole in (_words(text), _words(text.partition("\n")[0])):
        if whole in letters and whole not in set(LETTERS.lower()):
            return letters[whole]
    further = _FURTHER.search(text)
    if further and (letter := _stated(text[: further.start()]) or _first(text)):
        return letter
    return _stated(text) or _first(text) or _repeated(text, letters) or _mentioned(text)


def _plain(text: str) -> str:
    """Return the text with ordinary brackets and stops, single blanks, and without markup."""
    text = _MARKUP.sub(r"\1", unicodedata.normalize("NFKC", text))
    text = re.sub(r"[^\S\n]+", " ", re.sub(r"[*`$]|__", "", text))
    return re.sub(r"(?: ?\n ?)+", lambda run: "\n" * min(2, run[0].count("\n")), text).strip()


def _stated(text: str) -> str | None:
    matches = [match for pattern in _STATED for match in pattern.finditer(text)]
    affirmed = [match for match in matches if not _is_denied(match, "letter")]
    last = max(affirmed, key=lambda match: match.start("letter"), default=None)
    return last["letter"].upper() if last else None


def _first(text: str) -> str | None:
    match = _FIRST.match(text)
    return match["letter"].upper() if match and not _is_denied(match, "letter") else None


def _mentioned(text: str) -> str | None:
    letters = {
        m["letter"].upper() for m in _MENTIONED.finditer(text) if not _is_denied(m, "letter")
    }
    return letters.pop() if len(letters) == 1 else None


def _is_denied(match: re.Match[str], group: str | int) -> bool:
    """Tell whether the clause up to a letter or text denies it, or what follows does."""
    clause = _CLAUSE.split(_before(match, group))[-1]
    return bool(_DENIED.search(clause) or _REFUTED.match(match.string, match.end(group)))


def _before(match: re.Match[str], group: str | int) -> str:
    start = match.start(group)
    return match.string[max(0, start - _LOOK_BACK) : start]


def _letters(options: Sequence[str]) -> dict[str, str]:
    """Return letters by the texts that only one option has."""
    texts = [_words(option) for option in options]
    named = zip(texts, LETTERS, strict=False)
    return {text: letter for text, letter in named if text and texts.count(text) == 1}


def _repeated(text: str, letters: Mapping[str, str]) -> str | None:
    if not letters:
        return None
    longest_first = sorted(letters, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    matches = [match for match in pattern.finditer(_words(text)) if not _is_denied(match, 0)]
    stated = [match for match in matches if _SAID.search(_before(match, 0))]
    spelt_out = [match for match in matches if len(match[0]) >= _WRITTEN_OUT]
    if len({match[0] for match in spelt_out}) == 1:
        return letters[spelt_out[0][0]]
    return letters[stated[-1][0]] if stated else None


def _words(text: str) -> str:
    """Return a text as it is compared: in small letters, with single blanks."""
    return " ".join(_plain(text).casefold().split()).strip(" .。\"'")
