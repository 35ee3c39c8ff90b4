"""Encodes a text word by word, and remembers the tokens of every word.

Tokenizers cut a text before they encode it, and nearly all of them cut it at a blank between two
words and at the start of a line; SentencePiece's does not, but its vocabulary has no token that
reaches over such a place. So the tokens of a text are those of its words, one after another, and a
word that came before need not be encoded again. `WordEncoder.of` refuses a tokenizer for which
that is not so, and of what it encodes, a part is encoded as a whole, too, and compared.

Words here are what stands between single blanks and line feeds: they keep their punctuation and
the line feeds behind them. White space beside other white space belongs to a word.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise, product
from typing import TypeAlias

import numpy as np
from tokenizers import Tokenizer

Ids: TypeAlias = "array[int]"
"""Token ids, of C's type `int` (32 bits)."""

MAX_WORDS = 1 << 17
"""Remembered since the last clearing, and as many from before it: about 50 MB together."""

MAX_REMEMBERED_CHARS = 48
"""Longer words hardly come again. A paragraph of Chinese is one word here."""

TEXTS_PER_COMPARISON = 1024

_BLANK, _FEED = "\0", "\1"
"""Stand for a blank and a line feed inside a word."""
_LINE, _TEXT = "\2", "\3"
"""Stand before a word that begins a line, and before one that begins the text."""

_OTHER_SPACE = re.compile(r"[^\S \n]")
_BLANK_BESIDE_SPACE = re.compile(r" (?=\s)|(?<=\s) |\A | \Z")
_FEED_BESIDE_SPACE = re.compile(r"\n(?=\s)|(?<=\s)\n")
_PLAIN_STEPS = {"Prepend", "Replace"}
_META = "\u2581"
"""How SentencePiece writes a blank."""
_SAMPLES = (
    "a", "Word", "ends.", "it's", "'s", "42", "3rd", "|:", "(3abc", "^F,", "“q”", "é", "ß3",
    "中文", "x\n\n", "\tz", "-", "...", "a_b", "</", "🎵", "İ",
)  # fmt: skip
"""Words of all kinds, whose tokens in pairs are compared with those that they have alone."""


class Words(dict[str, bytes]):
    """Words and their tokens, in two generations; notes the words that it is asked for in vain."""

    def __init__(self) -> None:
        super().__init__()
        self._older: dict[str, bytes] = {}
        self.unknown: dict[str, None] = {}
        self.num_unknown = 0

    def __missing__(self, word: str) -> bytes:
        """Look among the older words; an unknown one has no tokens for now."""
        ids = self._older.get(word)
        if ids is None:
            self.unknown[word] = None
            self.num_unknown += 1
            return b""
        self[word] = ids
        return ids

    def settle(self, new: Iterable[str]) -> None:
        """Forget new words that hardly come again; begin a generation if it is time."""
        for word in new:
            if len(word) > MAX_REMEMBERED_CHARS:
                del self[word]
        if len(self) > MAX_WORDS:
            self._older = dict(self)
            self.clear()


class WordEncoder:
    """The words of one tokenizer, with their tokens."""

    def __init__(self, core: Tokenizer, border: str, before_word: str) -> None:
        """Begin without words; see `of`.

        Args:
            core: without truncation and padding.
            border: a special token.
            before_word: what a word needs before it to be encoded as in the middle of a line.
        """
        self._core = core
        self._before = before_word
        self._words = Words()
        self._num_texts = 0
        self._border = border
        self._border_id = core.token_to_id(border)
        self._num_line_feed = len(next(plain(core, [f"{border}\n"]))) - 1
        added = sorted({token.content for token in core.get_added_tokens_decoder().values()})
        self._special = re.compile("|".join(map(re.escape, [*added, _BLANK, _FEED, _LINE, _TEXT])))

    @classmethod
    def of(cls, core: Tokenizer) -> WordEncoder | None:
        """Return the encoder of a tokenizer, or None when its tokens may depend on other words."""
        settings = json.loads(core.to_str())
        model, normalizer = settings["model"], settings["normalizer"]
        if model["type"] != "BPE" or model["dropout"]:
            return None
        steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
        if not {step["type"] for step in steps} <= _PLAIN_STEPS:
            return None
        if settings["pre_tokenizer"] is None and _reaches_over_borders(model["vocab"]):
            return None
        special = [
            token.content for token in core.get_added_tokens_decoder().values() if token.special
        ]
        if not special:
            return None
        made = (cls(core, special[0], before) for before in (" ", ""))
        return next((encoder for encoder in made if encoder._agrees()), None)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the tokens of texts: those of `core`, without tokens that it would add.

        Cost: linear in the text; a text that spells out a special token is encoded as a whole.
        """
        made = self._encode(texts)
        first = -self._num_texts % TEXTS_PER_COMPARISON
        for text, ids in islice(zip(texts, made, strict=True), first, None, TEXTS_PER_COMPARISON):
            assert ids == next(plain(self._core, [text])), f"words change the tokens of {text!r}"
        self._num_texts += len(texts)
        return made

    def _encode(self, texts: Sequence[str]) -> list[Ids]:
        cut = {i: _split(t) for i, t in enumerate(texts) if t and not self._special.search(t)}
        whole = [i for i in range(len(texts)) if i not in cut]
        made = dict(zip(whole, plain(self._core, [texts[i] for i in whole]), strict=True))
        unfinished = []
        for i, words in cut.items():
            num_unknown = self._words.num_unknown
            made[i] = self._joined(words)
            if self._words.num_unknown > num_unknown:
                unfinished.append(i)
        new = self._learn()
        made |= {i: self._joined(cut[i]) for i in unfinished}
        self._words.settle(new)
        return [made[i] for i in range(len(texts))]

    def _joined(self, words: Sequence[str]) -> Ids:
        return array("i", b"".join(map(self._words.__getitem__, words)))

    def _learn(self) -> list[str]:
        """Encode the words that were not known, and return them."""
        new, self._words.unknown = list(self._words.unknown), {}
        first = [word for word in new if word[0] == _TEXT]
        inner = [word for word in new if word[0] != _TEXT]
        heads = (ids.tobytes() for ids in plain(self._core, [_spelled(word[1:]) for word in first]))
        self._words.update(zip(first, heads, strict=True))
        self._words.update(zip(inner, self._alone(inner), strict=True))
        return new

    def _alone(self, words: Sequence[str]) -> Iterator[bytes]:
        """Yield the tokens of words as they are inside a text.

        They are encoded as one text, with special tokens between them, at which tokenizers cut.
        """
        text = self._border.join(["", *map(self._in_place, words), ""])
        ids = np.array(next(plain(self._core, [text])), np.int32)
        borders = np.flatnonzero(ids == self._border_id)
        assert len(borders) == len(words) + 1, "a special token is one token"
        raw, stops = ids.tobytes(), (4 * borders).tolist()
        for word, (start, stop) in zip(words, pairwise(stops), strict=True):
            skipped = self._num_line_feed if word[0] == _LINE else 0
            yield raw[start + 4 + 4 * skipped : stop]

    def _in_place(self, word: str) -> str:
        is_first = word[0] == _LINE
        return f"\n{_spelled(word[1:])}" if is_first else self._before + _spelled(word)

    def _agrees(self) -> bool:
        """Say whether words in pairs have the tokens that they have alone."""
        spaces = (" ", "\n", "  ", "\n ", " \n", "\n\n", "\n\n\n", " x ", "\t ", "\n\t  ", "\n|")
        texts = list(map("".join, product(_SAMPLES, spaces, _SAMPLES)))
        return self._encode(texts) == list(plain(self._core, texts))


def plain(core: Tokenizer, texts: Sequence[str]) -> Iterator[Ids]:
    """Yield the tokens of whole texts."""
    for encoding in core.encode_batch_fast(texts, add_special_tokens=False):
        yield array("i", encoding.ids)


def _split(text: str) -> list[str]:
    """Cut a text at single blanks between words, and before words that begin a line."""
    if _OTHER_SPACE.search(text) or text[0] == " " or text[-1] == " ":
        text = _FEED_BESIDE_SPACE.sub(_FEED, _BLANK_BESIDE_SPACE.sub(_BLANK, text))
    else:  # the same, many times faster
        text = text.replace("  ", _BLANK * 2).replace(f"{_BLANK} ", _BLANK * 2)
        text = text.replace("\n ", f"\n{_BLANK}").replace(" \n", f"{_BLANK}\n")
    text = text.replace("\n\n", _FEED * 2).replace(f"{_FEED}\n", _FEED * 2)
    text = text.replace(f"\n{_BLANK}", _FEED + _BLANK).replace(f"{_BLANK}\n", _BLANK + _FEED)
    return (_TEXT + text.replace("\n", f"\n {_LINE}")).split(" ")


def _spelled(word: str) -> str:
    """Return a word with its blanks and line feeds."""
    return word.replace(_BLANK, " ").replace(_FEED, "\n")


def _reaches_over_borders(vocabulary: Iterable[str]) -> bool:
    """Say whether a token holds a blank behind something else, or something behind a line feed."""
    return any(
        _META in token.lstrip(_META) or token.rstrip("\n").count("\n") for token in vocabulary
    )
