"""A file, a folder or a zip, of this machine or of a data set of the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from musicllm import console
from musicllm.data.records import HELD_OUT
from musicllm.data.settings import SourceSpec
from musicllm.data.sources.detection import with_formats
from musicllm.data.sources.parts import Part, group
from musicllm.data.sources.readers import READERS, SourceReader
from musicllm.files import hub, selections
from musicllm.files.kinds import KINDS
from musicllm.files.listing import Listing, list_files
from musicllm.files.opening import naming_damage
from musicllm.files.pieces import Piece
from musicllm.files.splits import split_of

Splits = dict[str | None, list[tuple[str, Piece]]]
"""Format and piece of the files of each held-out split; under None, of those to train on."""


def _of_files(spec: SourceSpec) -> Iterator[Part]:
    assert spec.location, f"source {spec.name} lacks its location"
    key = f"data.sources.{spec.name}.location"
    return _parts(spec, list_files(Path(spec.location).expanduser(), key, kinds=spec.kinds))


def _of_hub(spec: SourceSpec) -> Iterator[Part]:
    assert spec.location, f"source {spec.name} lacks its hub id"
    assert spec.cache, f"source {spec.name} lacks a cache folder"
    key = f"data.sources.{spec.name}"
    folder = hub.locate(key, spec.location, spec.revision, spec.cache, selections.records())
    choose = selections.choose_records
    return _parts(spec, list_files(folder, f"{key}.location", choose, spec.kinds))


def _parts(spec: SourceSpec, listing: Listing) -> Iterator[Part]:
    splits: Splits = {split: [] for split in (None, *HELD_OUT)}
    for record_format, piece in with_formats(spec, listing):
        split = split_of(piece) if spec.named_splits else None
        splits[split if split in HELD_OUT else None].append((record_format, piece))
    _report(spec.name, listing, splits)
    closed = tuple(split for split in HELD_OUT if splits[split])
    for split, files in splits.items():
        cut = ((name, piece) for name, file in files for piece in _cut(listing.root, file))
        for name, pieces in group(cut):
            yield Part(spec.name, listing.root, name, pieces, split=split, closed=closed)


def _cut(root: Path, piece: Piece) -> Iterator[Piece]:
    cut = KINDS[piece.kind].cut
    if cut is None or piece.member or piece.compression:
        yield piece
        return
    path = root / piece.name
    with naming_damage(path):
        yield from cut(path, piece)


def _report(name: str, listing: Listing, splits: Splits) -> None:
    """Print which files of a source are read as what, and which are not."""
    files = {piece.place: (piece.kind, fmt) for pieces in splits.values() for fmt, piece in pieces}
    counts = Counter(files.values())
    kinds = (f"{count} .{kind} (format {fmt})" for (kind, fmt), count in counts.items())
    console.say(f"source {name}: {', '.join(kinds)}")
    if any(splits[split] for split in HELD_OUT):
        names = (f"{split or 'train'}: {_first_names(splits[split])}" for split in splits)
        console.say(
            f"source {name}: its files are divided by their names, {'; '.join(names)} "
            f"(data.sources.{name}.named_splits=false pools them)"
        )
    if listing.ignored:
        ignored = ", ".join(f"{count} {suffix}" for suffix, count in listing.ignored.items())
        console.note(f"source {name}: files that are not read: {ignored}")


def _first_names(pieces: Sequence[tuple[str, Piece]]) -> str:
    """Name the first of some files, and say how many there are."""
    names = list(dict.fromkeys(f"{piece.place} {piece.list_name}".strip() for _, piece in pieces))
    more = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{more}" or "none"


FILES = READERS.register(SourceReader("files", _of_files, needs_location=True))
HUB = READERS.register(SourceReader("hub", _of_hub, needs_location=True))
