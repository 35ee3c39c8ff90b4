"""From records to token documents, and which of their tokens are supervised.

A text becomes `<s> text </s>`, supervised but for its first token. A conversation goes once
through the tokenizer's chat template; what stands in its `{% generation %}` blocks is supervised.
Special tokens that a text spells out (`</s>` in MusicPile) become those tokens, as in its
publication. In messages they would let the content end a turn, so such a record is dropped.

The text of a generation block is encoded apart from what stands before it, as ChatMusician's
code does, so a model is trained on the very tokens that it is prompted with: a token that reached
over the border would never come up again while the answer is yet to be written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from musicllm import console
from musicllm.data.records import Drop, Record
from musicllm.data.rows import Documents
from musicllm.errors import InputError

BATCH = 512
"""Records tokenised at once."""

_PROBE = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello"}]


class Encoded(NamedTuple):
    """One document: its tokens, int32, and which of them are supervised, bool."""

    input_ids: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.bool_]


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    records: Sequence[Record],
    sources: Sequence[str],
    max_length: int,
) -> tuple[Documents, list[Drop]]:
    """Tokenise records, in order.

    Args:
        tokenizer: a fast one, with a chat template when records have messages.
        records: each with `text` or `messages`; all of one kind.
        sources: names whose positions become `Documents.source`.
        max_length: tokens in a row; a longer conversation is dropped, since half of one teaches
            an answer to a question that is not there. Texts may be longer: rows cut them.

    Returns:
        The documents, and the records that became none.

    Raises:
        InputError: the tokenizer has no end token, or its chat template lacks a BOS, doubles it, or
            supervises no end of the answer.
    """
    if not tokenizer.is_fast or tokenizer.eos_token_id is None:
        lack = "an end token" if tokenizer.is_fast else "a tokenizer.json"
        raise InputError(f"the tokenizer {tokenizer.name_or_path} lacks {lack}; choose another one")
    is_chat = bool(records) and "messages" in records[0]
    if is_chat:
        check_template(tokenizer)
    kept: list[tuple[Encoded, int]] = []
    drops: list[Drop] = []
    position = {name: number for number, name in enumerate(sources)}
    with console.progress("tokenising", len(records), "record") as advance:
        for first in range(0, len(records), BATCH):
            batch = records[first : first + BATCH]
            encode = _conversations if is_chat else _texts
            for record, encoded in zip(batch, encode(tokenizer, batch), strict=True):
                drop = _drop(tokenizer, record, encoded, max_length) if is_chat else None
                if drop is not None:
                    drops.append(drop)
                else:
                    kept.append((encoded, position[record["source"]]))
            advance(len(batch))
    return _documents(kept), drops


def check_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Render a short conversation and look at its tokens.

    Raises:
        InputError: see `tokenize`.
    """
    if not tokenizer.chat_template:
        raise InputError("the tokenizer has no chat template; choose one with template=...")
    ids, supervised = next(_conversations(tokenizer, [{"messages": _PROBE}]))
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if bos is not None and (ids[0] != bos or ids[1] == bos):
        count = "two" if ids[0] == bos else "no"
        raise InputError(
            f"template.jinja: a conversation starts with {count} {tokenizer.bos_token}, not one"
        )
    if not supervised.any():
        raise InputError(
            "template.jinja: no token is supervised; put what the assistant says, and its end, "
            "between {% generation %} and {% endgeneration %}"
        )
    if eos not in ids[supervised]:
        raise InputError(
            f"template.jinja: {tokenizer.eos_token} is not in the {{% generation %}} block, so the "
            "model would never learn to stop; put it before {% endgeneration %}"
        )


def _texts(tokenizer: PreTrainedTokenizerBase, records: Sequence[Record]) -> Iterator[Encoded]:
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    for ids in _encode(tokenizer, [record["text"] for record in records]):
        document = np.array([*start, *ids, tokenizer.eos_token_id], np.int32)
        yield Encoded(document, np.ones(len(document), np.bool_))


def _conversations(
    tokenizer: PreTrainedTokenizerBase, records: Sequence[Record]
) -> Iterator[Encoded]:
    rendered, spans = render_jinja_template(
        conversations=[record["messages"] for record in records],
        chat_template=tokenizer.chat_template,
        return_assistant_tokens_mask=True,
        **tokenizer.special_tokens_map,
    )
    parts = [_parts(text, marked) for text, marked in zip(rendered, spans, strict=True)]
    encoded = iter(_encode(tokenizer, [text for part in parts for text, _ in part]))
    for part in parts:
        ids = [next(encoded) for _ in part]
        supervised = np.repeat([is_answer for _, is_answer in part], [len(each) for each in ids])
        yield Encoded(np.array(list(chain.from_iterable(ids)), np.int32), supervised)


def _parts(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, bool]]:
    """Cut a rendered conversation at its generation blocks: (text, whether it is supervised)."""
    borders = [0, *(border for span in spans for border in span), len(text)]
    return [(text[start:stop], bool(i % 2)) for i, (start, stop) in enumerate(pairwise(borders))]


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    encodings = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def _drop(
    tokenizer: PreTrainedTokenizerBase, record: Record, encoded: Encoded, max_length: int
) -> Drop | None:
    place = record["source"], record["id"]
    for token in tokenizer.all_special_tokens:
        if any(token in message["content"] for message in record["messages"]):
            return Drop(*place, "spells out a special token", token)
    if len(encoded.input_ids) > max_length:
        detail = f"{len(encoded.input_ids)} tokens, data.max_length={max_length}"
        return Drop(*place, "is longer than a row", detail)
    if not encoded.supervised.any():
        return Drop(*place, "has nothing to learn", "no message of the assistant")
    return None


def _documents(kept: Sequence[tuple[Encoded, int]]) -> Documents:
    offsets = np.cumsum([0, *(len(encoded.input_ids) for encoded, _ in kept)], dtype=np.int64)
    ids = np.concatenate([np.zeros(0, np.int32), *(encoded.input_ids for encoded, _ in kept)])
    counts = np.concatenate([np.zeros(0, np.bool_), *(encoded.supervised for encoded, _ in kept)])
    counts[offsets[:-1]] = False
    return Documents(ids, counts, offsets, np.array([source for _, source in kept], np.int16))
