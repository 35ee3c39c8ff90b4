"""From records to the files of a corpus: `records/`, `rows/`, `tokenizer/`, `rejected.jsonl`.

Where the records come from, and in which split each belongs, was decided before; see
`stages/prepare.py`. `data/corpus.py` reads what is written here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from musicllm import artifacts
from musicllm.data import rows
from musicllm.data.corpus import write_jsonl
from musicllm.data.ledger import Ledger
from musicllm.data.records import SPLITS, Record
from musicllm.data.rows import RowStore
from musicllm.data.tokens import tokenize


def build(
    folder: Path,
    records: Mapping[str, Sequence[Record]],
    tokenizer: PreTrainedTokenizerBase,
    ledger: Ledger,
    row_former: str,
    max_length: int,
) -> dict[str, Any]:
    """Write the files of a corpus.

    Cost: linear in text; the tokens of one split are in memory at a time (5 bytes each).

    Args:
        folder: an empty folder.
        records: of each split; all of one kind, `text` or `messages`.
        tokenizer: with its chat template.
        ledger: what was read and dropped so far; too long conversations are added to it.
        row_former: `pack`, `chunk` or `single`.
        max_length: tokens in a row.

    Returns:
        The corpus's facts: `sources`, `read`, `dropped`, `splits`, `vocab_size`, `max_length`,
        `tokenizer_fingerprint`, `template_fingerprint`.

    Raises:
        InputError: the chat template cannot be used; see `tokens.tokenize`.
    """
    sources = sorted(ledger.num_read)
    tokenizer.save_pretrained(folder / "tokenizer")
    splits = {}
    for split in SPLITS:
        documents, drops = tokenize(tokenizer, records[split], sources, max_length)
        ledger.drops += drops
        dropped = {drop.place for drop in drops}
        kept = [record for record in records[split] if record["id"] not in dropped]
        write_jsonl(folder / "records" / f"{split}.jsonl", kept)
        rows.write(folder / "rows" / split, documents, row_former, max_length)
        splits[split] = _facts_of_split(kept, RowStore(folder / "rows" / split), max_length)
    ledger.write(folder / "rejected.jsonl")
    return {
        "sources": sources,
        "read": dict(ledger.num_read),
        "dropped": ledger.counts(),
        "splits": splits,
        "vocab_size": len(tokenizer),
        "max_length": max_length,
        "tokenizer_fingerprint": artifacts.checksum(folder / "tokenizer" / "tokenizer.json")[:12],
        "template_fingerprint": _fingerprint(tokenizer.chat_template or ""),
    }


def _facts_of_split(records: Sequence[Record], store: RowStore, max_length: int) -> dict[str, Any]:
    num_tokens = int(store.num_tokens.sum())
    return {
        "documents": len(records),
        "by_source": dict(Counter(record["source"] for record in records)),
        "characters": sum(map(_num_characters, records)),
        "rows": len(store),
        "tokens": num_tokens,
        "supervised_tokens": int(store.num_supervised.sum()),
        "packing_efficiency": num_tokens / (max_length * len(store)) if len(store) else 0.0,
    }


def _num_characters(record: Record) -> int:
    if "text" in record:
        return len(record["text"])
    return sum(len(message["content"]) for message in record["messages"])


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
