"""Phase five: the files take their places in the corpus, and its facts are added up.

The work folder stays whole, so that this phase, too, can be interrupted. The facts are what reports
and training read.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from musicllm.data import rows
from musicllm.data.encoder import Encoder
from musicllm.data.heard import NAMES
from musicllm.data.ledger import Ledger
from musicllm.data.packing import VERSION
from musicllm.data.pipeline.also import write_also
from musicllm.data.pipeline.columns import DROPS
from musicllm.data.pipeline.deciding import ReadParts
from musicllm.data.pipeline.deriving import PROMPTS, TRANSLATIONS, WITHOUT
from musicllm.data.pipeline.encoding import RECORDS
from musicllm.data.pipeline.work import FACTS, Facts
from musicllm.data.records import KINDS, SPLITS
from musicllm.data.settings import Preparation

NUM_EXAMPLES = 50
"""Contaminated records that the facts show; all of them are in `contamination.jsonl`."""

NUM_WORDINGS = 20
"""Requests without a translation that the facts show."""

NUM_UNREADABLE = 50
"""Spellings of chord symbols which cannot be read that the facts show."""


def finish(
    preparation: Preparation,
    parts: ReadParts,
    encoded: Sequence[Facts],
    formed: Mapping[str, Facts],
    ledger: Ledger,
    *,
    identity: Facts,
    work: Path,
    folder: Path,
) -> Facts:
    """Fill the corpus's folder from the work folder, and return the corpus's facts."""
    for split in SPLITS:
        _place_rows(work / "rows" / split, folder / "rows" / split)
        for name in NAMES:
            if (clips := work / "plans" / split / name).exists():
                _place(clips, folder / "rows" / split / name)
        _place_records(work / "encoded", encoded, split, folder / "records" / split)
    shutil.copytree(work / "tokenizer", folder / "tokenizer", ignore=shutil.ignore_patterns(FACTS))
    drops = [
        *(part / DROPS for part in parts.folders),
        work / "decided" / DROPS,
        *(work / "encoded" / facts["folder"] / DROPS for facts in encoded),
    ]
    _join(drops, folder / "rejected.jsonl")
    matches = [match for part in parts.facts for match in part["matches"]]
    lines = (json.dumps(match, ensure_ascii=False) + "\n" for match in matches)
    (folder / "contamination.jsonl").write_text("".join(lines), encoding="utf-8")
    return {
        "sources": list(parts.sources),
        "formats": _formats(parts),
        "read": dict(ledger.num_read),
        "given": _own_splits(parts),
        "dropped": ledger.counts(),
        "repaired": _by_source(parts, "repaired"),
        "kept_faulty": _by_source(parts, "kept_faulty"),
        "left_out": _by_source(parts, "left_out"),
        "kinds": {name: _table(parts, "kinds")[name] for name in KINDS},
        "masked_turns": _table(parts, "contents")["masked_turns"],
        "splits": {
            split: _facts_of_split(split, encoded, formed[split], preparation) for split in SPLITS
        },
        "mix": formed["train"]["mix"],
        "translations": translations(encoded),
        "system_prompts": dict(_sum(encoded, None, PROMPTS)),
        "also_written": write_also(preparation.also_write, encoded, work, folder),
        "music": {name: dict(_table(parts, name)) for name in ("keys", "metres", "types")}
        | {"families": dict(_sum(encoded, None, "families"))}
        | _chords(parts),
        "contamination": {
            "questions": len(preparation.questions),
            "not_covered": max((part["not_covered"] for part in parts.facts), default=0),
            "removed": len(matches),
            "examples": matches[:NUM_EXAMPLES],
        },
        **identity,
        "max_length": preparation.rows.max_length,
        "row_former": preparation.rows.former,
        "row_former_version": VERSION,
        "compat": preparation.rows.compat,
        **_audio(formed, preparation, folder),
    }


def _audio(formed: Mapping[str, Facts], preparation: Preparation, folder: Path) -> Facts:
    """Return where audio stands in the documents; nothing for a corpus of text."""
    if not any("clips" in facts for facts in formed.values()):
        return {}
    encoder = Encoder.load(folder / "tokenizer")
    places = preparation.rows.audio_tokens
    return {"audio": {"num_places": places, "first_place": encoder.first_audio_place}}


def translations(encoded: Sequence[Facts]) -> Facts:
    """Return what became of requests, by language, and the most frequent without a translation."""
    without = _sum(encoded, None, WITHOUT)
    counts: dict[str, dict[str, int]] = {}
    for name, count in _sum(encoded, None, TRANSLATIONS).most_common():
        language, _, outcome = name.partition(" ")
        counts.setdefault(language, {})[outcome] = count
    return {
        "counts": counts,
        "num_not_in_table": len(without),
        "not_in_table": dict(without.most_common(NUM_WORDINGS)),
    }


def _place_rows(shards: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for shard in sorted(shards.glob("[0-9]*")):
        for file in shard.iterdir():
            if file.name != FACTS:
                _place(file, folder / file.name)
    rows.finish(folder)


def _place_records(tokens: Path, encoded: Sequence[Facts], split: str, folder: Path) -> None:
    """Give the records of a split's ranges their places, numbered in order."""
    folder.mkdir(parents=True)
    with_split = (facts["folder"] for facts in encoded if split in facts["splits"])
    for number, name in enumerate(with_split):
        _place(tokens / name / split / RECORDS, folder / f"{number:05d}.jsonl")


def _place(file: Path, place: Path) -> None:
    """Give a file a second name, which costs nothing, or copy it where that is not possible."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def _join(files: Sequence[Path], path: Path) -> None:
    with path.open("wb") as joined:
        for file in files:
            with file.open("rb") as piece:
                shutil.copyfileobj(piece, joined)


def _formats(parts: ReadParts) -> dict[str, str]:
    """Return the formats of each source's records."""
    formats: dict[str, dict[str, None]] = {}
    for part in parts.facts:
        for source in part["ledger"]["num_read"]:
            formats.setdefault(source, {})[part["format"]] = None
    return {source: ", ".join(names) for source, names in formats.items()}


def _own_splits(parts: ReadParts) -> dict[str, dict[str, int]]:
    """Return how many records were read for the splits that sources give themselves."""
    counts: dict[str, Counter[str]] = {}
    for part in parts.facts:
        if part["closed"]:
            for source, count in part["ledger"]["num_read"].items():
                counts.setdefault(source, Counter())[part["split"] or "train"] += count
    return {source: {split: own[split] for split in SPLITS} for source, own in counts.items()}


def _by_source(parts: ReadParts, name: str) -> dict[str, dict[str, int]]:
    sums: dict[str, Counter[str]] = {}
    for part in parts.facts:
        for source, counts in part["by_source"].get(name, {}).items():
            sums.setdefault(source, Counter()).update(counts)
    return {source: dict(counts.most_common()) for source, counts in sums.items() if counts}


def _table(parts: ReadParts, name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts.facts:
        total.update(part["tables"].get(name, {}))
    return total


def _chords(parts: ReadParts) -> Facts:
    """Return how many chord symbols were read, and the texts that were not, most frequent first."""
    counts, unreadable = _table(parts, "chords"), _table(parts, "unreadable_chords")
    return {
        "chord_symbols": counts["read"],
        "unreadable_chord_symbols": counts["not read"],
        "tunes_with_unreadable_chords": counts["tunes"],
        "unreadable_chords": dict(unreadable.most_common(NUM_UNREADABLE)),
    }


def _sum(encoded: Sequence[Facts], split: str | None, name: str) -> Counter[str]:
    """Add up a table of the ranges, over one split or all."""
    total: Counter[str] = Counter()
    for facts in encoded:
        for own, tables in facts["splits"].items():
            if split in (None, own):
                total.update(tables.get(name, {}))
    return total


def _facts_of_split(
    split: str, encoded: Sequence[Facts], formed: Facts, preparation: Preparation
) -> Facts:
    sizes = _sum(encoded, split, "sizes")
    room = formed["rows"] * preparation.rows.max_length
    return {
        "documents": sizes["documents"],
        "by_source": dict(_sum(encoded, split, "by_source")),
        "characters": sizes["characters"],
        "cut": sizes["cut"],
        **{key: value for key, value in formed.items() if key != "mix"},
        "packing_efficiency": formed["tokens"] / room if room else 0.0,
    }
