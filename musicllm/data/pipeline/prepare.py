"""The five phases, one after the other; see the package for what they do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musicllm.data.encoder import Encoder
from musicllm.data.engines import Engine
from musicllm.data.ledger import Ledger
from musicllm.data.pipeline.deciding import ReadParts, settle
from musicllm.data.pipeline.encoding import RangeEncoder, batch_ranges
from musicllm.data.pipeline.finishing import finish, translations
from musicllm.data.pipeline.forming import form
from musicllm.data.pipeline.reading import PartReader
from musicllm.data.pipeline.vocabulary import save_tokenizer
from musicllm.data.pipeline.work import Facts
from musicllm.data.records import SPLITS
from musicllm.data.settings import ExtendedTokenizer, NewTokenizer, Preparation
from musicllm.data.sources import find_parts
from musicllm.data.translations import IN_IT, NO_ENTRY, TRANSLATED
from musicllm.errors import StageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_NAMED = (
    "its files are named after splits that are held out: write data.sources.<name>.named_splits="
    "false to train on them"
)


def prepare(
    preparation: Preparation,
    tokenizer: PreTrainedTokenizerBase | NewTokenizer | ExtendedTokenizer,
    engine: Engine,
    work: Path,
    folder: Path,
) -> Facts:
    """Prepare a corpus.

    The result depends on the first two arguments and the sources' bytes alone. Cost: linear in
    text but for the search for duplicates (n log n). Memory: about 200 bytes a record in the
    calling process, and a batch of records in every worker.

    Args:
        preparation: what decides on the corpus.
        tokenizer: with its chat template, or how to extend or train one.
        engine: where the work is done; its workers see the same files.
        work: folder for what lies between the phases. It is kept when the preparation is
            interrupted, and the same call continues there; the caller deletes it afterwards.
        folder: an empty folder, filled with `records/`, `rows/`, `tokenizer/`, `rejected.jsonl` and
            `contamination.jsonl`.

    Returns:
        The facts of the corpus: counts, shares, lengths and fingerprints.

    Raises:
        InputError: a source, a tokenizer or a template cannot be used.
        StageError: too many faults, or nothing is left to train on.
    """
    work.mkdir(parents=True, exist_ok=True)
    parts = _read(preparation, engine, work)
    ledger = Ledger()
    for part in parts.facts:
        ledger.add(Ledger.from_json(part["ledger"]))
    ledger.check(preparation.max_reject_fraction)
    decisions = settle(parts, preparation, work / "decided")
    ledger.add(Ledger.from_json(decisions["ledger"]))
    identity = save_tokenizer(tokenizer, parts, work)
    _check_conversations(parts, preparation, work)
    encoded = _encode(preparation, parts, engine, work)
    for facts in encoded:
        ledger.add(Ledger.from_json(facts["ledger"]))
    ledger.check(preparation.max_reject_fraction)
    _check_translations(encoded)
    formed = {}
    for split in SPLITS:
        blocks = [f"{facts['folder']}/{split}" for facts in encoded if split in facts["splits"]]
        formed[split] = form(split, blocks, parts.sources, preparation, engine=engine, work=work)
    if not formed["train"]["rows"]:
        counts = ", ".join(f"{formed[split]['rows']:,} rows for {split}" for split in SPLITS)
        fixes = [] if any(not part["closed"] for part in parts.facts) else [_NAMED]
        fixes += ["lower data.test_fraction", "read more"]
        raise StageError(
            f"no record is left for training ({ledger.num_read.total():,} read, {counts}); "
            f"{', '.join(fixes)}, or look at what was dropped:\n{ledger.reasons()}"
        )
    facts = finish(
        preparation,
        parts,
        encoded,
        formed,
        ledger,
        identity=identity,
        work=work,
        folder=folder,
    )
    return facts | {name: decisions[name] for name in ("related", "related_pairs")}


def _read(preparation: Preparation, engine: Engine, work: Path) -> ReadParts:
    parts = [part for source in preparation.sources for part in find_parts(source)]
    reader = PartReader(work / "read", preparation)
    facts = list(engine.map(reader, list(enumerate(parts)), "reading and checking"))
    return ReadParts.of(work / "read", facts)


def _encode(preparation: Preparation, parts: ReadParts, engine: Engine, work: Path) -> list[Facts]:
    encoder = RangeEncoder(
        work / "encoded", work / "decided", work / "tokenizer", parts.sources, preparation
    )
    return list(engine.map(encoder, list(batch_ranges(parts)), "tokenizing"))


def _check_translations(encoded: Sequence[Facts]) -> None:
    """Refuse a table of translations that has no request of the corpus in a language."""
    facts = translations(encoded)
    for language, outcomes in facts["counts"].items():
        if outcomes.get(NO_ENTRY) and not (outcomes.get(TRANSLATED) or outcomes.get(IN_IT)):
            raise StageError(
                f"data.translation.shares.{language}: none of {outcomes[NO_ENTRY]:,} requests is "
                f"in the table; the first: {next(iter(facts['not_in_table']))[:200]!r}; make the "
                "table from the same data"
            )


def _check_conversations(parts: ReadParts, preparation: Preparation, work: Path) -> None:
    """Refuse a template or a row former that conversations cannot go through."""
    contents = [part["tables"].get("contents", {}) for part in parts.facts]
    if preparation.rows.former == "chunk" and any(part["num_clips"] for part in parts.facts):
        raise StageError(
            "data.row_former=chunk would cut documents in pieces, and some have audio; use "
            "data.row_former=pack or single"
        )
    num_conversations = sum(counts.get("messages", 0) for counts in contents)
    if preparation.instructions is None and not num_conversations:
        return
    if preparation.rows.former == "chunk":
        raise StageError(
            "data.row_former=chunk would cut conversations in pieces, and "
            f"{num_conversations:,} of the records are conversations; use "
            "data.row_former=pack or single"
        )
    Encoder.load(work / "tokenizer", preparation.rows).check()
