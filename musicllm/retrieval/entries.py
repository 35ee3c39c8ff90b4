"""The tunes of records as an index holds them: their ABC, their title, and the words about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from musicllm.data.instructions.subject import key_in_words
from musicllm.data.instructions.wordings import languages, wordings
from musicllm.data.records import Record, texts_of
from musicllm.music.abc import AbcError, Score, find_tunes, parse
from musicllm.music.abc.keys import MODES
from musicllm.music.analysis import melodic_steps

MAX_PROSE_CHARS = 2000
"""Of what a record says beside its tunes; a longer text is a book that mentions them."""

_NAMING = re.compile(r"^[TCOABDHRG]:(.*)$", re.MULTILINE)
"""Fields with words about a tune: title, composer, origin, area, book, record, history, type."""


@dataclass(frozen=True)
class Entry:
    """A tune of a record.

    Attributes:
        record: id of the record.
        source: of the record.
        title: its first `T:`; empty where there is none.
        abc: as the record has it.
        score: as it was parsed.
        words: text about it: its fields, key and metre in all languages, and the record's prose.
    """

    record: str
    source: str
    title: str
    abc: str
    score: Score
    words: str

    @property
    def key(self) -> int:
        """A 64-bit hash of the melody in any key and note values; of the text without a melody."""
        same = repr(melodic_steps(self.score) or self.abc.split())
        return int.from_bytes(blake2b(same.encode(), digest_size=8).digest(), "little")


def entries(record: Record, min_notes: int, drops: Counter[str]) -> Iterator[Entry]:
    """Yield the tunes of a record that can be read; linear in its text.

    Args:
        record: with `text` or `messages`.
        min_notes: tunes with fewer notes are left out.
        drops: counts what is left out, by reason.
    """
    texts = texts_of(record)
    spans = [find_tunes(text) for text in texts]
    if not any(spans):
        drops["records without a tune"] += 1
        return
    prose: list[str] = [str(record.get("title", ""))]
    for text, places in zip(texts, spans, strict=True):
        borders = [0, *(end for span in places for end in (span.start, span.stop)), len(text)]
        prose += [text[a:b] for a, b in zip(borders[::2], borders[1::2], strict=True)]
    about = "\n".join(prose)[:MAX_PROSE_CHARS]
    for text, places in zip(texts, spans, strict=True):
        for span in places:
            tune = text[span.start : span.stop]
            try:
                score = parse(tune)
            except AbcError:
                drops["tunes that do not parse"] += 1
                continue
            if _num_notes(score) < min_notes:
                drops["tunes that are too short"] += 1
                continue
            title = score.header.get("T", "")
            named = f"{description(score)}\n{about}"
            yield Entry(record["id"], record["source"], title, tune, score, named)


def description(score: Score) -> str:
    """Return the words of a tune's fields, and its type, key and metre in all languages."""
    fields = _NAMING.findall(score.source)
    rhythm = " ".join(score.header.get("R", "").lower().split())
    key = key_in_words(score.key) if score.key.mode in MODES else ""
    for language in languages(None):
        names = wordings(language).words
        fields += [names.translate("rhythm", rhythm)] if rhythm else []
        fields += [names.translate("key", key)] if key else []
    return "\n".join([*fields, score.metre_text])


def _num_notes(score: Score) -> int:
    return sum(bool(note.pitches) for bar in score.bars for note in bar.notes)
