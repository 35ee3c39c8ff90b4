"""How large tunes are in other formats: as MIDI, and as sound in a WAV file.

MIDI is made in full, with repeats played out, as a player needs it. The size of the WAV is computed
from the length of that MIDI, since the samples do not change it: it is the file that
`music.render` would write, were the tune not cut at its limit. Nothing is played.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from musicllm import console
from musicllm.errors import RenderError
from musicllm.music.abc import find_tunes, unfold
from musicllm.music.render import abc_to_midi
from musicllm.music.render.kinds.sound import RATE_HZ, TAIL_S

NUM_RENDERED = 200
"""Size of the sample; at 20 to 25 ms a tune, about 5 s."""

_HEADER_BYTES = 44
_SAMPLE_BYTES = 2


@dataclass(frozen=True)
class Rendered:
    """A document with one tune, and its music.

    Attributes:
        index: of the document.
        midi: the Standard MIDI File.
        duration_s: of the music.
    """

    index: int
    midi: bytes
    duration_s: float


def wav_bytes(duration_s: float) -> int:
    """Return the size of a tune as WAV: PCM of 16 bits, mono, 22,050 Hz, with its last ring.

    Sound as on a CD (two channels, 44,100 Hz) takes four times as much.
    """
    return _HEADER_BYTES + _SAMPLE_BYTES * round((duration_s + TAIL_S) * RATE_HZ)


def render(texts: Sequence[str], seed: int) -> tuple[list[Rendered], int]:
    """Make MIDI of up to `NUM_RENDERED` documents that hold exactly one tune.

    Args:
        texts: documents.
        seed: of the draw.

    Returns:
        The rendered ones, and how many of the sample could not be rendered.
    """
    tunes = [(index, tune) for index, text in enumerate(texts) if (tune := _only_tune(text))]
    sample = random.Random(seed).sample(tunes, min(NUM_RENDERED, len(tunes)))
    rendered = []
    with console.progress("writing MIDI", len(sample), "tune") as advance:
        for index, tune in sorted(sample):
            try:
                midi = abc_to_midi(tune)
                rendered.append(Rendered(index, midi.data, midi.duration_s))
            except RenderError as error:
                console.note(f"document {index} is left out of the comparison with MIDI: {error}")
            advance()
    return rendered, len(sample) - len(rendered)


def _only_tune(text: str) -> str | None:
    places = find_tunes(text)
    return unfold(text[places[0].start : places[0].stop]) if len(places) == 1 else None
