"""Engraves ABC as an SVG score that is safe to embed in a web page.

verovio engraves, in a limited process. Its own reader handles tunes of one voice (0.1 s). Tunes of
several voices, which it would place one after another, reach it as our MusicXML. Tunes on which
either fails go through the reader of music21 (0.5 to 1.5 s). If all fail, the caller shows the ABC
text.

The SVG is then filtered by an allow-list: shapes, text, and references inside the picture.
Scripts, event handlers, links, foreign content and external references are removed, whatever the
texts of a tune make verovio write. Title, tempo and page number are left out: the page around the
score shows them.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from musicllm.errors import RenderError
from musicllm.music.render.fence import python_worker, run_limited
from musicllm.music.render.kinds.musicxml import abc_to_musicxml
from musicllm.music.render.notation import (
    at_sounding_pitch,
    by_voice,
    for_verovio,
    num_voices,
    placed_above,
    without_tempo,
)
from musicllm.music.render.renderer import RENDERERS, Output, Renderer, Rendering
from musicllm.music.render.sanitize import sanitize

TIMEOUT_S = 10.0
"""For each reader."""

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

_MUSIC_FONT = "Leipzig"
"""Font of verovio, which is not in the SVG and not on a reader's machine."""
_ACCIDENTALS = str.maketrans({"\uea64": "♭", "\uea65": "♮", "\uea66": "♯"})
"""Accidentals of chord symbols: those of figured bass in SMuFL."""
_LETTER_SIZE = 405 / 720
"""Size of verovio's letters beside the signs of that font."""


def abc_to_svg(abc: str) -> str:
    """Return the score of a tune, about 1,000 units wide and as tall as needed.

    Args:
        abc: one tune, from any source.

    Raises:
        RenderError: the tune is rejected, every reader fails, or there are no notes.
    """
    tune = placed_above(at_sounding_pitch(sanitize(abc)))
    if num_voices(tune) == 1:
        with suppress(RenderError):
            return safe_svg(_engrave(for_verovio(tune), "verovio"))
    else:
        with suppress(RenderError):
            return safe_svg(_engrave(abc_to_musicxml(without_tempo(tune)), "musicxml"))
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
    """Remove everything from an SVG score that a browser would run or fetch.

    Args:
        source: the output of verovio.

    Raises:
        RenderError: it is not well-formed, declares a document type, or has no notes.
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
    """Remove all but the allowed elements and attributes, recursively; drop the SVG prefix."""
    element.tag = _local(element.tag)
    for name, value in list(element.attrib.items()):
        if not _is_safe(element.tag, name, value):
            del element.attrib[name]
    if element.tag == "style" and any(mark in (element.text or "") for mark in ("url", "@", "\\")):
        element.text = ""
    if element.tag == "tspan" and element.get("font-family") == _MUSIC_FONT:
        _respell(element)
    for child in list(element):
        if _ELEMENT.fullmatch(_local(child.tag)):
            _clean(child)
        else:
            element.remove(child)


def _respell(text: ElementTree.Element) -> None:
    """Write the accidentals of a chord symbol as characters that usual fonts have."""
    del text.attrib["font-family"]
    size = float(text.get("font-size", "0px").removesuffix("px"))
    text.set("font-size", f"{size * _LETTER_SIZE:g}px")
    text.text = (text.text or "").translate(_ACCIDENTALS)


def _local(tag: str) -> str:
    """Return the name of an SVG element without its namespace; other names stay as they are."""
    return tag.removeprefix(f"{{{_NAMESPACE}}}")


def _is_safe(tag: str, name: str, value: str) -> bool:
    """Return whether an attribute cannot run or fetch anything."""
    if name == "href":
        return tag == "use" and value.startswith("#")
    return bool(_ATTRIBUTE.fullmatch(name)) and "url" not in value.lower()


def _render(rendering: Rendering) -> None:
    rendering.write(".svg", abc_to_svg(rendering.abc).encode())


SCORE = RENDERERS.register(
    Renderer("score", (Output(".svg", "image/svg+xml", "picture"),), _render, order=1)
)
