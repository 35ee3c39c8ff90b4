"""One file of a tune, as it is to sound: MIDI, MusicXML, sound or a picture."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from musicllm.errors import InputError, RenderError
from musicllm.music.render import RENDERERS, Output, Playing, Renderer, render_tune
from musicllm.serve.answers import tune_places
from musicllm.serve.tunes.findings import limit
from musicllm.serve.tunes.losses import losses

MAX_SEMITONES = 24
MIN_TEMPO, MAX_TEMPO = 0.1, 10.0
MAX_PROGRAM = 127

_NAMES = {".mid": "midi"}
"""Names of formats that are not their suffix."""
_TITLE = re.compile(r"^T:(.*)", re.MULTILINE)
_NOT_IN_NAMES = re.compile(r"[\W_]+")
_MAX_NAME_CHARS = 60


class FieldError(InputError):
    """A field of a request has a value that is not allowed.

    Attributes:
        field: its name in the API.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class FileRequest:
    """A file that is to be made of a tune.

    Attributes:
        abc: one tune, from any source.
        format: a name of `formats()`.
        playing: how it is to sound.
    """

    abc: str
    format: str
    playing: Playing

    def __post_init__(self) -> None:
        """Refuse what cannot be followed.

        Raises:
            FieldError: a value is none that is allowed.
        """
        renderers = formats()
        if self.format not in renderers:
            known = ", ".join(sorted(renderers))
            raise FieldError("format", f"format={self.format!r} is none of {known}")
        playing = self.playing
        if abs(playing.semitones) > MAX_SEMITONES:
            rule = f"transpose={playing.semitones} is not within ±{MAX_SEMITONES}"
            raise FieldError("transpose", rule)
        if not MIN_TEMPO <= playing.tempo <= MAX_TEMPO:
            rule = f"tempo={playing.tempo:g} is not within {MIN_TEMPO} to {MAX_TEMPO}"
            raise FieldError("tempo", rule)
        if playing.program is not None and not 0 <= playing.program <= MAX_PROGRAM:
            rule = f"program={playing.program} is not within 0 to {MAX_PROGRAM}"
            raise FieldError("program", rule)
        if renderers[self.format][0].is_played:
            return
        is_set = {"tempo": playing.tempo != 1, "program": playing.program is not None}
        if name := next((name for name, value in is_set.items() if value), None):
            raise FieldError(name, f"{name} has no effect on format={self.format}; leave it out")


@dataclass(frozen=True)
class TuneFile:
    """A file of a tune.

    Attributes:
        content: its bytes.
        media_type: such as `audio/midi`.
        problems: what is not as the tune says, such as a sound that is cut.
        sound_engine: what played it; None for a file without sound.
    """

    content: bytes
    media_type: str
    problems: tuple[str, ...]
    sound_engine: str | None


def formats() -> Mapping[str, tuple[Renderer, Output]]:
    """Return the formats by name, with what writes them."""
    return {
        _NAMES.get(output.suffix, output.suffix.removeprefix(".")): (renderer, output)
        for renderer in RENDERERS.values()
        for output in renderer.outputs
    }


def tune_file(request: FileRequest) -> TuneFile:
    """Make a file of a tune; each engine in a limited process.

    Raises:
        InputError: the text is larger than a limit of `findings`.
        FieldError: there is more than one tune.
        RenderError: the tune is rejected, or the format cannot be made of it.
    """
    renderer, output = formats()[request.format]
    limit(request.abc)
    places = tune_places(request.abc)
    if len(places) > 1:
        rule = f"abc has {len(places)} tunes, and a file has one; send them one by one"
        raise FieldError("abc", rule)
    with tempfile.TemporaryDirectory() as folder:
        rendering = render_tune(
            request.abc, Path(folder), "tune", only=(renderer.name,), playing=request.playing
        )
        path = rendering.files.get(output.suffix)
        if path is None:
            raise RenderError("; ".join(rendering.problems))
        lost = losses(request.abc, places, renderer, is_transposed=request.playing.semitones != 0)
        return TuneFile(
            path.read_bytes(),
            output.media_type,
            (*rendering.problems, *lost),
            rendering.sound_engine,
        )


def file_name(request: FileRequest, *, is_plain: bool = True) -> str:
    """Return a name for the file, from the tune's title.

    Args:
        request: the file.
        is_plain: in ASCII, `sord-o-suilleabhain`; else in letters of any language.
    """
    title = _TITLE.search(request.abc)
    words = title[1].lower() if title else ""
    if is_plain:
        words = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    name = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", words))[:_MAX_NAME_CHARS]
    return f"{name.strip('-') or 'tune'}{formats()[request.format][1].suffix}"
