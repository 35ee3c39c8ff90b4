"""Prints a score as PDF on A4: shapes stay shapes and texts stay texts.

fpdf2 draws the SVG of `kinds.svg` in a limited process, with titles, composer, rhythm and tempo of
the tune above it. Texts are set in the fonts that matplotlib ships, and characters that they lack,
such as Chinese ones, in the font that the environment variable `MUSICLLM_FONT` names, or as `?`,
which is named as a problem.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path

from musicllm.errors import RenderError
from musicllm.music.render.fence import python_worker, run_limited
from musicllm.music.render.renderer import RENDERERS, Output, Renderer, Rendering

TIMEOUT_S = 60.0
MAX_SHOWN = 20
FONT_VARIABLE = "MUSICLLM_FONT"
_FIELD = re.compile(r"^([TCRQ]):[ \t]*(.*)$", re.MULTILINE)


def svg_to_pdf(svg: str, abc: str = "") -> tuple[bytes, str]:
    """Return a score as PDF, on as many pages as it needs, and characters that no font has.

    About a second for a page.

    Args:
        svg: from `abc_to_svg`.
        abc: the tune, whose header is printed above the music.

    Raises:
        RenderError: fpdf2 or matplotlib's fonts are missing, or drawing takes too long.
    """
    if importlib.util.find_spec("fpdf") is None:
        raise RenderError("PDF needs fpdf2: pip install fpdf2")
    fields: dict[str, list[str]] = {}
    for letter, value in _FIELD.findall(abc):
        if value.strip():
            fields.setdefault(letter, []).append(" ".join(value.split()))
    title, *lines = fields.get("T", [""])
    left = ", ".join([*fields.get("R", [])[:1], *fields.get("Q", [])[:1]])
    job = {
        "svg": svg,
        "title": title,
        "lines": lines,
        "left": left,
        "right": ", ".join(fields.get("C", [])),
        "fonts": str(_fonts()),
        "font": _own_font(),
    }
    with tempfile.TemporaryDirectory() as folder:
        done = run_limited(
            python_worker("_print.py"),
            engine="fpdf2",
            cwd=Path(folder),
            timeout_s=TIMEOUT_S,
            stdin=json.dumps(job).encode(),
        )
    return done.stdout, "".join(json.loads(done.stderr))


@lru_cache(maxsize=1)
def _fonts() -> Path:
    """Return matplotlib's folder of fonts, without importing it."""
    package = importlib.util.find_spec("matplotlib")
    if package is None or not package.origin:
        raise RenderError("PDF needs the fonts of matplotlib: pip install matplotlib")
    return Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"


def _own_font() -> str | None:
    """Return the path of the user's font.

    Raises:
        RenderError: the variable names no file.
    """
    named = os.environ.get(FONT_VARIABLE)
    if not named:
        return None
    if not Path(named).is_file():
        raise RenderError(f"{FONT_VARIABLE}={named} is not a file; name a .ttf or .otf")
    return str(Path(named).resolve())


def _render(rendering: Rendering) -> None:
    svg = rendering.files[".svg"].read_text(encoding="utf-8")
    content, missing = svg_to_pdf(svg, rendering.abc)
    rendering.write(".pdf", content)
    if missing:
        rendering.problems.append(
            f"the PDF has ? instead of {missing[:MAX_SHOWN]}: no font here has them; name one in "
            f"{FONT_VARIABLE}"
        )


PDF = RENDERERS.register(
    Renderer(
        "PDF",
        (Output(".pdf", "application/pdf", "download", "PDF"),),
        _render,
        needs="score",
        order=6,
        by_default=False,
    )
)
