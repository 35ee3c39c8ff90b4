"""The work folder: what is finished stays finished, whatever happens to the process.

An item of work fills a folder of its own, which gets its name when it is complete. When the same
preparation starts again, an item whose folder is there is not done again. Items depend on nothing
but their inputs, so a second try, or two workers at once, write the same bytes.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from musicllm import artifacts

Facts = dict[str, Any]
FACTS = "facts.json"


def once(folder: Path, make: Callable[[Path], Facts]) -> Facts:
    """Return the facts of an item, which is made unless its folder is there.

    Args:
        folder: of the item.
        make: fills an empty folder and returns its facts, which JSON can hold.
    """
    if (folder / FACTS).is_file():
        return facts_of(folder)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    try:
        artifacts.write_json(temporary / FACTS, make(temporary))
        facts = facts_of(temporary)  # as a later call will find them
        if not folder.exists():
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return facts


def facts_of(folder: Path) -> Facts:
    """Return the facts of a finished item."""
    facts: Facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return facts
