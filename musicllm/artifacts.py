"""Artifacts: what a stage writes once, completely or not at all, and a later stage reads.

An artifact is a folder whose `manifest.json` was written last. It is made in a temporary folder
beside its final place and renamed when complete, so a folder without a valid manifest is not an
artifact. This module knows files, JSON and hashes; it does not know what the artifacts mean, and
it imports nothing heavy, because the command asks it what is up to date before a stage starts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musicllm.errors import ArtifactError

MANIFEST = "manifest.json"
FORMAT = 1
"""Version of the manifest's own layout."""


def fingerprint(value: object) -> str:
    """Return 12 hexadecimal digits that identify a JSON value, whatever the order of its keys.

    Raises:
        TypeError: the value holds something that JSON does not.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]


def checksum(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of a file's bytes, read in pieces of 1 MiB.

    Args:
        path: of the file.
        advance: is told the bytes of every piece.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new one, never a part.

    Bytes of a file name that are no UTF-8 become escapes, which JSON reads back.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically; NaN and infinities are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Artifact:
    """A complete artifact on disk.

    Attributes:
        path: its folder.
        kind: `corpus`, `model`, `adapter`, `evaluation`, `tunes` or `report`.
        fingerprint: identifies the settings and inputs that it was made from.
        facts: what its stage recorded (counts, metrics, other fingerprints).
        files: SHA-256 of every file by its path inside the folder.
        provenance: what it was made with; see `job.Job.provenance`.
    """

    path: Path
    kind: str
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises:
            ArtifactError: a file is missing or its bytes differ, naming the first such file.
        """
        for name, expected in self.files.items():
            file = self.path / name
            if not file.is_file() or checksum(file) != expected:
                state = "is damaged" if file.is_file() else "is missing"
                raise ArtifactError(
                    f"{file} {state} (its checksum is in {self.path / MANIFEST}); "
                    f"delete {self.path} and run its stage again"
                )


def places(path: Path, other: Path) -> dict[str, str]:
    """Return where a folder lies, to be found again from an artifact that is made of it.

    Args:
        path: the folder.
        other: folder of the artifact; the relative path holds when both are moved together.
    """
    absolute = path.absolute()
    return {"absolute": str(absolute), "relative": os.path.relpath(absolute, other.absolute())}


def found_again(artifact: Artifact, given: Mapping[str, str]) -> str:
    """Return the path of an artifact's input as it can be written here, or as it was.

    Args:
        artifact: what was made of the input.
        given: its `path`, and unless an older version wrote it its `places`, in the provenance.
    """
    candidates = [given["path"], given.get("absolute")]
    if "relative" in given:
        candidates.append(os.path.normpath(artifact.path.absolute() / given["relative"]))
    known = [path for path in candidates if path is not None]
    return next((path for path in known if Path(path).exists()), given["path"])


def read(path: Path, kind: str | None = None) -> Artifact:
    """Read the artifact in a folder.

    Args:
        path: the folder that holds `manifest.json`.
        kind: what it must be, or None for any.

    Raises:
        ArtifactError: no valid manifest, or an artifact of another kind.
    """
    manifest = path / MANIFEST
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        artifact = Artifact(
            path,
            content["kind"],
            content["fingerprint"],
            content["facts"],
            content["files"],
            content["provenance"],
        )
    except FileNotFoundError:
        raise ArtifactError(f"{path} is not an artifact: it has no {MANIFEST}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{manifest} is not a valid manifest: {error!r}") from None
    if kind is not None and artifact.kind != kind:
        raise ArtifactError(f"{path} holds a {artifact.kind}, but a {kind} is needed here")
    return artifact


@contextmanager
def writing(
    path: Path, kind: str, identity: str, provenance: Mapping[str, Any]
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Make an artifact: yields a temporary folder to fill, renames it when the block ends well.

    An exception in the block leaves nothing behind. What stood at `path` before is replaced only
    when the new artifact is complete. Cost: one read of every byte, for the checksums.

    Args:
        path: the artifact's folder.
        kind: see `Artifact.kind`.
        identity: fingerprint of the settings and inputs.
        provenance: config, versions, commit and inputs, stored in the manifest.

    Yields:
        The temporary folder, and a dictionary whose content becomes `Artifact.facts`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(stale)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.mkdir()
    facts: dict[str, Any] = {}
    try:
        yield temporary, facts
        _write_manifest(temporary, kind, identity, facts, provenance)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_manifest(
    folder: Path, kind: str, identity: str, facts: dict[str, Any], provenance: Mapping[str, Any]
) -> None:
    files = {
        str(file.relative_to(folder)): checksum(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    content = {
        "format": FORMAT,
        "kind": kind,
        "fingerprint": identity,
        "facts": facts,
        "files": files,
        "provenance": dict(provenance),
    }
    write_json(folder / MANIFEST, content)
