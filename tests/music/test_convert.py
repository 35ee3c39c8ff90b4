"""MusicXML is read back with music21 and compared with what our parser read from the ABC."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest

from musicllm.errors import RenderError
from musicllm.music.abc import AbcError, Tune, parse, read_book
from musicllm.music.abc.chord_symbols import read_chord
from musicllm.music.convert import to_musicxml
from musicllm.music.convert.harmony import KINDS
from musicllm.music.convert.lengths import beams, values
from musicllm.music.render.kinds.musicxml import abc_to_musicxml
from musicllm.music.render.notation import at_sounding_pitch
from tests.music.scores_read_back import Facts, of_musicxml, of_score

HEAD = "X:1\nT:Tune\nM:4/4\nL:1/8\nK:{}\n"
BOOKS = ("oneills1850", "airdsAirs", "ryansMammoth")


def both(abc: str) -> tuple[list[Facts], list[Facts]]:
    return of_musicxml(to_musicxml(parse(abc))), of_score(parse(at_sounding_pitch(abc)))


def music(body: str, key: str = "C") -> ElementTree.Element:
    text = to_musicxml(parse(HEAD.format(key) + body))
    return ElementTree.fromstring(text.partition('dtd">')[2])


@pytest.mark.parametrize("every", [
    pytest.param(300, id="sample"), pytest.param(7, id="many", marks=pytest.mark.slow),
])  # fmt: skip
def test_tunes_of_the_books_survive(every: int) -> None:
    found = importlib.util.find_spec("music21")
    assert found is not None, "music21 is a dependency"
    assert found.submodule_search_locations, "music21 is a package"
    corpus = Path(found.submodule_search_locations[0]) / "corpus"
    files = [path for book in BOOKS for path in sorted((corpus / book).glob("*.abc"))]
    tunes = [tune for path in files for tune in read_book(path) if isinstance(tune, Tune)]
    num_compared = 0
    for tune in tunes[::every]:
        try:
            ours = of_score(parse(tune.text))
        except AbcError:
            continue
        assert of_musicxml(to_musicxml(parse(tune.text))) == ours, (tune.file, tune.line)
        num_compared += 1
    assert num_compared > 4000 / every


@pytest.mark.parametrize("body", [
    "^F_B =F^^c __d|F B c d|[^CE^G]2 C2 E4|",
    "(3ABc (5ABcde (3:2:4A2BcB|A>B c<d e>>f g3<<a|(3A>Bc d-|d4-d2-d/d/d|",
    "|:A8|B8:|1 c8:|2 d8||e8|1,3 f8:|2 g8|]",
    "|:A8|1 B8:|2 c8:|3 d8|]",
    "A4 [K:G]F4|F8|[K:Ebm]G8|[K:D =c]F4c4|[K:none]F8|",
    "A8|[M:6/8]A6|[M:3/4]A6|[M:2/4][L:1/16]A8|\nM:9/8\nA9|[M:none]A3|A4|",
    "z8|Z2|x4 A4|A5 B3|A7 z|",
    "C,,2 c''2 [C,G,Ec]4-|[C,G,Ec]8|",
    "(A{gf}B) (c(d)e) ~f.g !fermata!a|",
    "C/3D/3E/3 F5/4G3/4 A6|",
    "V:1\nc8|[K:G]f8|\nV:2 bass\nC,8|F,8|\nV:1\nM:3/4\nc6|\nV:2\nM:3/4\nC,6|",
    "V:1 clef=treble-8\nc8|",
    "V:1 transpose=-2\nc4 d4|",
])  # fmt: skip
def test_what_is_written_is_what_our_parser_read(body: str) -> None:
    text = HEAD.format("C") + body + "\n"
    theirs = of_musicxml(abc_to_musicxml(text))
    assert theirs == of_score(parse(at_sounding_pitch(text)))
    assert theirs[0].events


def test_the_comparison_sees_a_difference() -> None:
    one, other = of_musicxml(to_musicxml(parse(HEAD.format("C") + "CDEF GABc|"))), "CDEF GAB_c|"
    assert one != of_score(parse(HEAD.format("C") + other))


def test_chord_symbols_survive_with_their_tones() -> None:
    names = [f"C{quality}" for quality in KINDS] + ["F#m7/E", "Bb7", "Am", "N.C."]
    body = "".join(f'"{name}"C8|' for name in names)
    theirs, ours = both(HEAD.format("C") + body)
    elevenths = {f"C{quality}" for quality in KINDS if quality.endswith("13")}
    expected = [  # music21 has an eleventh in thirteenths, which nobody plays
        (root, steps | {5} if name in elevenths else steps)
        for name, (root, steps) in zip(names, ours[0].chords, strict=False)
    ]
    assert theirs[0].chords == expected
    assert len(theirs[0].chords) == len(names) - 1


@pytest.mark.parametrize(
    ("symbol", "degrees"),
    [
        ("C7b9", [("9", "-1", "add")]),
        ("C7sus4", [("7", "-1", "add")]),
        ("Cmaj7#11", [("11", "1", "add")]),
        ("C69", [("9", "0", "add")]),
        ("C7b5", [("5", "-1", "alter")]),
        ("Cadd9", [("9", "0", "add")]),
        ("Cmno5", [("5", "0", "subtract")]),
    ],
)
def test_a_quality_without_a_kind_is_a_kind_and_degrees(
    symbol: str, degrees: list[tuple[str, str, str]]
) -> None:
    assert read_chord(symbol) is not None
    read = [
        tuple(degree.findtext(f"degree-{part}") for part in ("value", "alter", "type"))
        for degree in music(f'"{symbol}"C8|').iter("degree")
    ]
    assert read == degrees


def test_words_that_are_no_chord_stand_above_the_staff() -> None:
    assert [word.text for word in music('"Hm"C8|').iter("words")] == ["Hm"]


def test_the_metre_keeps_its_beats() -> None:
    """6/8 and 3/4 are equally long."""
    part = music("A8|[M:6/8]A6|B6|[M:3/4]A6|\nM:6/8\nA6|")
    read = [f"{time.findtext('beats')}/{time.findtext('beat-type')}" for time in part.iter("time")]
    assert read == ["4/4", "6/8", "3/4", "6/8"]


def test_accidentals_are_drawn_where_notation_needs_them() -> None:
    part = music("^F F f =F|F _B4|", key="G")
    drawn = [note.findtext("accidental") for note in part.iter("note")]
    assert drawn == ["sharp", None, None, "natural", None, "flat"]
    altered = [note.findtext("pitch/alter") for note in part.iter("note")]
    assert altered == ["1", "1", "1", None, "1", "-1"]


def test_a_pickup_is_bar_zero_and_does_not_count() -> None:
    measures = music("G|c4 e4|").findall("part/measure")
    assert [(m.get("number"), m.get("implicit")) for m in measures] == [("0", "yes"), ("1", None)]


def test_title_composer_and_tempo_are_there() -> None:
    text = to_musicxml(parse("X:1\nT:A <b> & c\nC:Trad.\nM:6/8\nL:1/8\nQ:3/8=100\nK:C\nCDE FGA|"))
    root = ElementTree.fromstring(text.partition('dtd">')[2])
    assert root.findtext("work/work-title") == "A <b> & c"
    assert root.findtext("identification/creator") == "Trad."
    sound = root.find(".//sound")
    assert sound is not None
    assert sound.get("tempo") == "150"


@pytest.mark.parametrize(
    ("length", "tuplet", "expected", "ratio"),
    [
        (Fraction(3, 8), (1, 1), [("quarter", 1)], (1, 1)),
        (Fraction(5, 8), (1, 1), [("half", 0), ("eighth", 0)], (1, 1)),
        (Fraction(7, 8), (1, 1), [("half", 2)], (1, 1)),
        (Fraction(1, 12), (3, 2), [("eighth", 0)], (3, 2)),
        (Fraction(1, 24), (1, 1), [("16th", 0)], (3, 2)),
        (Fraction(1, 40), (1, 1), [("32nd", 0)], (5, 4)),
    ],
)
def test_durations_as_note_values(
    length: Fraction,
    tuplet: tuple[int, int],
    expected: list[tuple[str, int]],
    ratio: tuple[int, int],
) -> None:
    parts, needed = values(length, tuplet)
    assert [(part.type, part.num_dots) for part in parts] == expected
    assert needed == ratio
    assert sum(part.length for part in parts) * needed[1] / needed[0] == length


def test_beams_follow_the_blanks() -> None:
    assert beams([False, True, False, True], [1, 2, 1, 0]) == [
        ["begin"], ["end", "backward hook"], [], [],
    ]  # fmt: skip


def test_a_voice_that_changes_within_a_bar_is_refused() -> None:
    tune = HEAD.format("C") + "[V:1]CDEF [V:2]GABc|\n"
    with pytest.raises(RenderError, match="a bar changes its voice in the middle"):
        abc_to_musicxml(tune)


def test_what_does_not_parse_is_refused() -> None:
    with pytest.raises(RenderError, match="check the tune's ABC"):
        abc_to_musicxml(HEAD.format("C") + "[CE|")
