"""What a kind of rendering is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from musicllm.errors import RenderError
from musicllm.music.abc import AbcError, omissions, parse
from musicllm.music.render.playing import DEFAULT_PLAYING, Playing
from musicllm.registry import Registry

Role = Literal["picture", "sound", "download"]


_TRANSPOSED_FIELDS = ("X", "T", "R", "C", "Q", "L", "M", "K")
_LOST = frozenset(("annotations", "lyrics", "part order"))


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
        source: the tune, sanitised.
        folder: of the files.
        stem: their common name.
        files: the files written so far, by suffix.
        problems: one sentence for each file that is missing or cut.
        sound_engine: `fluidsynth`, `tinysoundfont`, `pretty_midi` (a plain synthesiser), or None
            without sound.
        playing: how the tune is to sound.
    """

    source: str
    folder: Path
    stem: str
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    sound_engine: str | None = None
    playing: Playing = DEFAULT_PLAYING

    @cached_property
    def abc(self) -> str:
        """The tune, transposed as `playing` says; what is lost by that becomes a problem.

        Raises:
            RenderError: it cannot be transposed.
        """
        if not self.playing.semitones:
            return self.source
        from musicllm.music.transform import transpose  # loads numpy

        try:
            score = parse(self.source)
            text = transpose(
                score, self.playing.semitones, fields=_TRANSPOSED_FIELDS, keep_signs=True
            )
        except AbcError as error:
            raise RenderError(f"the tune cannot be transposed: {error}") from None
        if lost := sorted(_LOST & set(omissions(score))):
            self.problems.append(f"the transposed score has no {' and no '.join(lost)}")
        return text

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
        is_played: whether it follows tempo and program of `Rendering.playing`.
    """

    name: str
    outputs: tuple[Output, ...]
    render: Callable[[Rendering], None]
    needs: str | None = None
    order: int = 100
    by_default: bool = True
    is_played: bool = False


RENDERERS: Registry[Renderer] = Registry("renderer", "musicllm.music.render.kinds")


def in_order() -> list[Renderer]:
    """Return all renderers in the order in which they run."""
    return sorted(RENDERERS.values(), key=lambda renderer: renderer.order)
