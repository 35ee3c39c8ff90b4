"""A prepared corpus: the artifact that `prepare` writes and training, evaluation and serving read.

A folder with `tokenizer/`, `records/<split>/`, `rows/<split>/`, `rejected.jsonl` and
`contamination.jsonl`. This module reads; `data.pipeline` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.data.records import SPLITS, Record
from musicllm.data.rows import RowStore
from musicllm.errors import ArtifactError


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk; nothing but the manifest is read before it is needed.

    Attributes:
        path: the artifact's folder.
        facts: counts and fingerprints, as `prepare` recorded them.
    """

    path: Path
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path, *, verify: bool = False) -> Corpus:
        """Open the corpus in a folder.

        Args:
            path: an artifact of kind `corpus`.
            verify: also compare every file with its checksum, which reads all of them.

        Raises:
            ArtifactError: not a corpus, or damaged.
        """
        artifact = artifacts.read(path, "corpus")
        if verify:
            artifact.verify()
        return cls(path, artifact.facts)

    @property
    def tokenizer_path(self) -> Path:
        """Folder of the tokenizer, in the layout of transformers."""
        return self.path / "tokenizer"

    def records(self, split: str) -> Iterator[Record]:
        """Yield the records of a split in their order.

        Raises:
            ArtifactError: the corpus has no such split.
        """
        files = sorted((self.path / "records" / split).glob("*.jsonl"))
        if not files and split not in SPLITS:
            raise ArtifactError(f"{self.path} has no split {split!r}; it has {', '.join(SPLITS)}")
        for path in files:
            with path.open(encoding="utf-8") as file:
                for line in file:
                    yield json.loads(line)

    def rows(self, split: str) -> RowStore:
        """Open the rows of a split.

        Raises:
            ArtifactError: the corpus has no such split, or its rows are damaged.
        """
        return RowStore(self.path / "rows" / split)
