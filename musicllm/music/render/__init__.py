"""Renders ABC: SVG scores, MIDI, sound as WAV and MP3, and MusicXML.

`render_tune` writes all of them; `abc_to_svg`, `abc_to_midi` and `midi_to_sound` one each. ABC from
any source is safe to pass: it is sanitised, and every engine runs in a limited process (`fence`).
Importing this package loads no engine.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from musicllm.errors import RenderError
from musicllm.music.render.kinds.midi import Midi, abc_to_midi
from musicllm.music.render.kinds.sound import Sound, midi_to_sound
from musicllm.music.render.kinds.svg import abc_to_svg
from musicllm.music.render.link import editor_link
from musicllm.music.render.playing import DEFAULT_PLAYING, Playing
from musicllm.music.render.renderer import RENDERERS, Output, Renderer, Rendering, Role, in_order
from musicllm.music.render.sanitize import sanitize

__all__ = [
    "RENDERERS",
    "Midi",
    "Output",
    "Playing",
    "Renderer",
    "Rendering",
    "Role",
    "Sound",
    "abc_to_midi",
    "abc_to_svg",
    "editor_link",
    "in_order",
    "midi_to_sound",
    "render_tune",
    "sanitize",
]


def render_tune(
    abc: str,
    folder: Path,
    stem: str,
    also: Collection[str] = (),
    *,
    only: Collection[str] | None = None,
    playing: Playing = DEFAULT_PLAYING,
) -> Rendering:
    """Write every rendering of a tune as `<stem>.<suffix>`; one that fails becomes a problem.

    About a second for a tune of a minute, most of it for the sound.

    Args:
        abc: one tune in ABC, from any source.
        folder: where the files go; created if missing.
        stem: common file name, without a folder.
        also: renderers to run that do not run by default.
        only: renderers to run, with those whose files they read; None for the default ones.
        playing: transposition, and tempo and instrument for the renderers that have `is_played`.

    Raises:
        RenderError: no file could be written; the text lists why.
    """
    assert Path(stem).name == stem, f"{stem!r} is not a plain file name"
    rendering = Rendering(sanitize(abc), folder, stem, playing=playing)
    folder.mkdir(parents=True, exist_ok=True)
    named = _with_needs(only) if only is not None else None
    renderers = [
        renderer
        for renderer in in_order()
        if renderer.name in also
        or (renderer.by_default if named is None else renderer.name in named)
    ]
    failed: set[str] = set()
    for renderer in renderers:
        if renderer.name in failed:
            continue
        try:
            renderer.render(rendering)
        except RenderError as error:
            names = [renderer.name]
            names += [other.name for other in renderers if other.needs == renderer.name]
            failed.update(names)
            rendering.problems.append(f"{' and '.join(f'no {name}' for name in names)}: {error}")
    if not rendering.files:
        raise RenderError("; ".join(rendering.problems))
    return rendering


def _with_needs(names: Collection[str]) -> set[str]:
    """Return the names of renderers and of all whose files they read."""
    needed, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting += [need] if (need := RENDERERS[name].needs) else []
    return needed
