"""A tokenizer of transformers as llama.cpp reads it.

llama.cpp has no tokenizer.json, but two ways to merge pieces of a text: `gpt2` merges by a list of
pairs, in bytes, within words that one of its own patterns cuts; `llama` merges any two neighbours
that together are a token, the one with the best score first, and cuts nothing. So a tokenizer is
exported in one of three forms:

- in bytes, with a pattern that llama.cpp has: as `gpt2`;
- in bytes, with words that no token reaches over, such as the vocabularies of `musicllm.data`: as
  `llama`, if merging by tokens gives the same as merging by pairs (see `_settled`);
- SentencePiece's form (blanks as U+2581, unknown characters as bytes): as `llama`, if the same.

Anything else is refused: a text would become other tokens without a sign. `proof` compares the
tokens of texts with both programs. Source: llama.cpp, src/llama-vocab.cpp.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from gguf import TokenType
from tokenizers import models
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from musicllm.errors import NotAvailableError

BLANK = "\u2581"
"""How SentencePiece writes a space."""

LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN_REST = r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

PATTERNS = {
    LETTERS + r"\p{N}{1,3}" + REST: ("llama-bpe", True),
    LETTERS + r"\p{N}" + REST: ("qwen2", False),
    UPPER + "*" + LOWER + "+|" + UPPER + "+" + LOWER + "*" + TEKKEN_REST: ("tekken", True),
}
"""Pattern of words -> llama.cpp's name of it, and whether whole words that are tokens stay so."""

HARMLESS = (r" ?\S+|\s",)
"""Patterns whose words never end within a token that has no white space but a leading blank."""

_BYTES = {character: byte for byte, character in bytes_to_unicode().items()}
_BYTE_TOKENS = {f"<0x{byte:02X}>": byte for byte in range(256)}


@dataclass
class Vocabulary:
    """The tokenizer in a GGUF file.

    Attributes:
        model: `gpt2` or `llama`.
        pre: llama.cpp's name of the pattern that cuts words.
        tokens: by id, in UTF-8.
        kinds: of every token: `TokenType`.
        scores: of every token in `llama`: the largest is merged first.
        merges: pairs in `gpt2`, the first is merged first.
        flags: `add_bos_token`, `add_eos_token`, `add_space_prefix`.
        ids: `bos_token_id` and the like.
        notes: what differs in texts that are no music, for whoever uses the file.
    """

    model: str
    pre: str
    tokens: list[bytes]
    kinds: list[TokenType]
    scores: list[float] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    flags: dict[str, bool] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def vocabulary_of(
    tokenizer: PreTrainedTokenizerBase, num_rows: int, end_ids: Sequence[int]
) -> Vocabulary:
    """Return a tokenizer for a GGUF file.

    Args:
        tokenizer: with a `tokenizer.json`.
        num_rows: of the embeddings; ids without a token are filled up.
        end_ids: tokens that end an answer.

    Raises:
        NotAvailableError: llama.cpp has no such tokenizer; the message says what it lacks.
    """
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    model, added = core["model"], _added(core)
    if model["type"] != "BPE" or model["continuing_subword_prefix"] or model["end_of_word_suffix"]:
        raise _refused(f"it is a {model['type']} with other pieces than byte pairs")
    steps = _steps(core["pre_tokenizer"], "pretokenizers")
    if any(step["type"] == "ByteLevel" for step in steps):
        made = _in_bytes(core, model, added, steps)
    else:
        made = _of_sentencepiece(core, model, added, steps)
    _fill(made, num_rows)
    made.flags |= _automatic(tokenizer)
    made.ids = _special_ids(tokenizer, end_ids)
    return made


def _in_bytes(
    core: Mapping[str, Any],
    model: Mapping[str, Any],
    added: Mapping[int, Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
) -> Vocabulary:
    """Return a byte-level tokenizer: with a pattern of llama.cpp's, or with harmless words."""
    normalizers = [step["type"] for step in _steps(core["normalizer"], "normalizers")]
    if normalizers not in ([], ["NFC"]):
        raise _refused(f"it normalises texts ({', '.join(normalizers)})")
    notes = ["texts must be in Unicode's normal form C; llama.cpp does not bring them there"]
    pre, whole_words = _pattern(steps)
    if pre is None:
        made = _by_scores(model, added, _texts_of_bytes(model, added))
        made.notes = [f"the character {BLANK} (U+2581) becomes a blank"] + notes * bool(normalizers)
        made.flags["add_space_prefix"] = False
        return made
    if bool(model["ignore_merges"]) != whole_words:
        raise _refused(f"ignore_merges={model['ignore_merges']} does not go with {pre} there")
    size = len(model["vocab"])
    names = {number: token.encode() for token, number in model["vocab"].items()}
    made = Vocabulary("gpt2", pre, [b""] * size, [TokenType.NORMAL] * size)
    _place(made, names, added)
    made.merges = [" ".join(pair) for pair in model["merges"]]
    made.notes = notes * bool(normalizers)
    return made


def _pattern(steps: Sequence[Mapping[str, Any]]) -> tuple[str | None, bool]:
    """Return llama.cpp's name of the pattern that cuts words, or None for a harmless one.

    Raises:
        NotAvailableError: llama.cpp has no such pattern.
    """
    kinds = [step["type"] for step in steps]
    last = steps[-1]
    if last["type"] == "ByteLevel" and not last["add_prefix_space"]:
        if kinds == ["ByteLevel"] and last["use_regex"]:
            return "gpt-2", False
        if kinds == ["Digits", "ByteLevel"] and last["use_regex"] and steps[0]["individual_digits"]:
            return "smollm", False
        if kinds == ["Split", "ByteLevel"] and not last["use_regex"]:
            cut = steps[0]["pattern"].get("Regex")
            is_isolated = steps[0]["behavior"] == "Isolated" and not steps[0]["invert"]
            if is_isolated and cut in HARMLESS:
                return None, False
            if is_isolated and cut in PATTERNS:
                return PATTERNS[cut]
    shown = "; ".join(str(step.get("pattern", step["type"])) for step in steps)
    raise _refused(f"it cuts texts into words in a way that llama.cpp does not have: {shown}")


def _texts_of_bytes(
    model: Mapping[str, Any], added: Mapping[int, Mapping[str, Any]]
) -> dict[int, str]:
    """Return the text of every token: bytes that are no character alone as `<0x..>`.

    Raises:
        NotAvailableError: a token is a part of a character, or reaches over white space.
    """
    texts = {}
    for token, number in model["vocab"].items():
        if number in added:
            continue
        content = bytes(_BYTES[character] for character in token)
        if len(content) == 1 and (content[0] >= 0x80 or content[0] == 0):
            texts[number] = f"<0x{content[0]:02X}>"
            continue
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise _refused(f"token {number} ({content!r}) is a part of a character") from None
        if len(text) > 1 and text[1:].split() != [text[1:]]:
            raise _refused(f"token {number} ({text!r}) reaches over white space")
        if text[0].isspace() and text[0] != " " and len(text) > 1:
            raise _refused(f"token {number} ({text!r}) reaches over white space")
        if BLANK in text:
            raise _refused(f"token {number} has {BLANK}, which means a blank there")
        texts[number] = text.replace(" ", BLANK)
    return texts


def _of_sentencepiece(
    core: Mapping[str, Any],
    model: Mapping[str, Any],
    added: Mapping[int, Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
) -> Vocabulary:
    """Return a tokenizer in SentencePiece's form."""
    if not model["byte_fallback"] or not _BYTE_TOKENS.keys() <= model["vocab"].keys():
        raise _refused("it has no bytes for unknown characters")
    replaces = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
    prepends = {"type": "Prepend", "prepend": BLANK}
    normalizers = _steps(core["normalizer"], "normalizers")
    before = [step for step in steps if step.get("pattern") != {"String": " "}]
    if normalizers in ([replaces], [prepends, replaces]) and not before:
        has_prefix = len(normalizers) == 2
    elif not normalizers and [step["type"] for step in before] == ["Metaspace"]:
        scheme = before[0]["prepend_scheme"]
        if before[0]["split"] or before[0]["replacement"] != BLANK:
            raise _refused("it cuts texts at blanks")
        has_prefix = scheme != "never"
    else:
        raise _refused("it normalises texts in another way than SentencePiece")
    texts = {number: token for token, number in model["vocab"].items() if number not in added}
    made = _by_scores(model, added, texts)
    made.flags["add_space_prefix"] = has_prefix
    return made


def _by_scores(
    model: Mapping[str, Any], added: Mapping[int, Mapping[str, Any]], texts: Mapping[int, str]
) -> Vocabulary:
    """Return a vocabulary that merges by scores: those of the order of the merges.

    Raises:
        NotAvailableError: that would give other tokens than the list of pairs.
    """
    order = _settled(model, added)
    size = len(model["vocab"])
    made = Vocabulary("llama", "default", [b""] * size, [TokenType.NORMAL] * size)
    made.scores = [0.0] * size
    ids: Mapping[str, int] = model["vocab"]
    for rank, token in enumerate(order):
        made.scores[ids[token]] = -float(rank + 1)
    for number, text in texts.items():
        if text in _BYTE_TOKENS:
            made.kinds[number] = TokenType.BYTE
        if made.scores[number] == 0.0:
            made.scores[number] = -float(size + number)  # one character: never merged
    _place(made, {number: text.encode() for number, text in texts.items()}, added)
    unknown = model["unk_token"]
    if unknown is not None and unknown in ids:
        made.kinds[ids[unknown]] = TokenType.UNKNOWN
    return made


def _settled(model: Mapping[str, Any], added: Mapping[int, Mapping[str, Any]]) -> dict[str, None]:
    """Return the merged tokens in their order, if merging by tokens gives what the pairs give.

    It does when the list makes one token after another, all of its pairs in one place, and every
    token comes out of its own text: until two neighbours are merged, nothing was merged over the
    borders of the stretch that they fill, so it looks as the token's own text does before its last
    merge, which is in the list.

    Raises:
        NotAvailableError: it does not.
    """
    merged = ["".join(pair) for pair in model["merges"]]
    order = dict.fromkeys(merged)
    changes = sum(one != two for one, two in pairwise(merged))
    if merged and changes + 1 != len(order):
        raise _refused("its pairs make some token in two places of the list")
    others = {token["content"] for token in added.values()} | _BYTE_TOKENS.keys()
    for token in model["vocab"]:
        if len(token) > 1 and token not in order and token not in others:
            raise _refused(f"no pair makes its token {token!r}")
    bare = models.BPE(model["vocab"], [tuple(pair) for pair in model["merges"]])
    for token in order:
        if len(bare.tokenize(token)) != 1:
            raise _refused(f"its token {token!r} does not come out of its own text")
    return order


def _place(
    made: Vocabulary, names: Mapping[int, bytes], added: Mapping[int, Mapping[str, Any]]
) -> None:
    """Put tokens in their places."""
    highest = max([*names, *added])
    missing = highest + 1 - len(made.tokens)
    made.tokens += [b""] * missing
    made.kinds += [TokenType.NORMAL] * missing
    if made.scores:
        made.scores += [0.0] * missing
    for number, name in names.items():
        made.tokens[number] = name
    for number, token in added.items():
        made.tokens[number] = token["content"].encode()
        made.kinds[number] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED


def _fill(made: Vocabulary, num_rows: int) -> None:
    """Name the ids without a token.

    Raises:
        NotAvailableError: the tokenizer has more tokens than the model has rows.
    """
    if len(made.tokens) > num_rows:
        raise _refused(f"it has {len(made.tokens)} tokens, and the model {num_rows} rows")
    for number in range(len(made.tokens), num_rows):
        made.tokens.append(b"")
        made.kinds.append(TokenType.UNUSED)
        if made.scores:
            made.scores.append(-float(num_rows + number))
    for number, token in enumerate(made.tokens):
        if not token:
            made.tokens[number] = b"[unused%d]" % number
            made.kinds[number] = TokenType.UNUSED


def _added(core: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return the added tokens by id.

    Raises:
        NotAvailableError: one takes the white space around it, or only whole words.
    """
    for token in core["added_tokens"]:
        flags = [flag for flag in ("lstrip", "rstrip", "single_word") if token[flag]]
        if flags:
            raise _refused(f"its token {token['content']!r} has {flags[0]}=true")
    return {token["id"]: token for token in core["added_tokens"]}


def _steps(part: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    """Return the steps of a normalizer or pre-tokenizer, one after another."""
    if part is None:
        return []
    return list(part.get(name, [part]))


def _automatic(tokenizer: PreTrainedTokenizerBase) -> dict[str, bool]:
    """Return which tokens the tokenizer adds to every text by itself.

    Raises:
        NotAvailableError: others than the beginning and the end of a text.
    """
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    begins = whole[:1] == [tokenizer.bos_token_id] and len(whole) > len(plain)
    inner = whole[1:] if begins else whole
    ends = inner[-1:] == [tokenizer.eos_token_id] and len(inner) > len(plain)
    if (inner[:-1] if ends else inner) != plain:
        raise _refused(f"it adds tokens to every text: {tokenizer.convert_ids_to_tokens(whole)}")
    return {"add_bos_token": begins, "add_eos_token": ends}


def _special_ids(tokenizer: PreTrainedTokenizerBase, end_ids: Sequence[int]) -> dict[str, int]:
    """Return the ids of special tokens by their keys in GGUF.

    Raises:
        NotAvailableError: more tokens end an answer than a file can name.
    """
    eos = tokenizer.eos_token_id
    others = [number for number in end_ids if number != eos]
    if len(others) > 2:
        raise _refused(f"{1 + len(others)} tokens end an answer, and a file names at most three")
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": eos,
        "padding_token_id": tokenizer.pad_token_id,
        "unknown_token_id": tokenizer.unk_token_id,
        **dict(zip(("eot_token_id", "eom_token_id"), others, strict=False)),
    }
    return {key: number for key, number in ids.items() if number is not None}


def _refused(reason: str) -> NotAvailableError:
    return NotAvailableError(
        f"llama.cpp cannot make the tokens of this tokenizer: {reason}; so no GGUF file of this "
        f"model reads texts as the model was trained to"
    )
