"""Stored features of clips: what an encoder said of them, computed once.

A store is a folder of shards, each a memory-mapped array of features with a file of their keys. A
key is that of a clip: the content of its file and the stretch (`clips.Clip.key`). Which encoder and
settings the features are of stands in the facts of the artifact, and is compared by whoever uses
them. Shards have checksums; a killed run continues behind the last complete one.

Letters: n clips of a shard.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from musicllm import artifacts
from musicllm.artifacts import Artifact
from musicllm.data.atomic import replacing
from musicllm.errors import ArtifactError

KIND = "features"
"""Of the artifact."""

REJECTED = "rejected.jsonl"
SHARD_BYTES = 1 << 26
SHARD_SECONDS = 60.0
"""A shard is written when it is this large, or this long after the one before."""

AGAIN = "delete its folder and run its stage again"

Features = npt.NDArray[np.float32]


class FeatureWriter:
    """Writes features into a folder; shards of an earlier process that are whole stay.

    Attributes:
        keys: of the clips whose features are on the disk.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], identity: str) -> None:
        """Look for shards that are there.

        Args:
            folder: created.
            shape: of the features of a clip.
            identity: of all that decides the features but the clips; shards of another one are
                removed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.keys: set[str] = set()
        self._folder, self._shape, self._identity = folder, shape, identity
        self._waiting: dict[str, Features] = {}
        self._last = time.monotonic()
        self._numbers: list[int] = []
        for sidecar in sorted(folder.glob("shard-*.json")):
            keys = self._whole(sidecar)
            if keys is None:
                sidecar.unlink()
            else:
                self.keys.update(keys)
                self._numbers.append(int(sidecar.stem.removeprefix("shard-")))

    def _whole(self, sidecar: Path) -> list[str] | None:
        """Return the keys of a shard that is complete and of this identity, else None."""
        try:
            facts = json.loads(sidecar.read_text(encoding="utf-8"))
            is_own = facts["identity"] == self._identity
            is_whole = artifacts.checksum(sidecar.with_suffix(".npy")) == facts["sha256"]
        except (OSError, ValueError, KeyError):
            return None
        return list(facts["keys"]) if is_own and is_whole else None

    def add(self, key: str, features: Features) -> None:
        """Add the features of a clip; they are on the disk after `SHARD_SECONDS` or at the end."""
        assert features.shape == self._shape, f"{features.shape} is not {self._shape}"
        self._waiting[key] = features
        size = len(self._waiting) * features.nbytes
        if size >= SHARD_BYTES or time.monotonic() - self._last >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was added as a shard."""
        self._last = time.monotonic()
        if not self._waiting:
            return
        number = max(self._numbers, default=-1) + 1
        path = self._folder / f"shard-{number:05d}.npy"
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.stack(list(self._waiting.values())).astype("<f4", copy=False))
        facts = {
            "identity": self._identity,
            "sha256": artifacts.checksum(path),
            "keys": list(self._waiting),
        }
        artifacts.write_json(path.with_suffix(".json"), facts)
        self._numbers.append(number)
        self.keys.update(self._waiting)
        self._waiting = {}

    def finish(self, folder: Path) -> int:
        """Give all shards a second name in another folder of the same disk; returns the bytes."""
        self.flush()
        folder.mkdir(parents=True, exist_ok=True)
        num_bytes = 0
        for number in self._numbers:
            for suffix in (".npy", ".json"):
                source = self._folder / f"shard-{number:05d}{suffix}"
                (folder / source.name).hardlink_to(source)
                num_bytes += source.stat().st_size
        return num_bytes


class FeatureStore:
    """The features of clips, memory-mapped; it can be pickled, as `RowStore` can.

    Attributes:
        folder: of the artifact.
        facts: of the artifact: `spec`, `num_clips`, `num_rejected`.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Open the shards; their keys are read, 100 bytes a clip.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        self.folder, self.facts = folder, dict(facts)
        self._places: dict[str, tuple[int, int]] = {}
        self._shards: list[Features] = []
        try:
            for sidecar in sorted((folder / "shards").glob("shard-*.json")):
                keys = json.loads(sidecar.read_text(encoding="utf-8"))["keys"]
                shard = np.load(sidecar.with_suffix(".npy"), mmap_mode="r")
                if len(shard) != len(keys):
                    raise ArtifactError(f"{sidecar} has {len(keys)} keys of {len(shard)} clips")
                self._places |= {key: (len(self._shards), row) for row, key in enumerate(keys)}
                self._shards.append(shard)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ArtifactError(f"{folder} cannot be read: {error}; {AGAIN}") from None

    @classmethod
    def open(cls, artifact: Artifact) -> Self:
        """Open the store of an artifact of kind `features`."""
        return cls(artifact.path, artifact.facts)

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path, dict[str, Any]]]:
        """Pickle the folder, not the mapped files."""
        return FeatureStore, (self.folder, self.facts)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._places)

    def lacking(self, keys: Collection[str]) -> list[str]:
        """Return those of some keys that are not here, in their order."""
        return [key for key in keys if key not in self._places]

    def get(self, key: str) -> Features:
        """Return the features of a clip that is here, float32."""
        shard, row = self._places[key]
        return np.array(self._shards[shard][row])
