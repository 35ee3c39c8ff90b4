"""What a kind of rendering is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from musicllm.registry import Registry

Role = Literal["picture", "sound", "download"]


class Output(NamedTuple):
    """A file that a renderer writes.

    Attributes:
        suffix: such as `.svg`.
        media_type: such as `image/svg+xml`.
        role: how a page shows it: as an image, in a player, or as a link.
        label: text of the link.
    """

    suffix: str
    media_type: str
    role: Role
    label: str = ""


@dataclass
class Rendering:
    """The files of one tune, while they are written and afterwards.

    Attributes:
        abc: the tune, sanitised.
        folder: of the files.
        stem: their common name.
        files: the files written so far, by suffix.
        problems: one sentence for each file that is missing or cut.
        sound_engine: `fluidsynth`, `pretty_midi` (a plain synthesiser), or None without sound.
    """

    abc: str
    folder: Path
    stem: str
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    sound_engine: str | None = None

    def write(self, suffix: str, content: bytes) -> None:
        """Write `<stem><suffix>`."""
        path = self.folder / f"{self.stem}{suffix}"
        path.write_bytes(content)
        self.files[suffix] = path

    def first(self, *suffixes: str) -> Path | None:
        """Return the first of these files that was written."""
        return next((self.files[suffix] for suffix in suffixes if suffix in self.files), None)


class Renderer(NamedTuple):
    """A kind of rendering.

    Attributes:
        name: in messages, such as `score`.
        outputs: the files that it writes; where several have one role, a page shows the first.
        render: writes them; raises `RenderError` when it cannot.
        needs: the renderer whose files it reads; it is left out when that one fails.
        order: renderers run, and problems are listed, from the lowest to the highest.
        by_default: whether it runs without being named.
    """

    name: str
    outputs: tuple[Output, ...]
    render: Callable[[Rendering], None]
    needs: str | None = None
    order: int = 100
    by_default: bool = True


RENDERERS: Registry[Renderer] = Registry("renderer", "musicllm.music.render.kinds")


def in_order() -> list[Renderer]:
    """Return all renderers in the order in which they run."""
    return sorted(RENDERERS.values(), key=lambda renderer: renderer.order)
