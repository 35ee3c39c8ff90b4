"""The same tunes in other keys: more to learn from, nothing new to be tested on.

Only the training split is given to this module; a copy stays in the group of its tune.
"""

from __future__ import annotations

from collections.abc import Sequence

from musicllm.data.records import Drop, Record
from musicllm.music.abc import AbcError
from musicllm.music.transform import transpose


def transposed(
    records: Sequence[Record], semitones: Sequence[int]
) -> tuple[list[Record], list[Drop]]:
    """Return each tune in each transposition, and the copies that would leave MIDI's range.

    Args:
        records: tunes in canonical form.
        semitones: 0 gives the tune itself, 2 a copy a whole tone higher with `+2` behind its id.
    """
    copies: list[Record] = []
    drops: list[Drop] = []
    for record in records:
        for shift in semitones:
            try:
                copies.append(_shifted(record, shift) if shift else record)
            except AbcError as error:
                place = f"{record['id']}{shift:+d}"
                reason = "cannot be transposed"
                drops.append(Drop(record["source"], place, reason, str(error), is_fault=False))
    return copies, drops


def _shifted(record: Record, shift: int) -> Record:
    text = transpose(record["text"], shift)
    return {**record, "id": f"{record['id']}{shift:+d}", "text": text}
