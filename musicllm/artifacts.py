"""Artifacts: the output of a stage, written atomically, and read by later stages.

An artifact is a folder whose `manifest.json` is written last. It is written to a temporary folder
beside its final path and renamed when complete, so a folder without a valid manifest is not an
artifact. This module handles files, JSON and hashes, not the meaning of artifacts, and
imports nothing heavy, because the command line checks what is up to date before a stage starts.
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
"""Version of the manifest's layout."""


def fingerprint(value: object) -> str:
    """Return 12 hexadecimal digits that identify a JSON value, independent of the order of keys.

    Raises:
        TypeError: the value cannot be encoded as JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]


def checksum(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of a file, read in chunks of 1 MiB.

    Args:
        path: of the file.
        advance: called with the size of every chunk in bytes.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Bytes of file names that are not UTF-8 become escapes, which JSON can decode.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically; raises ValueError for NaN and infinities."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Artifact:
    """A complete artifact on disk.

    Attributes:
        path: its folder.
        kind: `corpus`, `model`, `adapter`, `evaluation`, `tunes` or `report`.
        fingerprint: of its settings and inputs.
        facts: recorded by its stage (counts, metrics, other fingerprints).
        files: SHA-256 of every file by its path inside the folder.
        provenance: configuration, versions, commit and inputs; see `job.Job.provenance`.
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
            ArtifactError: a file is missing or its bytes differ; names the first such file.
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
    """Return the absolute and relative path of a folder, for the provenance of an artifact.

    Args:
        path: the folder.
        other: folder of the artifact; the relative path stays valid if both are moved together.
    """
    absolute = path.absolute()
    return {"absolute": str(absolute), "relative": os.path.relpath(absolute, other.absolute())}


def locate_input(artifact: Artifact, record: Mapping[str, str]) -> str:
    """Return a path at which an input of an artifact exists now, or else the recorded one.

    Args:
        artifact: that was made from the input.
        record: of the input in the provenance: `path`, and (not in old versions) `places`.
    """
    candidates = [record["path"], record.get("absolute")]
    if "relative" in record:
        candidates.append(os.path.normpath(artifact.path.absolute() / record["relative"]))
    paths = [path for path in candidates if path is not None]
    return next((path for path in paths if Path(path).exists()), record["path"])


def read(path: Path, kind: str | None = None) -> Artifact:
    """Read the artifact in a folder.

    Args:
        path: the folder of `manifest.json`.
        kind: the required kind, or None for any.

    Raises:
        ArtifactError: no valid manifest, or another kind of artifact.
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
    """Write an artifact: yields a temporary folder, which is renamed when the block succeeds.

    An exception in the block leaves nothing behind. An existing artifact at `path` is replaced only
    when the new artifact is complete. Cost: one read of every byte, for the checksums.

    Args:
        path: the artifact's folder.
        kind: see `Artifact.kind`.
        identity: fingerprint of the settings and inputs.
        provenance: config, versions, commit and inputs, stored in the manifest.

    Yields:
        The temporary folder, and a dictionary that becomes `Artifact.facts`.
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
