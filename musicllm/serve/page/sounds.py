"""Serves the sound font that the page plays tunes with.

It is the font of `music.render`: TimGM6mb of the package pretty_midi, or the file in the
environment variable `MUSICLLM_SOUNDFONT`. The page's synthesiser reads fonts with plain samples
only (.sf2): decoders of compressed ones (.sf3) need WebAssembly, which the page's security policy
does not allow.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from musicllm.errors import RenderError
from musicllm.music.render.kinds.sound import SOUNDFONT_VARIABLE, find_soundfont

COMPRESSED = 3
"""Major version of the format from which samples may be compressed."""
HEADER_BYTES = 1024
"""Bytes in which the version is looked for; it comes first (SoundFont 2.04, section 5.1)."""


def router() -> APIRouter:
    """Return the route of the font; browsers ask whether their copy is still the same."""
    routes = APIRouter()

    @routes.get("/sounds/font.sf2", include_in_schema=False)
    def _font(request: Request) -> Response:
        path = playable_font()
        status = path.stat()
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type="application/octet-stream", headers=headers)

    return routes


def playable_font() -> Path:
    """Return the path of a font that the page can play.

    Raises:
        RenderError: it is no sound font, or a compressed one.
    """
    path = find_soundfont()
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    version = header.find(b"ifil") + 8
    if header[:4] != b"RIFF" or header[8:12] != b"sfbk" or version < 8:
        raise RenderError(f"{path} is not a SoundFont 2 file; let {SOUNDFONT_VARIABLE} name one")
    if int.from_bytes(header[version : version + 2], "little") >= COMPRESSED:
        raise RenderError(
            f"{path} is compressed (.sf3), which the page cannot play; "
            f"let {SOUNDFONT_VARIABLE} name an .sf2, or unset it for the font of pretty_midi"
        )
    return path
