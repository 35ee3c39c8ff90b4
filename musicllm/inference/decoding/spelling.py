"""What the tokens of a vocabulary spell, as bytes, whatever kind of tokenizer they are of.

Byte-level tokens (GPT-2's), SentencePiece's with a fallback to bytes, and plain pieces are told
apart by the tokenizer's decoder, and the result is compared with what it decodes.

A token's bytes may end inside a character, which a later token completes.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from musicllm.data.lexicon import Lexicon
from musicllm.errors import InputError

NOTES = "\n:|/[],'^_=0123456789ABCDEFGabcdefgzXKLMT"
"""Characters without which no tune can be written: each has to be a token of its own."""

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_BLANK = "▁"
_COMPARED = 2000
"""Tokens whose bytes are compared with the tokenizer's own decoding."""

Node = dict[Any, Any]
"""Of the tree of spellings: byte -> next node, and None -> the tokens that end here."""


@dataclass(frozen=True)
class Spelling:
    """The vocabulary of a tokenizer.

    Attributes:
        data: bytes of every token; None of special ones, which write nothing.
        drops_blank: a text that begins with a blank is decoded without it.
    """

    data: Sequence[bytes | None]
    drops_blank: bool
    texts: list[str | None] = field(init=False, repr=False)
    """The same as text, None where a token has no whole characters or writes nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", [_text(data) for data in self.data])

    @classmethod
    def of(cls, lexicon: Lexicon) -> Spelling:
        """Take a vocabulary apart.

        Raises:
            InputError: it cannot spell a note, or its tokenizer decodes in a way unknown here.
        """
        core, special = lexicon.core, lexicon.special_ids
        steps = _decoder_steps(core)
        tokens = [core.id_to_token(number) for number in range(core.get_vocab_size())]
        data: list[bytes | None] = [
            None if token is None or number in special else _bytes_of(token, steps)
            for number, token in enumerate(tokens)
        ]
        added = core.get_added_tokens_decoder()
        for number, token in added.items():
            if number < len(data) and data[number] is not None:
                data[number] = token.content.encode()
        blank = next((n for n, one in enumerate(data) if one and one[:1] == b" " and len(one) > 1),
                     None)  # fmt: skip
        drops = blank is not None and not core.decode([blank]).startswith(" ")
        spelling = cls(data, drops)
        spelling._compare(lexicon)
        spelling._refuse_without_notes(lexicon)
        return spelling

    @cached_property
    def tree(self) -> Node:
        """Tokens by their bytes, so that beginnings that are not allowed are tried once."""
        root: Node = {}
        for token, data in enumerate(self.data):
            if data:
                node = root
                for byte in data:
                    node = node.setdefault(byte, {})
                node.setdefault(None, []).append(token)
        return root

    def _compare(self, lexicon: Lexicon) -> None:
        core = lexicon.core
        anchor = next((n for n, one in enumerate(self.data) if one == b"a"), None)
        if anchor is None:
            return  # refused below
        for token in range(0, len(self.data), max(1, len(self.data) // _COMPARED)):
            text = self.texts[token] if self.data[token] else ""
            decoded = core.decode([anchor, token], skip_special_tokens=True)
            if text is not None and decoded != f"a{text}":
                raise InputError(
                    f"the tokenizer {lexicon.name} decodes the token "
                    f"{core.id_to_token(token)!r} as {decoded[1:]!r}, which the grammar cannot "
                    f"follow; write generation.grammar=null, or use another model"
                )

    def _refuse_without_notes(self, lexicon: Lexicon) -> None:
        spelled = {text for text in self.texts if text is not None and len(text) == 1}
        if missing := [character for character in NOTES if character not in spelled]:
            raise InputError(
                f"the vocabulary of {lexicon.name} has no token for "
                f"{', '.join(map(repr, missing))} alone, so it cannot spell every tune, and the "
                f"grammar could lead to where nothing can follow; write generation.grammar=null, "
                f"or use another model"
            )


def advanced(tail: bytes, data: bytes) -> tuple[str, bytes] | None:
    """Return the characters that bytes complete, and the rest, which begins another one.

    None of bytes that are no UTF-8: tokenizers that fall back to bytes decode none of a run of them
    then, not even those that were characters before.

    Args:
        tail: bytes before that begin a character.
        data: bytes that follow.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text, rest = decoder.decode(tail + data), decoder.getstate()[0]
        if rest:  # half of a surrogate is not noticed before it is complete
            (rest + completed(rest)).decode()
    except UnicodeDecodeError:
        return None
    return text, rest


def completed(tail: bytes) -> bytes:
    """Return bytes that make a character of what begins one."""
    lead = tail[0]
    length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    low_second_byte = len(tail) == 1 and lead in (0xED, 0xF4)  # which some leads demand
    return (b"\x80" if low_second_byte else b"") + b"\xa9" * (length - len(tail) - low_second_byte)


def _text(data: bytes | None) -> str | None:
    if not data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _decoder_steps(core: Tokenizer) -> list[dict[str, Any]]:
    if core.decoder is None:
        return []
    decoder = json.loads(core.decoder.__getstate__())
    return list(decoder.get("decoders", [decoder]))


def _bytes_of(token: str, steps: Sequence[dict[str, Any]]) -> bytes:
    """Return what a token spells behind others, by the steps of its tokenizer's decoder."""
    names = [step["type"] for step in steps]
    if "ByteLevel" in names:
        is_plain = not _BYTE_LEVEL.keys() >= set(token)  # an added token
        return token.encode() if is_plain else bytes(_BYTE_LEVEL[char] for char in token)
    match = _BYTE.fullmatch(token)
    if match and "ByteFallback" in names:
        return bytes([int(match[1], 16)])
    for step in steps:
        if step["type"] == "Replace" and "String" in step["pattern"]:
            token = token.replace(step["pattern"]["String"], step["content"])
        elif step["type"] == "Metaspace":
            token = token.replace(step["replacement"], " ")
    return token.encode()


def _byte_level() -> dict[str, int]:
    """Return GPT-2's letters for bytes: printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {chr(byte): byte for byte in plain}
    return letters | {chr(256 + number): byte for number, byte in enumerate(others)}


_BYTE_LEVEL = _byte_level()
assert set(_BYTE_LEVEL) == set(pre_tokenizers.ByteLevel.alphabet()), "GPT-2's letters for bytes"
