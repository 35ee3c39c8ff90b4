"""A hub of data sets for tests, of which nothing leaves this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest


@dataclass
class FakeHub:
    """A hub whose data sets all hold these files.

    Attributes:
        files: content by name; `{revision}` in it is replaced.
        fails_after: files at which the connection breaks.
        requests: id and revision of every download.
    """

    files: Mapping[str, str]
    fails_after: int = 99
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def dataset_info(self, repo_id: str, *, revision: str | None, timeout: float) -> Any:
        self.requests.append((repo_id, revision))
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in self.files])

    def snapshot_download(
        self,
        repo_id: str,
        *,
        repo_type: str,
        revision: str | None,
        local_dir: Path,
        allow_patterns: list[str],
    ) -> None:
        assert repo_type == "dataset"
        for number, (name, text) in enumerate(self.files.items()):
            if number == self.fails_after:
                raise OSError("connection lost\nmore")
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (local_dir / name).parent.mkdir(parents=True, exist_ok=True)
                (local_dir / name).write_text(text.replace("{revision}", str(revision)))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
        """Put it in the place of the real one."""
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)
        return self
