"""Turns a score from SVG into pixels, for places that show no SVG."""

from __future__ import annotations

from resvg_py import svg_to_bytes

from musicllm.errors import RenderError

ZOOM = 1.5
"""Of the score's own size; staves can be read, and a tune is some 100 KB."""


def svg_to_png(svg: str) -> bytes:
    """Return a score as PNG, black on white; it takes about 0.1 s.

    Args:
        svg: made by `abc_to_svg`, so it refers to nothing outside.

    Raises:
        RenderError: it is not SVG.
    """
    try:
        return bytes(svg_to_bytes(svg_string=svg, background="white", zoom=ZOOM))
    except ValueError as error:
        raise RenderError(f"the score cannot be drawn: {error}") from None
