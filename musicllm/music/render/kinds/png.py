"""Converts an SVG score to PNG, for places that show no SVG."""

from __future__ import annotations

from musicllm.errors import RenderError
from musicllm.music.render.renderer import RENDERERS, Output, Renderer, Rendering

ZOOM = 1.5
"""Scale factor: staves are readable, and a tune is about 100 kB."""


def svg_to_png(svg: str) -> bytes:
    """Return a score as PNG, black on white; it takes about 0.1 s.

    Args:
        svg: from `abc_to_svg`, without external references.

    Raises:
        RenderError: it is not SVG.
    """
    from resvg_py import svg_to_bytes

    try:
        return bytes(svg_to_bytes(svg_string=svg, background="white", zoom=ZOOM))
    except ValueError as error:
        raise RenderError(f"the score cannot be drawn: {error}") from None


def _render(rendering: Rendering) -> None:
    rendering.write(".png", svg_to_png(rendering.files[".svg"].read_text(encoding="utf-8")))


PNG = RENDERERS.register(
    Renderer(
        "PNG",
        (Output(".png", "image/png", "picture"),),
        _render,
        needs="score",
        order=4,
        by_default=False,
    )
)
