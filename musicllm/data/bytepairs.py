"""Encodes texts with kitoken, three times as fast as tokenizers, where both give the same tokens.

tokenizers merges by a list of pairs; kitoken merges any two neighbours that together are a token,
the first token of its list before others. That is the same when the list of pairs makes one token
after another, and every token comes out of its own text. For until two neighbours are merged,
nothing was merged over the borders of the stretch that they fill, so it looks as the token's own
text does just before its last merge, which is in the list.

`BytePairs.of` refuses a tokenizer for which that is not so, one with other steps that kitoken may
take differently, and one that differs on a sample. Of what is encoded, a part is encoded by
tokenizers, too, and compared. Texts that spell out an added token are left to tokenizers.
"""

from __future__ import annotations

import random
import re
import sys
import unicodedata
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import ne
from typing import Any, TypeAlias

import orjson
from kitoken import Kitoken
from tokenizers import Tokenizer, models

from musicllm.errors import StageError

Ids: TypeAlias = "array[int]"
"""Token ids, of C's type `int` (32 bits)."""
Step: TypeAlias = Mapping[str, Any]

TEXTS_PER_COMPARISON = 1024

MOST_CHARS = 50_000
"""Of a text that is cut by a pattern that looks ahead: kitoken's process ends abruptly when such a
pattern runs over about a million characters of white space."""

_BLANK = "\u2581"
"""How SentencePiece writes it."""
_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""How `ByteLevel` cuts a text; what kitoken has for it treats white space differently."""
_WORDS = rf"{_BLANK}*[\p{{L}}\p{{M}}]+|{_BLANK}*[^{_BLANK}\p{{L}}\p{{M}}]+|{_BLANK}+"
"""Letters, or something else, with the blanks before them."""
_BETWEEN_BLANKS = rf"{_BLANK}*[^{_BLANK}]+|{_BLANK}+"

_SAMPLE_TEXTS = 300
_SAMPLE = (
    *("a", "Word", "ends.", "it's", "'s", "42", "3rd", "|:", "(3abc", "^F,", "“q”", "é", "ß3"),
    *("中文", "-", "...", "a_b", "</", "🎵", "İ", "e\u0301", "👩\u200d👧", "Ⅻ", "١٢", "\0"),
    *("x" * 250, "中" * 250, "=" * 250, "ab" * 500, " " * 250, "\n" * 20, "DON'T", "1234"),
    *(" ", " ", " ", " ", " ", " ", " ", " ", "  ", "   ", "\n", "\n", "\n ", " \n", "\n\n", "\t"),
    *("\r\n", "\u3000", "\xa0", "\u2028", "\x85", "\x0b", "\u200b", "\ufeff", "<0x0A>", _BLANK),
)  # fmt: skip
"""Pieces of texts on which both must agree."""


class BytePairs:
    """A byte-pair tokenizer as kitoken runs it."""

    def __init__(
        self, core: Tokenizer, quick: Kitoken, added: Collection[str], most_chars: int
    ) -> None:
        """See `of`."""
        self._core = core
        self._quick = quick
        self._most_chars = most_chars
        self._num_texts = 0
        self._added = re.compile("|".join(map(re.escape, sorted(added))) or "(?!)")
        self._first_of_added = {token[0] for token in added}

    @classmethod
    def of(cls, core: Tokenizer) -> BytePairs | None:
        """Return the encoder of a tokenizer, or None when kitoken may give it other tokens.

        Cost: a third of a second for 32,000 tokens.

        Args:
            core: without truncation and padding.
        """
        settings = orjson.loads(core.to_str()) | {"post_processor": None, "decoder": None}
        model, normalizer = settings["model"], settings["normalizer"]
        if model["type"] != "BPE" or model["dropout"]:
            return None
        added = {token.content for token in core.get_added_tokens_decoder().values()}
        if normalizer and any(set(token) & {" ", _BLANK} for token in added):
            return None  # another text may become this token
        others = added | _BYTES if model["byte_fallback"] else added
        tokens = [token for token in model["vocab"] if token not in others]
        cuts = _cuts(normalizer, settings["pre_tokenizer"], tokens)
        if cuts is None or not _is_settled(core, model, tokens):
            return None
        split = [{"Pattern": {"pattern": {"Regex": cut}, "behavior": "Isolate"}} for cut in cuts]
        try:
            quick = Kitoken.from_tokenizers(orjson.dumps(settings))
            quick.set_config(quick.config() | {"split": split})
        except ValueError:  # there is something that kitoken does not know
            return None
        most_chars = MOST_CHARS if any("(?" in cut for cut in cuts) else sys.maxsize
        pairs = cls(core, quick, added, most_chars)
        return pairs if pairs._agrees() else None

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the tokens of texts: those of `core`, without tokens that it would add.

        Cost: linear in the text; memory is that of the tokens, and ten times that of one text's.

        Raises:
            StageError: kitoken gives other tokens for one of the texts that are compared.
        """
        slow = {i: text for i, text in enumerate(texts) if self._needs_core(text)}
        encodings = [
            array("i") if i in slow else self._encode_text(text) for i, text in enumerate(texts)
        ]
        for i, ids in zip(slow, plain(self._core, list(slow.values())), strict=True):
            encodings[i] = ids
        first = -self._num_texts % TEXTS_PER_COMPARISON
        for i in range(first, len(texts), TEXTS_PER_COMPARISON):
            expected = next(plain(self._core, [texts[i]]))
            if encodings[i] != expected:
                raise StageError(
                    f"kitoken changes the tokens of {texts[i]!r}, which tokenizers gives other "
                    "ones; install the version of kitoken in constraints.txt, and report the text"
                )
        self._num_texts += len(texts)
        return encodings

    def _needs_core(self, text: str) -> bool:
        """Whether only tokenizers encodes this text as it should be."""
        if len(text) > self._most_chars:
            return True
        may_spell = any(map(text.__contains__, self._first_of_added))
        return may_spell and self._added.search(text) is not None

    def _encode_text(self, text: str) -> Ids:
        return array("i", self._quick.encode(text, False))

    def _agrees(self) -> bool:
        """Say whether the tokens of a sample are the same."""
        draw = random.Random(0)
        texts = [
            "".join(draw.choices(_SAMPLE, k=draw.randint(0, 30))) for _ in range(_SAMPLE_TEXTS)
        ]
        texts += ["", *_SAMPLE, "".join(map(chr, range(0x3000)))]
        texts = [text for text in texts if not self._needs_core(text)]
        return list(map(self._encode_text, texts)) == list(plain(self._core, texts))


def plain(core: Tokenizer, texts: Sequence[str]) -> Iterator[Ids]:
    """Yield the tokens of whole texts."""
    for encoding in core.encode_batch_fast(texts, add_special_tokens=False):
        yield array("i", encoding.ids)


def _is_settled(core: Tokenizer, model: Step, tokens: Sequence[str]) -> bool:
    """Say whether the tokens alone, in the order of their merges, tell how a text is merged."""
    merged = ["".join(pair) for pair in model["merges"]]
    order = dict.fromkeys(merged)
    if model["continuing_subword_prefix"] or model["end_of_word_suffix"]:
        return False
    if sum(map(ne, merged, merged[1:])) + 1 != len(order):
        return False
    if not all(len(token) == 1 or token in order for token in tokens):
        return False
    bare = core.model
    if model["ignore_merges"]:
        bare = models.BPE(model["vocab"], list(map(tuple, model["merges"])))
    return all(len(bare.tokenize(token)) == 1 for token in order)


def _cuts(
    normalizer: Step | None, splitter: Step | None, tokens: Sequence[str]
) -> list[str] | None:
    """Return patterns of the pieces of a text, or None when kitoken may do something else."""
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    if not {step["type"] for step in steps} <= {"Prepend", "Replace"}:
        return None
    splitters = [] if splitter is None else splitter.get("pretokenizers", [splitter])
    patterns: list[str] = []
    for step in splitters:
        match step:
            case {"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated"} if not step[
                "invert"
            ]:
                patterns.append(cut)
            case {"type": "Digits", "individual_digits": True}:
                patterns.append(r"\p{N}")
            case {"type": "ByteLevel"} if len(splitters) == 1 or not step["add_prefix_space"]:
                patterns += [_GPT2] * step["use_regex"]
            case {"type": "Metaspace", "replacement": "\u2581", "split": False}:
                pass
            case _:
                return None
    is_in_bytes = any(step["type"] == "ByteLevel" for step in splitters)
    return patterns if patterns or is_in_bytes else _harmless_cuts(tokens)


def _harmless_cuts(tokens: Sequence[str]) -> list[str]:
    """Return a pattern that cuts a text where no token reaches over the border.

    tokenizers does not cut such a text; short pieces are merged in less time.
    """
    kinds = {"".join(map(_kind, token)) for token in tokens}
    if all(re.fullmatch("b*l+|b*o+|b+", kind) for kind in kinds):
        return [_WORDS]
    if all(re.fullmatch("b*[lo]+|b+", kind) for kind in kinds):
        return [_BETWEEN_BLANKS]
    return []


def _kind(character: str) -> str:
    """Return `b` for a blank, `l` for a letter or its mark, `o` for others."""
    if character == _BLANK:
        return "b"
    return "l" if unicodedata.category(character)[0] in "LM" else "o"
