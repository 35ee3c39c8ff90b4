"""What a source consists of: its files, their format, and the parts they are cut into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path

from musicllm import artifacts, console
from musicllm.data.records import HELD_OUT, SPLITS
from musicllm.data.settings import SourceSpec
from musicllm.data.sources import hub
from musicllm.data.sources.detection import with_formats
from musicllm.data.sources.parts import Part, group
from musicllm.data.sources.read import read_part
from musicllm.errors import ArtifactError, NotAvailableError
from musicllm.files.lines import cut_lines
from musicllm.files.listing import Listing, list_files
from musicllm.files.opening import naming
from musicllm.files.pieces import Piece
from musicllm.files.readers import cut_row_groups
from musicllm.files.splits import split_of

FREE_BOOKS = ("oneills1850", "airdsAirs", "ryansMammoth")
"""O'Neill's Music of Ireland (1,850 tunes), Aird's Airs, Ryan's Mammoth Collection.

They come with the package music21 and are free to use as far as their files say. Its largest
book, the Essen folk songs, is for non-commercial use only and is never read.
"""


def find_parts(spec: SourceSpec) -> list[Part]:
    """Find the files of a source, name their format, and cut them into parts.

    Parts are in the order of the splits that their files are named after (see `splits`), and within
    one in that of the files' names. Files of lines and Parquet files are cut, others are read as a
    whole; small ones are put together.

    Cost: plain JSON Lines are read once, to count their lines. With `spec.max_records`, those
    records are read once more than otherwise.

    Raises:
        InputError: nothing to read, no known format, or a file is damaged.
        NotAvailableError: a hub data set or music21 is not there.
        ArtifactError: reader=corpus, and there is no valid corpus or no record in it.
    """
    match spec.reader:
        case "books":
            parts = _books()
        case "corpus":
            parts = _corpus(spec)
        case "files" | "hub":
            parts = _files(spec)
    return list(parts if spec.max_records is None else _limited(parts, spec.max_records))


def _limited(parts: Iterable[Part], num_records: int) -> Iterator[Part]:
    """Cut what is read of every split."""
    for _, same in groupby(parts, key=lambda part: part.split):
        left = num_records
        for part in same:
            if left == 0:
                break
            count = sum(1 for _ in islice(read_part(part), left))
            yield replace(part, limit=count)
            left -= count


def _books() -> Iterator[Part]:
    spec = find_spec("music21")  # not imported: that takes seconds
    if spec is None or not spec.submodule_search_locations:
        raise NotAvailableError(
            "reader=books reads the tune books of music21, which is not installed; "
            "pip install music21, or choose a folder of .abc files with reader=files"
        )
    for book in FREE_BOOKS:
        root = Path(spec.submodule_search_locations[0]) / "corpus" / book
        pieces = list_files(root, "music21").pieces
        tunes = [("abc", piece) for piece in pieces if piece.kind == "abc"]
        yield from (Part(book, root, name, group_) for name, group_ in group(tunes))


def _corpus(spec: SourceSpec) -> Iterator[Part]:
    assert spec.location, f"source {spec.name} lacks the folder of its corpus"
    folder = artifacts.read(Path(spec.location).expanduser(), "corpus").path
    if not any(folder.glob("records/*/*.jsonl")):
        raise ArtifactError(f"{folder} is a corpus without records; prepare it again")
    for split in SPLITS:
        root = folder / "records" / split
        files = [
            Piece(path.name, "jsonl", num_bytes=path.stat().st_size)
            for path in sorted(root.glob("*.jsonl"))
        ]
        pieces = (("record", cut) for piece in files for cut in cut_lines(root / piece.name, piece))
        for name, group_ in group(pieces):
            yield Part(spec.name, root, name, group_, split=split, is_corpus=True)


def _by_split(
    spec: SourceSpec, pieces: Iterable[tuple[str, Piece]]
) -> dict[str | None, list[tuple[str, Piece]]]:
    """Return the pieces of each held-out split; under None those that may be trained on."""
    chosen: dict[str | None, list[tuple[str, Piece]]] = {split: [] for split in (None, *HELD_OUT)}
    for known, piece in pieces:
        split = split_of(piece) if spec.named_splits else None
        chosen[split if split in HELD_OUT else None].append((known, piece))
    return chosen


def _files(spec: SourceSpec) -> Iterator[Part]:
    key = f"data.sources.{spec.name}.location"
    if spec.reader == "hub":
        listing = list_files(hub.locate(spec), key, hub.choose, spec.kinds)
    else:
        assert spec.location, f"source {spec.name} lacks its location"
        listing = list_files(Path(spec.location).expanduser(), key, kinds=spec.kinds)
    pieces = with_formats(spec, listing)
    by_split = _by_split(spec, pieces)
    _tell(spec.name, listing, by_split)
    closed = tuple(split for split in HELD_OUT if by_split[split])
    for split, some in by_split.items():
        cut = ((name, part) for name, piece in some for part in _cut(listing.root, piece))
        for name, group_ in group(cut):
            yield Part(spec.name, listing.root, name, group_, split=split, closed=closed)


def _cut(root: Path, piece: Piece) -> Iterator[Piece]:
    path = root / piece.name
    if piece.member or piece.compression:
        yield piece
    elif piece.kind == "jsonl":
        yield from cut_lines(path, piece)
    elif piece.kind == "parquet":
        with naming(path):
            yield from cut_row_groups(path, piece)
    else:
        yield piece


def _tell(
    name: str, listing: Listing, by_split: Mapping[str | None, Sequence[tuple[str, Piece]]]
) -> None:
    pieces = {p.place: (p.kind, known) for some in by_split.values() for known, p in some}
    counts = Counter(pieces.values())
    told = (f"{count} .{kind} (format {known})" for (kind, known), count in counts.items())
    console.say(f"source {name}: {', '.join(told)}")
    if any(by_split[split] for split in HELD_OUT):
        files = (f"{split or 'train'}: {_named(by_split[split])}" for split in by_split)
        console.say(
            f"source {name}: its files are divided by their names, {'; '.join(files)} "
            f"(data.sources.{name}.named_splits=false pools them)"
        )
    if listing.ignored:
        left_out = ", ".join(f"{count} {suffix}" for suffix, count in listing.ignored.items())
        console.note(f"source {name}: files that are not read: {left_out}")


def _named(pieces: Sequence[tuple[str, Piece]]) -> str:
    """Name the first of some files, and say how many there are."""
    names = list(dict.fromkeys(f"{piece.place} {piece.list_name}".strip() for _, piece in pieces))
    more = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{more}" or "none"
