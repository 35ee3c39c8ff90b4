"""Encodes a text word by word, and remembers the tokens of every word.

Tokenizers cut a text before they encode it, and nearly all of them cut it at a blank between two
words; SentencePiece's does not, but its vocabulary has no token that reaches over such a blank. So
the tokens of a text are those of its words, one after another, and a word that came before need
not be encoded again. `WordEncoder.of` refuses a tokenizer for which that is not so, and of what
it encodes, a part is encoded as a whole, too, and compared.

Words here are what stands between single blanks: they keep their punctuation and line ends. A
blank beside other white space, or at an end of the text, belongs to its word.
"""

from __future__ import annotations

import json
import operator
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import TypeAlias

from tokenizers import Tokenizer

Ids: TypeAlias = "array[int]"
"""Token ids, of C's type `int` (32 bits)."""

MAX_WORDS = 1 << 18
"""Remembered at most, about 40 MB; then all are forgotten."""

MAX_REMEMBERED_CHARS = 64
"""Longer words hardly come again. A paragraph of Chinese is one word here."""

TEXTS_PER_COMPARISON = 1024

_INNER = "\0"
"""Stands for a blank that belongs to a word."""
_OTHER_SPACE = re.compile(r"[^\S \n]")
_BESIDE_SPACE = re.compile(r" (?=\s)|(?<=\s) ")
_PLAIN_SPACE = {"Prepend", "Replace"}
_META = "\u2581"
_SAMPLES = (
    "a", "Word", "ends.", "it's", "'s", "42", "3rd", "|:", "(3abc", "^F,", "“q”", "é", "ß3",
    "中文", "A2|\nB", "x\n\ny", "\tz", "-", "...", "a_b", "</", "🎵", "İ",
)  # fmt: skip
"""Words of all kinds, whose tokens in pairs are compared with those that they have alone."""


class WordEncoder:
    """The words of one tokenizer, with their tokens."""

    def __init__(self, core: Tokenizer, before_word: str) -> None:
        """Begin without words; see `of`.

        Args:
            core: without truncation and padding.
            before_word: what a word needs before it to be encoded as in the middle of a text.
        """
        self._core = core
        self._before = before_word
        self._words: dict[str, bytes] = {}
        self._firsts: dict[str, Ids] = {}
        self._num_texts = 0
        added = sorted({token.content for token in core.get_added_tokens_decoder().values()})
        self._special = re.compile("|".join(map(re.escape, [*added, _INNER])))

    @classmethod
    def of(cls, core: Tokenizer) -> WordEncoder | None:
        """Return the encoder of a tokenizer, or None when its tokens may depend on other words."""
        settings = json.loads(core.to_str())
        model, normalizer = settings["model"], settings["normalizer"]
        if model["type"] != "BPE" or model["dropout"]:
            return None
        steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
        if not {step["type"] for step in steps} <= _PLAIN_SPACE:
            return None
        if settings["pre_tokenizer"] is None and _reaches_over_blanks(model["vocab"]):
            return None
        for before in (" ", ""):
            made = cls(core, before)
            if made._agrees():
                return made
        return None

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the tokens of texts: those of `core`, without tokens that it would add.

        Cost: linear in the text; a text that spells out a special token is encoded as a whole.
        """
        made = [self._encode(text) for text in texts]
        first = -self._num_texts % TEXTS_PER_COMPARISON
        for text, ids in islice(zip(texts, made, strict=True), first, None, TEXTS_PER_COMPARISON):
            assert ids == next(plain(self._core, [text])), f"words change the tokens of {text!r}"
        self._num_texts += len(texts)
        return made

    def _encode(self, text: str) -> Ids:
        if not text or self._special.search(text):
            return next(plain(self._core, [text]))
        first, *words = _split(text)
        head = self._first(first)
        try:
            head.frombytes(b"".join(map(self._words.__getitem__, words)))
        except KeyError:
            known = self._learned(words)
            head.frombytes(b"".join(map(known.__getitem__, words)))
        return head

    def _first(self, word: str) -> Ids:
        """Return the tokens of a word that begins a text; it has no blank before it."""
        if word in self._firsts:
            return self._firsts[word][:]
        ids = next(plain(self._core, [word.replace(_INNER, " ")]))
        if len(word) <= MAX_REMEMBERED_CHARS:
            self._firsts[word] = ids[:]
        return ids

    def _learned(self, words: Sequence[str]) -> dict[str, bytes]:
        """Return the tokens of words, and remember those that may come again."""
        if len(self._words) > MAX_WORDS:
            self._words.clear()
            self._firsts.clear()
        known = {word: self._words[word] for word in words if word in self._words}
        new = list(dict.fromkeys(word for word in words if word not in known))
        texts = [self._before + word.replace(_INNER, " ") for word in new]
        for word, ids in zip(new, plain(self._core, texts), strict=True):
            known[word] = ids.tobytes()
            if len(word) <= MAX_REMEMBERED_CHARS:
                self._words[word] = known[word]
        return known

    def _agrees(self) -> bool:
        """Say whether words in pairs have the tokens that they have alone."""
        texts = [f"{left} {right}" for left, right in product(_SAMPLES, repeat=2)]
        texts += [f"{left}{space}{right}" for left in _SAMPLES for right in _SAMPLES[:12]
                  for space in ("  ", "\n ", " \n", " x ", "\t ")]  # fmt: skip
        return all(map(operator.eq, map(self._encode, texts), plain(self._core, texts)))


def plain(core: Tokenizer, texts: Sequence[str]) -> Iterator[Ids]:
    """Yield the tokens of whole texts."""
    for encoding in core.encode_batch_fast(texts, add_special_tokens=False):
        yield array("i", encoding.ids)


def _split(text: str) -> list[str]:
    """Cut a text at the single blanks between its words."""
    if _OTHER_SPACE.search(text):
        text = _BESIDE_SPACE.sub(_INNER, text)
    else:  # the same, many times faster
        text = text.replace("  ", _INNER * 2).replace(f"{_INNER} ", _INNER * 2)
        text = text.replace("\n ", f"\n{_INNER}").replace(" \n", f"{_INNER}\n")
    if text[0] == " " or text[-1] == " ":
        text = re.sub(r"\A | \Z", _INNER, text)
    return text.split(" ")


def _reaches_over_blanks(vocabulary: Iterable[str]) -> bool:
    """Say whether a token holds a blank behind something else."""
    return any(_META in token.lstrip(_META) for token in vocabulary)
