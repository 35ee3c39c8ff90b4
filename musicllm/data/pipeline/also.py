"""The documents of a corpus in formats of other programs, as its rows hold them.

The files have the documents that the mix draws, in the order of the corpus, those of a second pass
after those of the first; so another program trains on what rows are made of. A format is
`data.writers`; here is which records it gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson

from musicllm import artifacts
from musicllm.data.pipeline.encoding import RECORDS
from musicllm.data.pipeline.forming import DRAWN
from musicllm.data.pipeline.work import Facts
from musicllm.data.records import SPLITS, Record
from musicllm.data.writers import WRITERS

FOLDER = "also"


def write_also(names: Sequence[str], encoded: Sequence[Facts], work: Path, folder: Path) -> Facts:
    """Write every split that has documents to `<folder>/also/<format>/<split><suffix>`.

    Cost: reads and writes the text of the records once for every format. Memory: one record, and 8
    bytes a document.

    Args:
        names: of the formats, keys of `WRITERS`.
        encoded: facts of the encoded ranges, in order.
        work: the work folder.
        folder: of the corpus.

    Returns:
        Format -> split -> `file` within the corpus, its `records`, `bytes` and `sha256`.
    """
    facts: Facts = {}
    for name in dict.fromkeys(names):
        writer = WRITERS[name]
        (folder / FOLDER / name).mkdir(parents=True)
        for split in SPLITS:
            blocks = [
                work / "encoded" / f["folder"] / split for f in encoded if split in f["splits"]
            ]
            drawn = np.load(work / "plans" / split / DRAWN)
            if not len(drawn):
                continue
            path = folder / FOLDER / name / f"{split}{writer.suffix}"
            with path.open("wb") as file:
                count = writer.write(_records(blocks, drawn.tolist()), file)
            assert count == len(drawn), f"{name} wrote {count} of {len(drawn)} records"
            facts.setdefault(name, {})[split] = {
                "file": path.relative_to(folder).as_posix(),
                "records": count,
                "bytes": path.stat().st_size,
                "sha256": artifacts.checksum(path),
            }
    return facts


def _records(blocks: Sequence[Path], drawn: Sequence[int]) -> Iterator[Record]:
    """Yield the records of drawn documents; where their numbers go back, reading starts again."""
    place, lines = 0, _lines(blocks)
    for number in drawn:
        if number < place:
            place, lines = 0, _lines(blocks)
        while place < number:
            next(lines)
            place += 1
        yield orjson.loads(next(lines))
        place += 1


def _lines(blocks: Sequence[Path]) -> Iterator[bytes]:
    for block in blocks:
        with (block / RECORDS).open("rb") as file:
            yield from file
