"""A link that opens a tune in the public abcjs editor, which draws and plays it.

The tune is the query of the link (`https://editor.drawthedots.com/?t=` and the ABC,
percent-encoded), so nothing is stored or called to make one. Whoever opens it sends the tune to
that site. The format is the one with which other programs call the editor, such as
`seisiuneer/abctools` before it had a player of its own.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

from musicllm.errors import RenderError
from musicllm.music.render.sanitize import sanitize

EDITOR = "https://editor.drawthedots.com/?t="
MAX_CHARS = 8_000
"""Web servers refuse longer requests (8 KiB is the limit of Apache and nginx by default)."""

_UNRESERVED = "!~*'()"
"""Characters that `encodeURIComponent` of browsers keeps, beside letters, digits and `-_.`."""


def editor_link(abc: str) -> str:
    """Return the link that opens a tune in the abcjs editor.

    Args:
        abc: one tune, from any source; directives and comments are left out (`sanitize`).

    Raises:
        RenderError: there is no tune, or the link would be longer than `MAX_CHARS`.
    """
    link = EDITOR + quote(sanitize(abc), safe=_UNRESERVED)
    if len(link) > MAX_CHARS:
        raise RenderError(
            f"no link to the editor: it would have {len(link):,} characters, and web servers take "
            f"{MAX_CHARS:,}; open the ABC file there instead"
        )
    return link


def tune_of_link(link: str) -> str:
    """Return the ABC in a link of `editor_link`."""
    return parse_qs(urlsplit(link).query, strict_parsing=True)["t"][0]
