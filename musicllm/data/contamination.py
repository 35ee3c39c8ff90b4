"""Finds benchmark questions in training records: by their words, their options, their tunes.

A record holds a question when one of these is so:

- They share a run of 13 words, as for GPT-3 (arXiv 2005.14165, appendix C). The question's words
  are its stem followed by its options. Runs without enough long words, such as numbers, options
  like `I and II only` and headers of ABC, count for nothing, nor do those of many questions.
- The stem is shorter than 13 words, and the record holds it and every option, wherever they stand.
  Such a question must have enough different long words to be told from any other.
- Half of the melodic fingerprint of the question's tune is in the record's.

What this does not find: paraphrases, translations, and a question that has too few words and no
tune; `ContaminationIndex.not_covered` names those. What it finds wrongly: a passage that a question
and a record quote from the same book, and a short question whose words a long record happens to
hold all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musicllm.data.ngrams import Hashes, Words
from musicllm.data.records import Record, texts_of
from musicllm.data.settings import Question
from musicllm.music.abc import parse
from musicllm.music.abc.limits import AbcError
from musicllm.music.analysis.melody import melodic_fingerprint

WORDS_PER_RUN = 13
WORDS_PER_ANCHOR = (5, 3)
"""A short question is looked up by so many words of its longest string, as many as it has."""

LETTERS_OF_LONG_WORD = 4
MIN_LONG_IN_RUN = 5
"""Of 13 words that count."""
MIN_LONG_IN_QUESTION = 4
"""Different ones in a short question that is looked for."""

MAX_QUESTIONS_PER_RUN = 10
"""A run that more questions have is a benchmark's usual wording, and identifies none of them."""

MIN_SHARE_OF_TUNE = 0.5
MIN_MELODIC_HASHES = 8
"""Of a question's tune; fewer, some 14 notes, are a scale or a figure that many tunes have."""

_FILTER_BITS = 24
"""Upper bits of a hash that the filter holds, 2 MB; it passes 4 % of what is not in all of MMLU."""
_UNFILTERED_BITS = np.uint64(64 - _FILTER_BITS)


@dataclass(frozen=True)
class Match:
    """A question that a record holds.

    Attributes:
        benchmark: its name.
        question: its id.
        how: what both have.
    """

    benchmark: str
    question: str
    how: str


class ContaminationIndex:
    """An index of questions, in which every record is looked up.

    For the 14,042 test questions of MMLU, building it takes 2 s and 140 MB; pickled it has 30 MB.

    Attributes:
        not_covered: questions with too few words to be looked for, and no tune.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = tuple(questions)
        wordings = [_wording(question) for question in questions]
        self._texts = [wording.text for wording in wordings]
        self._strings = [wording.strings for wording in wordings]
        runs, run_owners = _flat([wording.runs for wording in wordings])
        anchors, anchor_owners = _flat([wording.anchor for wording in wordings])
        _, places, counts = np.unique(runs, return_inverse=True, return_counts=True)
        telling = counts[places] <= MAX_QUESTIONS_PER_RUN
        hashes = np.concatenate([runs[telling], anchors])
        owners = np.concatenate([run_owners[telling], anchor_owners])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._owners = hashes[order], owners[order]
        self._filter = _packed_filter(hashes)
        tunes = [_tune_of(question) for question in questions]
        self._tune_sizes = [len(tune) for tune in tunes]
        self._holders: defaultdict[int, list[int]] = defaultdict(list)
        for number, tune in enumerate(tunes):
            for value in tune:
                self._holders[value].append(number)
        covered = {*owners.tolist(), *np.flatnonzero(self._tune_sizes).tolist()}
        self.not_covered = tuple(q for n, q in enumerate(questions) if n not in covered)

    def find(self, record: Record, fingerprints: Set[int] = frozenset()) -> Match | None:
        """Return the first question that a record holds, or None.

        Costs about 0.1 ms for a record of 2 kB, linear in its text.

        Args:
            record: with `text` or `messages`.
            fingerprints: melodic hashes of all tunes in it.
        """
        words = Words("\n".join(texts_of(record)).lower())
        match = next(self._by_words(words), None) or next(self._by_tune(fingerprints), None)
        if match is None:
            return None
        number, how = match
        return Match(self._questions[number].benchmark, self._questions[number].id, how)

    def _by_words(self, words: Words) -> Iterator[tuple[int, str]]:
        hashes = words.hashes(WORDS_PER_RUN, *WORDS_PER_ANCHOR)
        for place in self._hits(hashes):
            if place <= len(words) - WORDS_PER_RUN:
                run = words.run(place, WORDS_PER_RUN)
                yield from (
                    (number, f"13 words: {run.decode()}")
                    for number in self._owners_of(hashes[place])
                    if run in self._texts[number]
                )
            else:
                whole = b" %s " % words.joined
                yield from (
                    (number, f"stem and options: {self._texts[number].decode()}")
                    for number in self._owners_of(hashes[place])
                    if self._strings[number] and all(s in whole for s in self._strings[number])
                )

    def _hits(self, hashes: Hashes) -> list[int]:
        """Return the places of the hashes that some question has."""
        places = _passing(self._filter, hashes)
        if not len(places):
            return []
        nearest = np.searchsorted(self._hashes, hashes[places])
        is_hit = self._hashes.take(nearest, mode="clip") == hashes[places]
        hits: list[int] = places[is_hit].tolist()
        return hits

    def _owners_of(self, value: np.uint64) -> list[int]:
        first, last = (
            int(np.searchsorted(self._hashes, value, side)) for side in ("left", "right")
        )
        owners: list[int] = self._owners[first:last].tolist()
        return owners

    def _by_tune(self, fingerprints: Set[int]) -> Iterator[tuple[int, str]]:
        holders = (self._holders.get(value, ()) for value in fingerprints)
        for number, count in Counter(n for numbers in holders for n in numbers).items():
            size = self._tune_sizes[number]
            if count >= MIN_SHARE_OF_TUNE * size:
                yield number, f"tune: {count} of {size} melodic figures"


@dataclass(frozen=True)
class _Wording:
    """What is looked for of a question's words.

    Attributes:
        runs: hashes of its runs of 13 words.
        anchor: hash by which it is looked up when it is short; else empty.
        text: all its words.
        strings: of a short question, stem and options with a space around; else empty.
    """

    runs: Hashes
    anchor: Hashes
    text: bytes
    strings: tuple[bytes, ...]


def _wording(question: Question) -> _Wording:
    parts = [Words(part.lower()) for part in (question.stem, *question.options)]
    text = b" ".join(part.joined for part in parts if part.joined)
    whole = Words(text.decode())
    is_long = [len(word) >= LETTERS_OF_LONG_WORD for word in text.split()]
    num_long = np.cumsum([0, *is_long])
    hashes = whole.hashes(WORDS_PER_RUN)
    in_run = num_long[WORDS_PER_RUN:] - num_long[:-WORDS_PER_RUN]
    telling = hashes[in_run >= MIN_LONG_IN_RUN]
    anchor = max(parts, key=len)
    size = next((n for n in WORDS_PER_ANCHOR if n <= len(anchor)), None)
    if len(parts[0]) >= WORDS_PER_RUN or size is None or not _is_telling(text):
        return _Wording(telling, hashes[:0], text, ())
    strings = {b" %s " % part.joined for part in parts if part.joined}
    longest_first = tuple(sorted(strings, key=lambda string: (-len(string), string)))
    return _Wording(telling, anchor.hashes(size)[-1:], text, longest_first)


def _flat(hashes: Sequence[Hashes]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Return all hashes in one array, and the number of the question that each is of."""
    owners = np.repeat(np.arange(len(hashes)), [len(own) for own in hashes])
    return np.concatenate([np.zeros(0, np.uint64), *hashes]), owners


def _is_telling(text: bytes) -> bool:
    words = {word for word in text.decode().split() if word.isalpha()}
    return sum(len(word) >= LETTERS_OF_LONG_WORD for word in words) >= MIN_LONG_IN_QUESTION


def _tune_of(question: Question) -> frozenset[int]:
    """Return the hashes of a question's tune, none when it is too short or cannot be read."""
    if question.abc is None:
        return frozenset()
    try:
        hashes = melodic_fingerprint(parse(question.abc))
    except AbcError:
        return frozenset()
    return hashes if len(hashes) >= MIN_MELODIC_HASHES else frozenset()


def _packed_filter(hashes: Hashes) -> npt.NDArray[np.uint8]:
    """Return one bit for each value of a hash's upper bits, set where some hash has it."""
    bits = np.zeros(1 << _FILTER_BITS, np.bool_)
    bits[hashes >> _UNFILTERED_BITS] = True
    return np.packbits(bits, bitorder="little")


def _passing(packed: npt.NDArray[np.uint8], hashes: Hashes) -> npt.NDArray[np.int64]:
    """Return the places of hashes whose bit is set."""
    upper = hashes >> _UNFILTERED_BITS
    bits = packed[upper >> np.uint64(3)] >> (upper & np.uint64(7)).astype(np.uint8)
    return np.flatnonzero(bits & np.uint8(1))
