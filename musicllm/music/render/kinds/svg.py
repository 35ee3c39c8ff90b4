"""Engraves ABC as an SVG score that is safe to put into a web page as it is.

verovio engraves, in a limited process. It reads tunes of one voice itself (0.1 s). Tunes of
several voices, which it would write one after another, and tunes on which its reader fails go
through music21's reader (0.5 to 1.5 s). Where both fail, the caller shows the ABC text.

The SVG is then rebuilt from an allow-list: shapes, text, and references inside the picture.
Scripts, event handlers, links, foreign content and outside references do not pass, whatever a
tune's texts make verovio write. Title, tempo and page number are left out: the page around the
score shows them better.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from musicllm.errors import RenderError
from musicllm.music.render.fence import python_worker, run_limited
from musicllm.music.render.notation import at_sounding_pitch, by_voice, for_verovio, num_voices
from musicllm.music.render.renderer import RENDERERS, Output, Renderer, Rendering
from musicllm.music.render.sanitize import sanitize

TIMEOUT_S = 10.0
"""For each of the two readers."""

_NAMESPACE = "http://www.w3.org/2000/svg"
_ELEMENT = re.compile(
    "svg|g|defs|symbol|use|text|tspan|style|circle|ellipse|line|path|polygon|polyline|rect"
)
_ATTRIBUTE = re.compile(
    "id|class|version|viewBox|preserveAspectRatio|overflow|transform|opacity|visibility|color|"
    "x|x1|x2|y|y1|y2|dx|dy|cx|cy|r|rx|ry|d|points|width|height|fill|fill-opacity|"
    "stroke|stroke-(width|opacity|dasharray|linecap|linejoin)|text-anchor|"
    "font-(family|size|style|weight)"
)


def abc_to_svg(abc: str) -> str:
    """Return a tune's score, about 1,000 units wide and as tall as it needs.

    Args:
        abc: one tune; it is sanitised here.

    Raises:
        RenderError: the tune is refused, both readers fail on it, or there is no note to show.
    """
    tune = at_sounding_pitch(sanitize(abc))
    if num_voices(tune) == 1:
        with suppress(RenderError):
            return safe_svg(_engrave(for_verovio(tune), "verovio"))
    return safe_svg(_engrave(by_voice(tune), "music21"))


def _engrave(abc: str, reader: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        done = run_limited(
            [*python_worker("_engrave.py"), reader],
            engine="verovio",
            cwd=Path(folder),
            timeout_s=TIMEOUT_S,
            stdin=abc.encode(),
        )
    return done.stdout


def safe_svg(source: bytes) -> str:
    """Return an SVG score with nothing in it that a browser would run or fetch.

    Args:
        source: the SVG that verovio wrote.

    Raises:
        RenderError: it is not well-formed, declares a document type, or shows no note.
    """
    if b"<!DOCTYPE" in source or b"<!ENTITY" in source:
        raise RenderError("the score declares XML entities, which are refused")
    try:
        root = ElementTree.fromstring(source)
    except ElementTree.ParseError as error:
        raise RenderError(f"verovio wrote no well-formed SVG ({error})") from error
    if root.tag != f"{{{_NAMESPACE}}}svg":
        raise RenderError("verovio wrote no SVG")
    _clean(root)
    if not any("note" in part.get("class", "").split() for part in root.iter("g")):
        raise RenderError("the tune has no notes to show; check the tune's ABC")
    root.set("xmlns", _NAMESPACE)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element) -> None:
    """Keep only allowed elements and attributes, here and below; drop the SVG prefix."""
    element.tag = _local(element.tag)
    for name, value in list(element.attrib.items()):
        if not _is_safe(element.tag, name, value):
            del element.attrib[name]
    if element.tag == "style" and any(mark in (element.text or "") for mark in ("url", "@", "\\")):
        element.text = ""
    for child in list(element):
        if _ELEMENT.fullmatch(_local(child.tag)):
            _clean(child)
        else:
            element.remove(child)


def _local(tag: str) -> str:
    """Return an SVG element's name without its name space; other elements stay as they are."""
    return tag.removeprefix(f"{{{_NAMESPACE}}}")


def _is_safe(tag: str, name: str, value: str) -> bool:
    """Tell whether an attribute can neither run nor fetch anything."""
    if name == "href":
        return tag == "use" and value.startswith("#")
    return bool(_ATTRIBUTE.fullmatch(name)) and "url" not in value.lower()


def _render(rendering: Rendering) -> None:
    rendering.write(".svg", abc_to_svg(rendering.abc).encode())


SCORE = RENDERERS.register(
    Renderer("score", (Output(".svg", "image/svg+xml", "picture"),), _render, order=1)
)
