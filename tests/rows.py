"""Rows on disk for tests that need some but are about something else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicllm.data.documents import Documents
from musicllm.data.packing import FORMERS
from musicllm.data.rows import RowStore, finish, write_shard
from musicllm.data.store import TokenStore, write_block


def write_rows(
    folder: Path,
    documents: Documents,
    former: str,
    max_length: int,
    source: Sequence[int] | None = None,
) -> RowStore:
    """Form rows of documents and write them as one shard.

    Args:
        folder: becomes the rows.
        documents: in memory.
        former: `pack`, `chunk` or `single`.
        max_length: tokens in a row.
        source: of each document; 0 for all when it is not given.
    """
    count = len(documents.lengths)
    plan = FORMERS[former](documents.lengths, max_length)
    sources = np.array([0] * count if source is None else source, np.int16)
    with tempfile.TemporaryDirectory() as name:
        write_block(Path(name), "tokens", documents, sources, np.zeros(count, np.int8))
        store = TokenStore(Path(name), ["tokens"])
        write_shard(folder, 0, store.read(plan, np.arange(count)))
    finish(folder)
    return RowStore(folder)


def make_documents(*documents: Sequence[int], unsupervised: Sequence[int] = ()) -> Documents:
    """Return documents of these tokens, supervised but for the first and those that are listed."""
    lengths = [len(tokens) for tokens in documents]
    ids = np.array([token for tokens in documents for token in tokens], np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    supervised = ~np.isin(ids, unsupervised)
    supervised[offsets[:-1][np.array(lengths, np.int64) > 0]] = False
    return Documents(ids, supervised, offsets)
