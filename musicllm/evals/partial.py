"""What an evaluation has measured so far, so that an interrupted one continues.

One JSON file per finished measurement, written atomically. Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from musicllm import artifacts, console


class Partial:
    """Finished measurements in a folder; those of other settings are not taken for ours.

    Args:
        folder: made when the first measurement is kept.
        fingerprint: of the settings and inputs that all measurements depend on.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._known: dict[str, Any] = {}

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return a kept measurement, or measure and keep it.

        Args:
            name: of the file, without suffix.
            measure: gives a JSON value.
        """
        if name not in self._known:
            path = self._folder / f"{name}.json"
            kept = self._read(path)
            if kept is None:
                kept = {"fingerprint": self._fingerprint, "value": measure()}
                self._folder.mkdir(parents=True, exist_ok=True)
                artifacts.write_json(path, kept)
            else:
                console.note(f"{name}: kept from the interrupted run, in {path}")
            self._known[name] = kept["value"]
        return self._known[name]

    def remove(self) -> None:
        """Delete everything kept; for when the results are written."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(content, dict) or content.get("fingerprint") != self._fingerprint:
            return None
        return content
