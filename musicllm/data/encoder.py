"""From records to token documents, and which of their tokens are supervised.

One encoder serves training, evaluation and generation. A text becomes `<s> text </s>`, supervised
but for its first token; it may be longer than a row, which the row former divides. A conversation
goes once through the chat template, and what the assistant says in it is supervised, its end
included, unless its message is masked; one that is longer than a row is left out or stops the
preparation, but is never cut.

Special tokens that a text spells out (`</s>` in MusicPile) become those tokens, as in its
publication. In messages they would let the content end a turn, so such a record is dropped.

What the assistant says is encoded apart from what stands before it, as ChatMusician's code does, so
a model is trained on the very tokens that it is prompted with: a token that reached over the border
would never come up again while the answer is yet to be written.

`compat=reference` gives the tokens of ChatMusician's published preprocessing instead (`reference`).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from musicllm.data import reference
from musicllm.data.bytepairs import Ids
from musicllm.data.clips import FEATURES
from musicllm.data.documents import Documents
from musicllm.data.lexicon import Lexicon
from musicllm.data.records import Drop, Message, Record
from musicllm.data.settings import RowSettings
from musicllm.data.stretches import GrowingDocuments, Stretch, TokenDocument
from musicllm.data.templates import (
    START,
    STOP,
    ChatTemplate,
    Part,
    UnfitError,
    continued,
    without_bos,
    without_masked,
)
from musicllm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 256
"""Records encoded at once; the encodings of one batch are in memory together."""

_PROBE = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello"}]


class Encoded(NamedTuple):
    """What became of some records.

    Attributes:
        documents: those of the records that are not dropped.
        record_indices: of the record of every document.
        drops: the other records.
        num_cut: documents that lost tokens, which only `compat=reference` does.
    """

    documents: Documents
    record_indices: list[int]
    drops: list[Drop]
    num_cut: int


class Encoder:
    """Encodes records and prompts with one tokenizer and its chat template."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase | Lexicon, rows: RowSettings | None = None
    ) -> None:
        """Prepare to encode.

        Args:
            tokenizer: with its chat template, when there are messages.
            rows: how documents become rows; None when only prompts are encoded.

        Raises:
            InputError: the tokenizer has no tokenizer.json or no end token, or `compat=reference`
                with rows that are too short for it.
        """
        lexicon = tokenizer if isinstance(tokenizer, Lexicon) else Lexicon.of(tokenizer)
        end = lexicon.id_of("eos_token")
        if end is None:
            raise InputError(f"the tokenizer {lexicon.name} lacks an end token; choose another one")
        self._lexicon = lexicon
        self._rows = rows
        self._is_reference = rows is not None and rows.compat == "reference"
        self._spelled: Callable[[str], str] = str
        if rows is not None and self._is_reference:
            reference.check(rows.max_length)
            self._spelled = reference.speller(lexicon)
        begin = lexicon.id_of("bos_token")
        self._begin = array("i", [] if begin is None or self._is_reference else [begin])
        self._end = array("i", [] if self._is_reference else [end])
        self._eos_id, self._eos = end, lexicon.named_tokens["eos_token"]
        special = () if self._is_reference else lexicon.special_tokens
        self._forbidden = re.compile("|".join(map(re.escape, (*special, START, STOP))))

    @classmethod
    def load(cls, folder: Path, rows: RowSettings | None = None) -> Encoder:
        """Read a tokenizer that transformers saved; once in a process.

        Raises:
            InputError: a file is missing; else as for `Encoder`.
        """
        return _load(folder, rows)

    @property
    def lexicon(self) -> Lexicon:
        """What its tokenizer is made of."""
        return self._lexicon

    @cached_property
    def end_ids(self) -> list[int]:
        """Tokens at which generation stops: the end of a text and, if it differs, of an answer."""
        end = self._end_of_answer() if self._lexicon.template else None
        return [self._eos_id] if end in (None, self._eos_id) else [self._eos_id, end]

    def check(self) -> None:
        """Encode a short conversation and look at its tokens.

        Raises:
            InputError: the tokenizer has no chat template, or its template lacks a beginning of
                text or doubles it, or supervises no answer or no end of one.
        """
        parts = self._template.parts(_PROBE * 2)
        ids = self._joined(parts)
        begin = self._begin.tolist()
        if begin and (ids[:1] != begin or ids[1:2] == begin):
            count = "two" if ids[:1] == begin else "no"
            bos = self._lexicon.named_tokens["bos_token"]
            raise InputError(f"template.jinja: a conversation starts with {count} {bos}, not one")
        if not any(is_answer for _, is_answer in parts):
            raise InputError(
                "template.jinja: no token is supervised; put what the assistant says, and its end, "
                "between {% generation %} and {% endgeneration %}"
            )
        if self._end_of_answer() is None:
            raise InputError(
                f"template.jinja: {self._eos} is not in the {{% generation %}} block, so the "
                "model would never learn to stop; put it before {% endgeneration %}"
            )

    def encode(self, records: Sequence[Record]) -> Encoded:
        """Encode records, in order. Time is linear in their text.

        Args:
            records: each with `text` or `messages`.

        Raises:
            InputError: a conversation is longer than a row, and `long_conversations=stop`; or
                there are messages, but no chat template.
        """
        assert self._rows is not None, "records need settings of rows"
        growing, indices, drops, num_cut = GrowingDocuments(), [], [], 0
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            for number, document in enumerate(self._documents(batch, self._rows), start):
                if isinstance(document, Drop):
                    drops.append(document)
                else:
                    growing.add(document)
                    indices.append(number)
                    num_cut += document.is_cut
        return Encoded(growing.finished(), indices, drops, num_cut)

    @property
    def first_audio_place(self) -> int:
        """Where the places for audio begin in a document: behind its beginning-of-text token."""
        return len(self._begin)

    def with_audio_places(self, ids: Sequence[int], num_places: int) -> list[int]:
        """Return tokens with places for audio; what stands there is replaced in the model."""
        first = self.first_audio_place
        return [*ids[:first], *[self._eos_id] * num_places, *ids[first:]]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a conversation up to where the assistant begins.

        They are those that a training sample has up to there.

        Raises:
            InputError: the tokenizer has no chat template, or the template refuses the messages.
        """
        return self._joined(self._parts(messages, ends_in_prompt=True))

    def text(self, content: str, *, is_whole: bool = True) -> list[int]:
        """Return the tokens of a text as a training sample has them.

        Args:
            content: the text.
            is_whole: whether it ends; otherwise it is the beginning of one.
        """
        end = self._end if is_whole else array("i")
        return [*self._begin, *next(self._encode([content])), *end]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, without the special ones."""
        return self._lexicon.core.decode(list(ids), skip_special_tokens=True)

    def _documents(
        self, records: Sequence[Record], rows: RowSettings
    ) -> Iterator[TokenDocument | Drop]:
        plans = [self._plan(record) for record in records]
        texts = [text for plan in plans if not isinstance(plan, Drop) for text, _ in plan]
        ids = self._encode(texts)
        for record, plan in zip(records, plans, strict=True):
            if isinstance(plan, Drop):
                yield plan
            else:
                document = self._document(record, [(next(ids), counts) for _, counts in plan])
                if FEATURES in record and rows.audio_tokens:
                    document = self._with_places(document, rows.audio_tokens)
                yield _misfit(record, document, rows) or document

    def _plan(self, record: Record) -> list[Part] | Drop:
        """Return the texts to encode for a record, or why it cannot be encoded."""
        if "text" in record:
            return [(record["text"], True)]
        if self._is_reference and "published" in record:
            source, target = record["published"]
            return [(source, False), (target, True)]
        for message in record["messages"]:
            if match := self._forbidden.search(message["content"]):
                return _drop(record, "spells out a special token", match[0])
        try:
            parts = self._parts(record["messages"])
            return parts if self._is_reference else without_masked(parts, record["messages"])
        except UnfitError as error:
            return _drop(record, "does not fit the chat template", str(error))

    def _parts(self, messages: Sequence[Message], *, ends_in_prompt: bool = False) -> list[Part]:
        parts = self._template.parts(messages, ends_in_prompt=ends_in_prompt)
        if self._is_reference:
            return reference.parts(parts, messages)
        if self._lexicon.adds_blank:
            return list(continued(parts, self._lexicon.special_tokens))
        return parts

    def _document(self, record: Record, stretches: list[Stretch]) -> TokenDocument:
        if "text" in record:
            return TokenDocument([(self._begin + stretches[0][0] + self._end, True)])
        if self._is_reference:
            is_ended = reference.target(record).strip().endswith(self._eos)
            return reference.cut(stretches, None if is_ended else self._eos_id)
        return TokenDocument(stretches)

    def _with_places(self, document: TokenDocument, num_places: int) -> TokenDocument:
        """Return a document with places for audio, which are not supervised."""
        first = self.first_audio_place
        (head, counts), *others = document.stretches
        assert head[:first] == self._begin, "a document begins with the beginning of text"
        places = array("i", [self._eos_id]) * num_places
        stretches = [(head[:first], False), (places, False), (head[first:], counts), *others]
        return TokenDocument(stretches, document.is_cut)

    def _joined(self, parts: Sequence[Part]) -> list[int]:
        return list(chain.from_iterable(self._encode([text for text, _ in parts])))

    def _encode(self, texts: Sequence[str]) -> Iterator[Ids]:
        return self._lexicon.encode([self._spelled(text) for text in texts])

    def _end_of_answer(self) -> int | None:
        """Return the special token that ends an answer, or None when none does."""
        answers = [text for text, is_answer in self._template.parts(_PROBE) if is_answer]
        ids = chain.from_iterable(self._lexicon.encode(answers))
        special = [token for token in ids if token in self._lexicon.special_ids]
        return special[-1] if special else None

    @cached_property
    def _template(self) -> ChatTemplate:
        source = self._lexicon.template
        if not source:
            raise InputError(
                f"the tokenizer {self._lexicon.name} has no chat template, so a model with it "
                "continues texts but does not chat; prepare its data with template=..., or use a "
                "model that was trained on conversations"
            )
        source = without_bos(source) if self._is_reference else source
        return ChatTemplate(source, self._lexicon.named_tokens, self._lexicon.special_tokens)


def _misfit(record: Record, document: TokenDocument, rows: RowSettings) -> Drop | None:
    """Return why a document cannot be used, or None."""
    length = document.num_tokens
    if ("messages" in record or FEATURES in record) and length > rows.max_length:
        if rows.long_conversations == "stop":
            raise InputError(
                f"{record['source']}, {record['id']}: the conversation has {length:,} tokens, more "
                f"than data.max_length={rows.max_length}, and is not cut; write a larger one, or "
                "data.long_conversations=drop to leave such conversations out"
            )
        detail = f"{length} tokens, data.max_length={rows.max_length}"
        return _drop(record, "is longer than a row", detail)
    if not document.num_supervised:
        what = "no message of the assistant that is trained" if "messages" in record else "no text"
        return _drop(record, "has nothing to learn", what)
    return None


def _drop(record: Record, reason: str, detail: str) -> Drop:
    return Drop(record["source"], record["id"], reason, detail)


@lru_cache(maxsize=4)
def _load(folder: Path, rows: RowSettings | None) -> Encoder:
    return Encoder(Lexicon.read(folder), rows)
