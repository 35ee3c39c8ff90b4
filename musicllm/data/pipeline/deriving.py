"""What becomes of records that stay, before they are encoded.

Tunes get copies in other keys, or become conversations; requests are translated, and conversations
get their system prompt. Each record is looked at on its own, and what becomes of it is a function
of the record and the settings.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from musicllm.data.instructions import make_instructions
from musicllm.data.languages import language_of
from musicllm.data.records import Drop, Record
from musicllm.data.settings import Preparation, limits_of
from musicllm.data.translations import NO_ENTRY, translated
from musicllm.data.transposed import copies

TRANSLATIONS, WITHOUT, PROMPTS = "translations", "not_in_table", "system_prompts"
"""Tables: `language outcome`, wordings that the table lacks, and languages of system prompts."""


class PlacedRecord(NamedTuple):
    """A record, its kind as a position in `KINDS`, and the split that it belongs to."""

    record: Record
    kind: int
    split: str


class Derived(NamedTuple):
    """What became of some records.

    Attributes:
        records: to encode.
        drops: what could not be derived.
        tables: counts, under the names above.
    """

    records: list[PlacedRecord]
    drops: list[Drop]
    tables: dict[str, Counter[str]]


def derive(placed: Sequence[PlacedRecord], preparation: Preparation) -> Derived:
    """Return what becomes of records."""
    derived: list[PlacedRecord] = []
    drops: list[Drop] = []
    tables: defaultdict[str, Counter[str]] = defaultdict(Counter)
    prompts = dict(preparation.system_prompts)
    for original in placed:
        records, refused = _tunes_and_conversations(original, preparation)
        drops += refused
        for record in records:
            finished = _translated(record, preparation, tables)
            if prompts:
                finished = _with_system_prompt(finished, prompts, tables)
            derived.append(original._replace(record=finished))
    return Derived(derived, drops, dict(tables))


def _tunes_and_conversations(
    original: PlacedRecord, preparation: Preparation
) -> tuple[list[Record], list[Drop]]:
    """Return a record with its copies in other keys, or conversations about these tunes."""
    records = [original.record]
    drops: list[Drop] = []
    if original.split == "train" and preparation.transpose_semitones != (0,):
        records, drops = copies(
            original.record, preparation.transpose_semitones, limits_of(preparation.music)
        )
    if preparation.instructions is None:
        return records, drops
    conversations: list[Record] = []
    for record in records:
        made, refused = make_instructions(record, preparation.instructions, preparation.seed)
        conversations += made
        drops += refused
    return conversations, drops


def _translated(
    record: Record, preparation: Preparation, tables: Mapping[str, Counter[str]]
) -> Record:
    if preparation.translation is None:
        return record
    result = translated(record, preparation.translation, preparation.seed)
    if result.outcome:
        tables[TRANSLATIONS][f"{result.language} {result.outcome}"] += 1
    if result.outcome == NO_ENTRY:
        tables[WITHOUT][result.wording] += 1
    return result.record


def _with_system_prompt(
    record: Record, prompts: Mapping[str, str], tables: Mapping[str, Counter[str]]
) -> Record:
    """Return a conversation with the prompt of its language, unless it has one of its own."""
    if "messages" not in record or record["messages"][0]["role"] == "system":
        return record
    language = language_of(record)
    tables[PROMPTS][language if language in prompts else "none"] += 1
    if language not in prompts:
        return record
    system = {"role": "system", "content": prompts[language]}
    return {**record, "messages": [system, *record["messages"]]}
