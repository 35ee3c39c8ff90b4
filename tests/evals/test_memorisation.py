from __future__ import annotations

import pytest

from musicllm.evals.memorisation import MelodyIndex
from musicllm.music import abc
from musicllm.music.analysis import melodic_steps
from musicllm.music.transform import transpose

HEADER = "X:1\nL:1/8\nM:4/4\nK:C\n"
FIRST = HEADER + "CDEF GABc|defg a2b2|cBAG FEDC|GFED C4|cdef gage|fdcB c4|]"
SECOND = HEADER + "CEGc eGec|dBGF D2F2|AFDA dfad|cAFC G4|GcBA GFEG|ceBd c4|]"
INDEX = MelodyIndex([SECOND, "No tune.", f"Here you are:\n{FIRST}\n\nEnjoy!"])


@pytest.mark.parametrize("text", [FIRST, transpose(FIRST, -4), FIRST.replace("L:1/8", "L:1/4")])
def test_whole_melody_is_known_in_every_key_and_unit(text: str) -> None:
    match = INDEX.look_up(abc.parse(text))
    assert (match.run_share, match.similarity, match.known_figures) == (1.0, 1.0, 1.0)
    assert (match.source, match.is_copy) == (2, True)
    assert match.run_notes == len(melodic_steps(abc.parse(FIRST))) + 1


def test_beginning_of_a_known_melody() -> None:
    tune = HEADER + "CDEF GABc|defg a2b2|cBAG FEDC|" + "G2c2 E2F2|A4 D4|B,2C2 A2E2|FAGB F2D2|C8|]"
    match = INDEX.look_up(abc.parse(tune))
    num_notes = 8 + 6 + 8
    assert match.run_notes == num_notes
    own = melodic_steps(abc.parse(tune))
    assert match.run_share == pytest.approx((num_notes - 1) / len(own))
    assert match.known_figures == pytest.approx((num_notes - 6) / (len(own) - 5))
    assert not match.is_copy


def test_unknown_melody_and_unknown_steps() -> None:
    match = INDEX.look_up(abc.parse(HEADER + "C,c' C,c' C,3c' C,c'|c'3/2C,3/2"))
    assert (match.run_notes, match.similarity, match.source, match.is_copy) == (0, 0.0, -1, False)


def test_short_melodies_are_no_copies() -> None:
    match = INDEX.look_up(abc.parse(HEADER + "CDEF GABc|defg a2b2|"))
    assert (match.known_figures, match.similarity, match.is_copy) == (1.0, 0.0, False)
    assert match.source == 2


def test_no_training_tunes() -> None:
    match = MelodyIndex([]).look_up(abc.parse(FIRST))
    assert (match.run_notes, match.known_figures, match.source) == (0, 0.0, -1)
