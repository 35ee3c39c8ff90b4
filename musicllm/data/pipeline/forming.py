"""Phase four: documents become rows. The mix draws, the row former plans, shards are written.

Plans need lengths only. A shard is one item of work: it gathers the tokens of its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musicllm.data.engines import Engine
from musicllm.data.heard import write_clips
from musicllm.data.languages import LANGUAGES
from musicllm.data.mix import draw
from musicllm.data.packing import FORMERS, RowPlan
from musicllm.data.pipeline.encoding import BLOCK, CLIPS, KEYS, LANGUAGE
from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import KINDS
from musicllm.data.rows import write_shard
from musicllm.data.settings import Preparation
from musicllm.data.store import TokenStore

DRAWN = "drawn.npy"
INDEX = "index"
TOKENS_PER_SHARD = 1 << 24
"""Of full rows: about 64 MiB of token ids."""

EDGES = (0, *(1 << power for power in range(1, 21)))
"""Borders of the bins in which documents are counted by tokens; the last holds longer ones, too."""


@dataclass(frozen=True)
class ShardWriter:
    """Writes the shards of a split into folders `<folder>/<number>/`.

    Attributes:
        folder: of the split's shards.
        plan: folder of the row plan and of what was drawn.
        tokens: folder of the token store.
        blocks: names of its blocks, in order.
        rows_per_shard: of every shard but the last.
    """

    folder: Path
    plan: Path
    tokens: Path
    blocks: tuple[str, ...]
    rows_per_shard: int

    def __call__(self, number: int) -> Facts:
        """Write a shard, or find that it was written."""
        return once(self.folder / f"{number:05d}", lambda empty: self._write(number, empty))

    def _write(self, number: int, folder: Path) -> Facts:
        plan = RowPlan.load(self.plan)
        first = number * self.rows_per_shard
        part = plan.part(first, min(first + self.rows_per_shard, plan.num_rows))
        store = TokenStore(self.tokens, self.blocks, self.plan / INDEX)
        documents = np.load(self.plan / DRAWN, mmap_mode="r")
        return vars(write_shard(folder, number, store.read(part, documents)))


def form(
    split: str,
    blocks: Sequence[str],
    sources: Sequence[str],
    preparation: Preparation,
    *,
    engine: Engine,
    work: Path,
) -> Facts:
    """Form the rows of a split.

    Cost: planning is linear in documents, about 100 bytes each; writing is linear in tokens.

    Args:
        split: `train`, whose documents are drawn by the mix, or another one.
        blocks: folders of its documents within `<work>/encoded`.
        sources: names of all sources.
        preparation: mix, row former and row length.
        engine: where shards are written.
        work: the work folder.

    Returns:
        `rows`, `tokens`, `supervised_tokens`, `tokens_by_source`, `lengths`, `mix`, and
        `without_rows`, documents of a token, which have nothing to predict; `languages`, the
        documents and tokens in each language; and where there is audio `clips`, how many.
    """
    tokens, names = work / "encoded", tuple(f"{block}/{BLOCK}" for block in blocks)
    plan = work / "plans" / split

    def planned(folder: Path) -> Facts:
        store = TokenStore(tokens, names, folder / INDEX)
        folders = [tokens / block for block in blocks]
        language = _column(folders, LANGUAGE, np.int8)
        documents, report = _draw(
            split, store, folders, language=language, sources=sources, preparation=preparation
        )
        rows = preparation.rows
        row_plan = FORMERS[rows.former](store.lengths[documents], rows.max_length)
        row_plan.save(folder)
        np.save(folder / DRAWN, documents)
        clips = write_clips(folder, row_plan, documents, [path / CLIPS for path in folders], store)
        counts = np.histogram(np.minimum(store.lengths, EDGES[-1]), bins=EDGES)[0]
        lengths = {"edges": list(EDGES), "counts": counts.tolist()}
        return {
            "rows": row_plan.num_rows,
            "without_rows": int((store.lengths[documents] < 2).sum()),
            "lengths": lengths,
            "languages": _languages(language[documents], store.lengths[documents]),
            "mix": report,
            **clips,
        }

    facts = once(plan, planned)
    rows_per_shard = max(1, TOKENS_PER_SHARD // preparation.rows.max_length)
    writer = ShardWriter(work / "rows" / split, plan, tokens, names, rows_per_shard)
    numbers = list(range(-(-facts["rows"] // rows_per_shard)))
    shards = list(engine.map(writer, numbers, f"writing {split} rows", "shard"))
    return facts | _sums(shards, sources)


def _draw(
    split: str,
    store: TokenStore,
    folders: Sequence[Path],
    *,
    language: npt.NDArray[np.int8],
    sources: Sequence[str],
    preparation: Preparation,
) -> tuple[npt.NDArray[np.int64], list[dict[str, Any]]]:
    """Return the documents of a split in the order of the store, and what the mix did."""
    if split != "train":
        return np.arange(len(store.lengths)), []
    parts: dict[str, tuple[npt.NDArray[Any], Sequence[str]]] = {
        "source": (store.source, sources),
        "kind": (store.kind, KINDS),
        "language": (language, LANGUAGES),
    }
    part, names = parts[preparation.mix.by]
    selection = draw(
        part.astype(np.int16),
        store.lengths,
        names,
        preparation.mix,
        seed=preparation.seed,
        keys=_column(folders, KEYS, np.uint64),
    )
    return selection.documents, selection.report


def _column(folders: Sequence[Path], name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a column over all blocks."""
    return np.concatenate([np.zeros(0, dtype), *(np.load(path / name) for path in folders)])


def _languages(language: npt.NDArray[np.int8], lengths: npt.NDArray[np.int64]) -> Facts:
    """Return the documents and tokens in each language that there is."""
    documents = np.bincount(language, minlength=len(LANGUAGES)).tolist()
    tokens = np.bincount(language, lengths, len(LANGUAGES)).astype(np.int64).tolist()
    return {
        name: {"documents": documents[number], "tokens": tokens[number]}
        for number, name in enumerate(LANGUAGES)
        if documents[number]
    }


def _sums(shards: Sequence[Facts], sources: Sequence[str]) -> Facts:
    """Add up what the shards hold."""
    by_source: Counter[str] = Counter()
    for shard in shards:
        by_source.update(dict(zip(sources, shard["tokens_by_source"], strict=False)))
    return {
        "tokens": sum(shard["num_tokens"] for shard in shards),
        "supervised_tokens": sum(shard["num_supervised"] for shard in shards),
        "tokens_by_source": dict(by_source),
    }
