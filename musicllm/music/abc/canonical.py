"""The canonical form of a tune, which models read and write.

Header: one field per line, always `X:1`, values in one spelling (`C|` is `2/2`, `E Minor` is `Em`).
Body: no titles, lyrics, comments, annotations, fingerings or layout. Chord symbols in one spelling;
text that is not a chord symbol stays as it is (`chord_symbols`). White space: exactly one blank
around each bar line; inside a bar one blank where the source has any, so that beams stay; none
after what belongs to the next note (chord symbols, `(3`, `>`, fields). A line ends with each
section (repeat, double or thick bar), and the tune with `|]` unless a repeat ends it. Notes:
`c,` is `C`, `A1` is `A`, `A/2` is `A/`; ties to another pitch are slurs. The canonical form of a
canonical tune is itself, and pitches, durations and bars are those of the source: voices that sound
at another pitch than written (clefs with an octave, `octave=`, `transpose=`) are written as they
sound, in the sounding key, without their clef. Alternating metres (`M:3/4 4/4`) all stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from musicllm.music.abc.clefs import Shift, Staves, may_shift, read_shift, voice_shift
from musicllm.music.abc.keys import NO_KEY, parse_key
from musicllm.music.abc.limits import DEFAULT_LIMITS, Limits
from musicllm.music.abc.model import Score
from musicllm.music.abc.mover import Mover
from musicllm.music.abc.parser import parse
from musicllm.music.abc.source import Source, read_source
from musicllm.music.abc.writer import CanonicalWriter

FIELDS = ("X", "R", "L", "M", "K")


def canonical(
    tune: Score | str,
    fields: Sequence[str] = FIELDS,
    *,
    keep_grace: bool = False,
    keep_slurs: bool = False,
    keep_decorations: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> str:
    """Return the canonical form of a tune; its last line ends with a line feed.

    Args:
        tune: a score, or text for `parse`.
        fields: header fields to keep, in this order, if the tune has them; L and M must be
            among them and K must be last, since the notes depend on them.
        keep_grace: keep grace notes.
        keep_slurs: keep slurs, including those written as ties.
        keep_decorations: keep `.`, `~`, `!trill!` and the like.
        limits: those that the tune is parsed with.

    Raises:
        AbcError: the text is not valid ABC.
        ValueError: L, M or K is missing from `fields`.
    """
    if not fields or fields[-1] != "K" or not {"L", "M"} <= set(fields):
        raise ValueError(f"fields={tuple(fields)} must hold L and M, and K at the end")
    score = parse(tune, limits) if isinstance(tune, str) else tune
    values = {
        **{letter: " ".join(value.split()) for letter, value in score.header.items()},
        "X": "1",
        "R": " ".join(score.header.get("R", "").lower().split()),
        "L": str(score.unit_length),
        "M": score.metre_text,
        "K": score.key.name,
    }
    header = [f"{letter}:{values[letter]}" for letter in fields if values.get(letter)]
    source = read_source(score.source, limits)
    staves = _staves(source) if may_shift(score.source) else None
    keep = (keep_grace, keep_slurs, keep_decorations)
    writer = CanonicalWriter(*keep, name_voices=len(score.voices) > 1, staves=staves)
    for line in source.body:
        writer.line(line)
    body = writer.finish()
    if staves is None:
        return "\n".join([*header, body]) + "\n"
    mover = Mover(staves.key, 0, score.key)
    moved = [*header, *map(mover.line, body.split("\n"))]
    return canonical(
        "\n".join(moved),
        fields,
        keep_grace=keep_grace,
        keep_slurs=keep_slurs,
        keep_decorations=keep_decorations,
        limits=limits,
    )


def _staves(source: Source) -> Staves:
    """Return the key and the transposition of each voice that the header declares."""
    value = source.header["K"][0]
    shift = read_shift(value)
    declared: dict[str, Shift] = {}
    for voice, _ in source.voices:
        name = voice.split(maxsplit=1)[0]
        declared[name] = voice_shift(voice, declared.get(name, shift))
    return Staves(parse_key(value, NO_KEY), shift, declared)


def canonical_bar(text: str) -> str:
    """Return the canonical form of music without bar lines, such as the text of a `Bar`."""
    writer = CanonicalWriter()
    writer.content(text)
    return "".join(writer.out)
