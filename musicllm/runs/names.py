"""The owner of a named run folder, and when a command with other settings may take it over.

A folder without a result or unfinished work may be taken over. A training of which only the length
differs continues in it, if its steps so far are those of the longer run. Anything else is refused
with the differences. Files of the run folder that are managed here:

    fingerprint     of the job that owns the folder
    identity.json   settings and inputs that the fingerprint covers, and earlier fingerprints of the
                    same training with a smaller length
    failed          the error that stopped its last run
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from musicllm import artifacts, quoting
from musicllm.artifacts import Artifact
from musicllm.errors import ConfigError, Problem
from musicllm.runs import longer

MARKER, RECORD, FAILED = "fingerprint", "identity.json", "failed"
LEFTOVERS = (
    "work", "partial", "incidents", "samples", "left-out-steps.json", "metrics.jsonl", "plan.json",
    "summary.json", "report.html",
)  # fmt: skip
"""Files of a run without a result, which are deleted when another run takes the folder over."""

MAX_CHANGES = 5


def claim(
    folder: Path,
    identity: str,
    decides: Mapping[str, Any],
    *,
    name: str | None,
    corpus: Artifact | None,
) -> tuple[str, ...]:
    """Return earlier fingerprints that the checkpoints in this job's folder may have.

    Args:
        folder: the run folder, which may not exist.
        identity: fingerprint of the job.
        decides: what it covers: task, version, settings and inputs.
        name: of the run, as configured.
        corpus: of a training, whose rows determine its number of steps.

    Raises:
        ConfigError: the folder belongs to a run with other settings, and is worth keeping.
    """
    owner = _read(folder / MARKER).strip()
    record = _record(folder)
    if owner in ("", identity) or record.get("fingerprint") == identity:
        return tuple(record.get("earlier", ()))
    if not is_worth_keeping(folder):
        return ()
    before = record.get("decides")
    now = json.loads(json.dumps(decides))  # as the record was read
    changes = {} if before is None else dict(differences(before, now))
    fix = f"choose another name, or delete {folder}"
    if before is not None and changes and changes.keys() <= longer.LENGTH:
        reason = longer.why_not(before["settings"], now["settings"], corpus, last_step(folder))
        if reason is None:
            return (*record.get("earlier", ()), owner)
        fix = f"{reason}; {_from_its_weights(folder)}, or delete {folder}"
    rule = f"is the name of a run with other settings or inputs ({folder}): {_listing(changes)}"
    raise ConfigError([Problem("name", name, rule, fix)])


def take(folder: Path, identity: str, decides: Mapping[str, Any], earlier: tuple[str, ...]) -> None:
    """Mark a folder as this job's, and delete the leftovers of a failed run with other settings."""
    folder.mkdir(parents=True, exist_ok=True)
    if _read(folder / MARKER).strip() not in ("", identity, *earlier):
        for leftover in (folder / name for name in LEFTOVERS):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
    (folder / FAILED).unlink(missing_ok=True)
    record = {"fingerprint": identity, "earlier": list(earlier), "decides": dict(decides)}
    artifacts.write_json(folder / RECORD, record)
    artifacts.write_text(folder / MARKER, identity + "\n")


def fail(folder: Path, error: Exception) -> None:
    """Record the error that stopped a run, to distinguish it from one that was interrupted."""
    artifacts.write_text(folder / FAILED, f"{error}\n")


def is_worth_keeping(folder: Path) -> bool:
    """Return whether a run folder has a result, a checkpoint, or interrupted work."""
    if (folder / "artifact" / artifacts.MANIFEST).is_file() or last_step(folder):
        return True
    interrupted = not (folder / FAILED).is_file()
    return interrupted and any((folder / name).exists() for name in ("work", "partial"))


def last_step(folder: Path) -> int:
    """Return the step of the newest checkpoint in a run folder, or 0."""
    steps = (path.name.removeprefix("step-") for path in (folder / "checkpoints").glob("step-*"))
    return max((int(step) for step in steps if step.isdecimal()), default=0)


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield full key, old and new value of all differences; None is absent."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            below = f"{key}.{name}" if key and key != "settings" else name
            yield from differences(old.get(name), new.get(name), below)
    elif old != new:
        yield key, (old, new)


def _listing(changes: Mapping[str, tuple[Any, Any]]) -> str:
    if not changes:
        return "it was made by an older version, which did not note them; its config.yaml has them"
    texts = [_change(key, *values) for key, values in list(changes.items())[:MAX_CHANGES]]
    more = len(changes) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def _change(key: str, old: Any, new: Any) -> str:
    if key.startswith("inputs."):
        return f"{key} is another artifact"
    if key == "extensions" or key.endswith(".contents"):
        return f"the content of {key.removesuffix('.contents')} is another"
    if key == "version":
        return f"the stage makes version {new} now, and made {old} then"
    return f"{key}: {_plain(old)} -> {_plain(new)}"


def _plain(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"contents"}:
        return "other files"
    return json.dumps(value, ensure_ascii=False)


def _from_its_weights(folder: Path) -> str:
    """Return how to start a new run from the weights of a finished one."""
    if (folder / "artifact" / "adapter_config.json").is_file():
        merge = quoting.command("recipe=merge", quoting.argument("inputs.adapter", folder))
        return f"start a new run from its weights: {merge}, and inputs.model=<that run>"
    start = quoting.typed("inputs.model", folder)
    return f"start a new run from its weights: name=<another name> {start}"


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads(_read(folder / RECORD))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""
