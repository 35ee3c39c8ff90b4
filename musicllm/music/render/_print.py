"""Worker: `_print.py` reads a score and its heading from standard input and prints a PDF.

Run by `kinds.pdf` as a separate process, since a long score takes many seconds. The input is JSON
with `svg`, a score of `kinds.svg`; `title`, `lines` (more titles), `left` and `right` (words above
the first staff); `fonts`, matplotlib's folder of fonts, and `font`, a further font or null.
Characters that no font has are printed on standard error as JSON.

The page is A4 upright. Shapes stay shapes and texts stay texts, so that both can be enlarged and
searched. The lines of music are put below each other, as many as fit on a page.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from fpdf import FPDF
from fpdf.fonts import TTFFont
from fpdf.svg import SVGObject

WIDTH, HEIGHT, MARGIN = 595.0, 842.0, 42.0
"""A4 and its margin, in points."""
BOTTOM = HEIGHT - MARGIN - 12
GLYPH_REACH = 700
"""How far a sign reaches above and below its place, in units of the score; clefs do most."""
TITLE_PT, LINE_PT, WORDS_PT = 19, 13, 10.5
FAMILIES = {
    "STIX": {
        "": "STIXGeneral.ttf",
        "B": "STIXGeneralBol.ttf",
        "I": "STIXGeneralItalic.ttf",
    },
    "DejaVu": {
        "": "DejaVuSerif.ttf",
        "B": "DejaVuSerif-Bold.ttf",
        "I": "DejaVuSerif-Italic.ttf",
    },
}
"""Fonts in the order in which they are tried: one with the widths of Times, for which verovio makes
room, and one with more characters."""
MISSING = "?"
"""Stands for a character that no font has."""

_SVG = "{http://www.w3.org/2000/svg}"
_TRANSLATE = re.compile(r"translate\(\s*([-\d.]+)[,\s]+([-\d.]+)\s*\)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BOLD = frozenset(("ending", "fing", "reh", "tempo"))
_ITALIC = frozenset(("dir", "dynam", "mNum"))
_HIDDEN = "placeholder"


class Text(NamedTuple):
    """A text of the score; place and size in units of the score."""

    x: float
    y: float
    size: float
    anchor: str
    style: str
    words: str


def main() -> None:
    """Print the score."""
    logging.disable()  # fpdf2 logs what the fonts lack, which `Type.missing` has
    job = json.load(sys.stdin)
    pdf = FPDF(unit="pt", format="A4")
    pdf.set_auto_page_break(auto=False)
    type_ = Type(pdf, Path(job["fonts"]), job["font"])
    pdf.set_title(job["title"])
    pdf.set_creator("musicllm")
    pdf.add_page()
    place = _heading(type_, job)
    score = Score(ElementTree.fromstring(job["svg"]))
    scale = (WIDTH - 2 * MARGIN) / score.width
    for system, top, bottom in score.systems():
        if place + (bottom - top) * scale > BOTTOM and place > MARGIN:
            pdf.add_page()
            place = MARGIN
        score.draw(type_, system, top, bottom, (MARGIN, place, scale))
        place += (bottom - top) * scale
    for number in range(1, pdf.pages_count + 1) if pdf.pages_count > 1 else ():
        pdf.page = number
        _words(type_, HEIGHT - MARGIN, f"{number} / {pdf.pages_count}", WORDS_PT)
    sys.stdout.buffer.write(pdf.output())
    json.dump(sorted(type_.missing), sys.stderr)


class Type:
    """The fonts of a document.

    Attributes:
        missing: characters of texts that no font has.
    """

    def __init__(self, pdf: FPDF, folder: Path, own: str | None) -> None:
        self.pdf = pdf
        self.missing: set[str] = set()
        self._families = {
            family: {style: folder / name for style, name in files.items()}
            for family, files in FAMILIES.items()
        }
        if own is not None:
            self._families["own"] = dict.fromkeys(("", "B", "I"), Path(own))
        self._characters: dict[tuple[str, str], frozenset[int]] = {}

    def set(self, words: str, style: str, size: float) -> str:
        """Set the font that has the characters of a text; return the text with what it has."""
        needed = set(map(ord, words))
        choices = [(family, own) for family in self._families for own in (style, "")]
        family, own = next(
            (choice for choice in choices if needed <= self._has(*choice)), choices[0]
        )
        self.pdf.set_font(family, own, size)
        missing = {chr(code) for code in needed - self._has(family, own)}
        self.missing |= missing
        return words.translate(dict.fromkeys(map(ord, missing), MISSING))

    def _has(self, family: str, style: str) -> frozenset[int]:
        if (family, style) not in self._characters:
            self.pdf.add_font(family, style, self._families[family][style])
            font = self.pdf.fonts[f"{family.lower()}{style}"]
            assert isinstance(font, TTFFont), "it was read from a file"
            self._characters[family, style] = frozenset(font.cmap)
        return self._characters[family, style]


def _heading(type_: Type, job: dict[str, Any]) -> float:
    """Print titles and words above the music; return where it begins."""
    place = MARGIN
    titles = [(job["title"], TITLE_PT, "B"), *((line, LINE_PT, "") for line in job["lines"])]
    for words, size, style in titles:
        if words:
            place += size
            _words(type_, place, words, size, style)
            place += size * 0.35
    if job["left"] or job["right"]:
        place += WORDS_PT
        _words(type_, place, job["left"], WORDS_PT, "I", at=0.0)
        _words(type_, place, job["right"], WORDS_PT, "I", at=1.0)
        place += WORDS_PT * 0.5
    return place + 8


def _words(
    type_: Type, y: float, words: str, size: float, style: str = "", *, at: float = 0.5
) -> None:
    """Print words on a baseline, smaller where they are wider than the page.

    Args:
        type_: the fonts.
        y: of the baseline.
        words: of one line.
        size: of the letters.
        style: as fpdf2 names it.
        at: 0 begins at the left margin, 1 ends at the right one, 0.5 stands in the middle.
    """
    room = WIDTH - 2 * MARGIN
    words = type_.set(words, style, size)
    width = type_.pdf.get_string_width(words)
    if width > room:
        type_.pdf.set_font_size(size * room / width)
        width = room
    type_.pdf.text(MARGIN + (room - width) * at, y, words)


class Score:
    """A score of verovio.

    Attributes:
        width: in units of the score.
    """

    def __init__(self, root: ElementTree.Element) -> None:
        inner = next(node for node in root.iter(f"{_SVG}svg") if node is not root)
        self._glyphs = {node.get("id"): node for defs in root.iter(f"{_SVG}defs") for node in defs}
        (self._page,) = (node for node in inner if node.get("class") == "page-margin")
        self._left, top = _moved(self._page)
        assert top >= 0, "a page begins at its margin"
        box = list(map(float, _NUMBER.findall(inner.get("viewBox", ""))))
        self.width = box[2] - 2 * self._left

    def systems(self) -> list[tuple[ElementTree.Element, float, float]]:
        """Return the lines of music, each with its highest and its lowest place."""
        lines = [node for node in self._page if "system" in (node.get("class") or "").split()]
        reach = [list(_heights(line, 0.0)) for line in lines]
        tops = [min(heights) for heights in reach]
        bottoms = [max(heights) for heights in reach]
        for i in range(1, len(lines)):
            if tops[i] < bottoms[i - 1]:
                tops[i] = bottoms[i - 1] = (tops[i] + bottoms[i - 1]) / 2
        return list(zip(lines, tops, bottoms, strict=True))

    def draw(
        self,
        type_: Type,
        system: ElementTree.Element,
        top: float,
        bottom: float,
        at: tuple[float, float, float],
    ) -> None:
        """Draw a line of music on the current page, at x and y in points, with a scale."""
        x, y, scale = at
        texts: list[Text] = []
        used: set[str] = set()
        shapes = _shapes(system, used)
        _collect(system, (0.0, 0.0), "", texts)
        svg = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg")
        height = bottom - top
        svg.set("viewBox", f"0 {top:g} {self.width:g} {height:g}")
        svg.set("width", f"{self.width * scale:g}")
        svg.set("height", f"{height * scale:g}")
        defs = ElementTree.SubElement(svg, "defs")
        for name in sorted(used):
            glyph = ElementTree.SubElement(defs, "g", id=name)
            glyph.extend(_plain(part) for part in self._glyphs[name])
        svg.append(shapes)
        SVGObject(ElementTree.tostring(svg, encoding="unicode")).draw_to_page(type_.pdf, x, y)
        for text in texts:
            words = type_.set(text.words, text.style, text.size * scale)
            shift = {"middle": 0.5, "end": 1.0}.get(text.anchor, 0.0)
            width = type_.pdf.get_string_width(words) * shift
            type_.pdf.text(x + text.x * scale - width, y + (text.y - top) * scale, words)


def _moved(node: ElementTree.Element) -> tuple[float, float]:
    """Return how far an element is moved; only glyphs are also scaled."""
    match = _TRANSLATE.match(node.get("transform", ""))
    return (float(match[1]), float(match[2])) if match else (0.0, 0.0)


def _heights(node: ElementTree.Element, base: float) -> Iterator[float]:
    """Yield places that a line of music reaches, upwards or downwards."""
    if _HIDDEN in (node.get("class") or "").split():
        return
    base += _moved(node)[1]
    kind = node.tag.removeprefix(_SVG)
    if kind == "use":
        yield from (base - GLYPH_REACH, base + GLYPH_REACH)
    elif kind in ("text", "rect"):
        place = base + float(node.get("y", 0))
        yield from (place - GLYPH_REACH / 2, place + GLYPH_REACH / 4)
    elif kind in ("path", "polygon", "polyline"):
        numbers = _NUMBER.findall(node.get("d") or node.get("points") or "")
        yield from (base + float(number) for number in numbers[1::2])
    for child in node:
        yield from _heights(child, base)


def _shapes(node: ElementTree.Element, used: set[str]) -> ElementTree.Element:
    """Return what is drawn of an element, without texts; note the glyphs that it uses."""
    shape = _plain(node)
    if shape.tag == "use":
        used.add(shape.get("href", "").removeprefix("#"))
    for child in node:
        hidden = _HIDDEN in (child.get("class") or "").split()
        if child.tag != f"{_SVG}text" and not hidden:
            shape.append(_shapes(child, used))
    return shape


def _plain(node: ElementTree.Element) -> ElementTree.Element:
    """Return an element alone, black; what has no width of its own is not stroked."""
    kept = {name: value for name, value in node.attrib.items() if name not in ("id", "class")}
    if "stroke-width" in kept:
        kept["stroke"] = "black"
    kept.pop("color", None)
    return ElementTree.Element(node.tag.removeprefix(_SVG), kept)


def _collect(
    node: ElementTree.Element, base: tuple[float, float], style: str, texts: list[Text]
) -> None:
    """Collect the texts in an element."""
    names = set((node.get("class") or "").split())
    if _HIDDEN in names:
        return
    moved = _moved(node)
    base = base[0] + moved[0], base[1] + moved[1]
    if names & _BOLD:
        style = "B"
    elif names & _ITALIC:
        style = "I"
    if node.tag == f"{_SVG}text":
        size = max((_size(part) for part in node.iter()), default=0.0)
        words = "".join(part.text or "" for part in node.iter() if _size(part)).strip()
        x, y = base[0] + float(node.get("x", 0)), base[1] + float(node.get("y", 0))
        if words and size:
            texts.append(Text(x, y, size, node.get("text-anchor", "start"), style, words))
        return
    for child in node:
        _collect(child, base, style, texts)


def _size(node: ElementTree.Element) -> float:
    match = _NUMBER.match(node.get("font-size", ""))
    return float(match[0]) if match else 0.0


if __name__ == "__main__":
    main()
