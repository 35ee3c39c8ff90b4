"""What a file of a tune lacks although the tune has it, and what keeps a tune from being read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.music.abc.places import Place
from musicllm.music.render import Renderer
from musicllm.serve.tunes.findings import LIMITS

SCORE, MUSICXML = "score", "MusicXML"
"""Names of renderers."""
_NOT_IN_MUSICXML = ("annotations", "lyrics")
"""See `music.convert`; scores of several voices are drawn from it, too."""
_NUMBER = re.compile(r"^\s*X:")
_WORDS = re.compile(r"^[ \t]*W:[ \t]*\S", re.MULTILINE)


def losses(
    text: str, places: Sequence[Place], renderer: Renderer, *, is_transposed: bool
) -> list[str]:
    """Return a sentence for each thing of a tune that a file leaves out, besides its own problems.

    Args:
        text: with one tune, from any source.
        places: of the tune in it; empty where none is like a tune.
        renderer: that makes the file.
        is_transposed: scores say by themselves what is lost by that.
    """
    sentences = []
    tune = text[slice(*places[0])] if places else text
    if _has_text_after_end(text):
        sentences.append("what follows the first empty line, which ends a tune, is left out")
    try:
        score = abc.parse(abc.unfold(tune), LIMITS)
    except InputError as error:
        return [
            *sentences,
            f"the tune does not parse ({error}): the file may not be what it says",
        ]
    is_score = SCORE in (renderer.name, renderer.needs)
    if is_transposed and (is_score or renderer.name == MUSICXML):
        return sentences
    if renderer.name == MUSICXML or (is_score and len(score.voices) > 1):
        what = "the MusicXML" if renderer.name == MUSICXML else "a score of several voices"
        if lost := [name for name in _NOT_IN_MUSICXML if name in abc.omissions(score, LIMITS)]:
            sentences.append(f"{what} has no {' and no '.join(lost)}")
    elif is_score and _WORDS.search(tune):
        sentences.append("the score has no words below the tune (W:)")
    return sentences


def _has_text_after_end(text: str) -> bool:
    """Return whether an empty line ends the tune before the text ends."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _NUMBER.match(line)), None)
    if start is None:
        start = next((i for i, line in enumerate(lines) if line.strip()), 0)
    rest = [bool(line.strip()) for line in lines[start:]]
    return False in rest and any(rest[rest.index(False) :])
