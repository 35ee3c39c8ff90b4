from __future__ import annotations

import pytest

from musicllm.music.render.notation import by_voice, for_verovio, num_voices, placed_above

HEAD = "X:1\nL:1/8\nK:C\n"


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("CDEF|GABc", "CDEF|GABc|"),
        ("CDEF|[GBd]4", "CDEF|[GBd]4|"),
        ("CDEF|GABc|]", "CDEF|GABc|]"),
        ("CDEF|GABc:|\\", "CDEF|GABc:|"),
        ("CDEF::GABc::", "CDEF:|:GABc:|"),
        ("C4|[1D4:|[2 E4|]", 'C4|"^1."D4:|"^2."E4|]'),
        ('C4|1"G"D4:|2 "^slow"E4|]', 'C4|"1. G"D4:|"2. slow"E4|]'),
        ("C2D2|2E2|", 'C2D2|"^2."E2|'),
    ],
)
def test_closes_bars_and_writes_endings_as_text(music: str, expected: str) -> None:
    assert for_verovio(f"{HEAD}{music}\nw:la::la\n") == f"{HEAD}{expected}\nw:la::la\n"


def test_gathers_the_lines_of_each_voice() -> None:
    scattered = (
        "X:1\nV:1 treble\nV:2 bass\nL:1/8\nK:C\nV:1\nC8|\nw:la\n[V:2]C,8|\n[V:1] D8|\n[V:2] D,8|\n"
    )
    gathered = f"{HEAD}V:1 treble\nC8|\nw:la\nD8|\nV:2 bass\nC,8|\nD,8|\n"
    assert num_voices(scattered) == 2
    assert by_voice(scattered) == gathered


def test_leaves_tempo_out() -> None:
    tune = "X:1\nQ:1/4=99\nK:C\nC2[Q:1/4=60]D2|\n"
    assert for_verovio(tune) == "X:1\nK:C\nC2D2|\n"
    assert by_voice(tune) == "X:1\nK:C\nV:1\nC2D2|\n"


def test_music_before_any_voice_belongs_to_the_first() -> None:
    assert by_voice("X:1\nV:1\nV:2\nK:C\nC8|\nV:2\nD8|\n") == "X:1\nK:C\nV:1\nC8|\nV:2\nD8|\n"
    assert num_voices(f"{HEAD}C8|\n") == 1


def test_texts_at_places_of_their_own_stand_above_the_staff() -> None:
    music = 'K:C\n"@1,2 hi"C2"@-1.5, 2low""A"D2"@E"E2"_x@1,2 y"F2|\nw: "@1,2 la"\n'
    placed = 'K:C\n"^hi"C2"^low""A"D2"^E"E2"_x@1,2 y"F2|\nw: "@1,2 la"\n'
    assert placed_above(music) == placed
