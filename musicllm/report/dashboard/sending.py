"""Saves a view and a report in wandb; again into those that were saved before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from musicllm import artifacts, console
from musicllm.errors import NotAvailableError
from musicllm.report.dashboard import wandb_views
from musicllm.report.dashboard.filling import FilledDashboard
from musicllm.report.dashboard.story import Block

RECORD = "sent.json"
"""File of a run folder with the addresses of what was saved in wandb."""

VIEW, REPORT = ("name", "sections"), ("title", "blocks")
"""Attributes of what wandb's library saves that hold its content."""


def send(
    folder: Path,
    dashboard: FilledDashboard,
    story: Sequence[Block],
    title: str,
    *,
    entity: str | None,
    project: str,
) -> dict[str, str]:
    """Save the view, and the report if there is a story; return their addresses by name.

    Args:
        folder: the run folder; what was saved from it before is replaced.
        dashboard: with values.
        story: blocks of the report; [] for none.
        title: of the report.
        entity: team or user; None for that of the key.
        project: in which the runs are.

    Raises:
        NotAvailableError: wandb's server refuses it.
    """
    earlier, sent = _earlier(folder), {}
    owner = entity or _owner()
    views = {
        "view": (wandb_views.workspace(dashboard, entity=owner, project=project), VIEW),
        "report": (wandb_views.report(story, title, entity=owner, project=project), REPORT),
    }
    try:
        for name, (view, contents) in views.items():
            if name == "view" or story:
                sent[name] = _saved(view, contents, earlier.get(name))
    except Exception as error:  # wandb has no class of its own for what the server refuses
        reason = " ".join(str(error).split())
        raise NotAvailableError(
            f"wandb refuses the dashboard: {reason}; check the key (wandb login), entity {owner} "
            f"and project {project} (logger.wandb), and upload runs that were recorded offline "
            f"first: wandb sync <run folder>/wandb/latest-run"
        ) from error
    artifacts.write_json(folder / RECORD, sent)
    return sent


def _owner() -> str:
    """Return the user or team of the key.

    Raises:
        NotAvailableError: there is no valid key.
    """
    import wandb

    try:
        owner = wandb.Api().default_entity
    except wandb.Error as error:
        raise NotAvailableError(f"wandb: {error}; run wandb login") from error
    if not owner:
        raise NotAvailableError("wandb knows no user of this key; write logger.wandb.entity=<team>")
    return str(owner)


def _saved(view: Any, contents: Sequence[str], url: str | None) -> str:
    """Save a view or report, into the one at an address if that still exists; return its address.

    Args:
        view: new, of wandb's library.
        contents: attributes with what it shows.
        url: where it was saved before, or None.
    """
    existing = None if url is None else _existing(type(view).from_url, url)
    places = [(each.entity, each.project) for each in (view, existing) if each is not None]
    if existing is not None and places[0] == places[1]:
        for name in contents:
            setattr(existing, name, getattr(view, name))
        view = existing
    view.save()
    address: str = view.url
    return address


def _existing(load: Callable[[str], Any], url: str) -> Any:
    """Return what is at an address, or None if it is gone."""
    try:
        return load(url)
    except (ValueError, AttributeError, IndexError, KeyError, TypeError):
        console.note(f"{url} is gone; a new one is saved")
        return None


def _earlier(folder: Path) -> dict[str, str]:
    try:
        sent: dict[str, str] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return sent
