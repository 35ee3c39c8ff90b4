"""Chooses tokens to add to a byte-pair vocabulary by how many old tokens they save on a corpus.

The choice goes on with byte-pair training where the vocabulary ends: of two old tokens that stand
side by side within a word most often, one new token is made, and so on (Sennrich et al., arXiv
1508.07909). Merges are appended behind the old ones, so a text is first divided as before, and
what the new merges join are whole old tokens: every new token replaced by its pieces, the encoding
is the old one. `extension` puts them into a tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from musicllm.errors import NotAvailableError

Merge = tuple[str, str]
"""Two tokens, as the vocabulary writes them, that become one."""

TEXTS_AT_ONCE = 256

_FIRST = 0x10000
"""The letter of token 0. An old token becomes one letter, of which there are 2^20 from here."""


def choose_merges(core: Tokenizer, texts: Iterable[str], num_tokens: int) -> list[Merge]:
    """Return the merges that save most tokens, in their order.

    Cost: texts are encoded once, and merges are searched as in training a tokenizer. Memory: the
    different words of the texts.

    Args:
        core: a byte-pair tokenizer.
        texts: that should become short.
        num_tokens: most merges; fewer where the texts have no more pairs that occur twice.

    Raises:
        NotAvailableError: the tokenizer is no byte-pair one, or one that merges in another way.
    """
    _refuse_other_kinds(core)
    content = json.loads(core.to_str())
    vocabulary = core.get_vocab()
    assert max(vocabulary.values()) < 1 << 20, "more tokens than letters"
    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    spare = num_tokens // 4 + 64  # for candidates that are no tokens
    trainer = trainers.BpeTrainer(
        vocab_size=len(vocabulary) + num_tokens + spare,
        min_frequency=2,
        initial_alphabet=[chr(_FIRST + id_) for id_ in sorted(vocabulary.values())],
        show_progress=False,
    )
    letters.train_from_iterator(_in_letters(core, content, texts), trainer)
    candidates = json.loads(letters.to_str())["model"]["merges"]
    return _usable(core, vocabulary, candidates)[:num_tokens]


def other_kind(core: Tokenizer) -> str | None:
    """Return the kind of a tokenizer for which there is no gain; None for plain byte pairs."""
    model = json.loads(core.to_str())["model"]
    others = ("continuing_subword_prefix", "end_of_word_suffix", "dropout")
    odd = [name for name in others if model.get(name)]
    if model["type"] == "BPE" and not odd:
        return None
    return str(model["type"]) + "".join(f" with {name}" for name in odd)


def _refuse_other_kinds(core: Tokenizer) -> None:
    if kind := other_kind(core):
        raise NotAvailableError(
            f"the tokenizer is of kind {kind}, and tokens are chosen by gain for byte pairs only; "
            "name the tokens in a file: data.new_tokens=<file> data.num_new_tokens=null"
        )


def _in_letters(core: Tokenizer, content: dict[str, Any], texts: Iterable[str]) -> Iterator[str]:
    """Yield texts with a letter for every old token and blanks between words.

    Special and other added tokens, single bytes and unknown characters are no part of a word.
    """
    apart = {token["id"] for token in content["added_tokens"]}
    if content["model"]["byte_fallback"]:
        apart |= {core.token_to_id(f"<0x{byte:02X}>") for byte in range(256)}
    apart.add(core.token_to_id(content["model"]["unk_token"] or ""))
    rest = iter(texts)
    while some := list(islice(rest, TEXTS_AT_ONCE)):
        for encoding in core.encode_batch(some, add_special_tokens=False):
            letters, previous = [], None
            for id_, word in zip(encoding.ids, encoding.word_ids, strict=True):
                if word != previous or id_ in apart:
                    letters.append(" ")
                if id_ not in apart:
                    letters.append(chr(_FIRST + id_))
                previous = None if id_ in apart else word
            yield "".join(letters)


def _usable(
    core: Tokenizer, vocabulary: dict[str, int], candidates: Sequence[Sequence[str]]
) -> list[Merge]:
    """Return the candidates whose text alone is divided into the pieces that they join.

    So a new token has one sequence of pieces, wherever it occurs, and one text.
    """
    names = {chr(_FIRST + id_): token for token, id_ in vocabulary.items()}
    merges = []
    for left, right in candidates:
        if left not in names or right not in names:
            continue  # made of a candidate that is not usable
        token = names[left] + names[right]
        pieces = [chr(_FIRST + piece.id) for piece in core.model.tokenize(token)]
        if token not in vocabulary and "".join(pieces) == left + right:
            names[left + right] = token
            merges.append((names[left], names[right]))
    return merges
