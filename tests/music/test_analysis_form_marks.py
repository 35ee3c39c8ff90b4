"""The form of tunes whose form is known: by sound, and by `P:` marks."""

from __future__ import annotations

import pytest

from musicllm.music.abc import Score, parse
from musicllm.music.analysis import form, terms
from musicllm.music.analysis.parts import part_name, play_order
from musicllm.music.analysis.sections import alike, played, sections
from tests.music.marked_tunes import KINDS, RIGHT_BY_SOUND, marked_tunes


def read(body: str, header: str = "") -> Score:
    return parse(f"X:1\n{header}M:4/4\nL:1/8\nK:C\n{body}")


@pytest.mark.parametrize("kind", KINDS)
def test_forms_that_are_known(kind: str) -> None:
    tunes = list(marked_tunes(kind))
    by_sound = [form(parse(tune.plain)) == tune.form for tune in tunes]
    assert sum(by_sound) == RIGHT_BY_SOUND.get(kind, len(tunes))
    assert [form(parse(tune.marked)) for tune in tunes] == [tune.form for tune in tunes]
    ignored = [form(parse(tune.marked), marks=False) == tune.form for tune in tunes]
    assert sum(ignored) == sum(by_sound)


def test_strains_that_end_alike_are_binary_not_strophic() -> None:
    (tune, *_) = marked_tunes("AABB, last 4 bars alike")
    assert terms(parse(tune.plain)) == ("Binary",)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("abcdefgh", "abcdefgh", True),
        ("abcdefgh", "abcdefgx", True),
        ("abcdefgh", "xbcdefgh", True),
        ("abcdefgh", "abcdwxyz", True),
        ("abcdefgh", "wxyzefgh", False),
        ("abcdefgh", "wxcdefgh", False),
        ("abcdefgh", "axyzefgh", False),
        ("abcdefgh", "abcwxyzv", False),
        ("abcd", "abcdwxyz", True),
        ("ab", "ax", True),
        ("ab", "xb", False),
    ],
)
def test_sections_are_alike_when_they_share_bars_and_start_alike(
    first: str, second: str, wanted: bool
) -> None:
    assert alike([*map(ord, first)], [*map(ord, second)]) is wanted
    assert alike([*map(ord, second)], [*map(ord, first)]) is wanted


@pytest.mark.parametrize(
    ("body", "header", "wanted"),
    [
        ("P:A\nC8 | D8 |\nP:B\nE8 | F8 |]", "", "AB"),  # no bar line says so
        ("P:A\n|: C8 | D8 :|\nP:B\n|: C8 | D8 :|", "", "AABB"),  # whatever they sound like
        ("P:B\n|: C8 | D8 :|\nP:A\n|: E8 | D8 :|", "", "AABB"),  # the first to come is A
        ("[P:A] C8 | D8 || [P:B] E8 | F8 || [P:A] G8 | A8 |]", "", "ABA"),
        ("P:A\nG2 |: C8 | D8 :|\nP:B\nE8 | F8 |]", "", "AAB"),  # over a pick-up
        ("P:A\nC8 | D8 | E4\nP:B\nF4 | G8 | A8 |]", "", "AB"),  # inside a bar: the next
        ("P:A\n|: C8 ||\nP:B\nE8 :|", "", "ABAB"),
        ("P:A\n|: C8 | D8 :||: E8 | F8 :|\nP:B\nG8 | A8 |]", "", "AB"),
        ("P:A\nC8 | D8 ||\nP:A'\nC8 | E8 ||\nP:B\nF8 | G8 ||\nP:B2\nA8 | A8 |]", "", "AABB"),
        ("P:Verse\nC8 | D8 ||\nP:Chorus\nE8 | F8 ||\nP:Verse 2\nC8 | D8 |]", "", "ABA"),
        ("P:1\nC8 | D8 ||\nP:2\nC8 | D8 |]", "", "AA"),  # numbers: by sound
        ("P:A\nC8 | D8 | E8 | F8 |\nP:D.S.\nG8 |]", "", "A"),
        ("P:A\n|: C8 :|\nP:B\n|: E8 :|", "P:ABA\n", "AABBAA"),
        ("P:A\n|: C8 :|\nP:B\n|: E8 :|", "P:AABB\n", "AABB"),  # the order counts the repeats
        ("P:A\nC8 ||\nP:B\nE8 |]", "P:A2B2\n", "AABB"),
        ("P:A\nC8 ||\nP:B\nE8 |]", "P:(AB)2.A\n", "ABABA"),
        ("P:A\nC8 ||\nP:B\nE8 |]", "P:ABC\n", "AB"),  # there is no C
        ("|: C8 :||: E8 :|", "P:AABB\n", "AABB"),
        ("C8 || E8 |]", "P:A2BA\n", "AABA"),
        ("C8 || C8 || C8 |]", "P:ABA\n", "ABA"),
        ("C8 || E8 || G8 |]", "P:AB\n", "ABC"),  # says nothing that fits
        ("C8 || E8 |]", "P:Modern Version.\n", "AB"),
    ],
)
def test_marks_decide(body: str, header: str, wanted: str) -> None:
    assert form(read(body, header)) == wanted


def test_marks_of_several_voices_mark_the_first() -> None:
    text = "V:1\nV:2\nP:A\n[V:1] C8 | D8 |\n[V:2] C8 | D8 |\nP:B\n[V:1] E8 | F8 |\n[V:2] E8 | F8 |]"
    assert form(read(text)) == "AB"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("AABB", "AABB"), ("A2B2", "AABB"), ("(A3B)2", "AAABAAAB"), ("((AB)2.C)2 D", "ABABCABABCD"),
        ("(AABB)*2+C", "AABBAABBC"), ("", None), ("A(B", None), ("AB)", None), ("A/B", None),
        ("A99B99", None), ("(((((A9)9)9)9)9)9", None), ("3", None),
    ],
)  # fmt: skip
def test_orders(text: str, wanted: str | None) -> None:
    assert play_order(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A", "A"), (" b ", "B"), ("A'", "A"), ("A2", "A"), ("B alt", "B"), ("Part C", "C"),
        ("Verse", "verse"), ("Chos.", "chorus"), ("Verse 2", "verse"), ("1", ""),
        ("Variation 3", ""),
        ("D.S.", None), ("4 0", None), ("Modern Version.", None), ("", None), ("Andante", None),
    ],
)  # fmt: skip
def test_names_of_sections(text: str, wanted: str | None) -> None:
    assert part_name(text) == wanted


@pytest.mark.parametrize(
    ("body", "order", "passes"),
    [
        ("|: C8 |1 D8 :|2 E8 || F8 |]", [0, 0, 1], ((0, 1), (0, 2))),
        ("|: C8 |1,3 D8 :|2 E8 :|4 F8 |]", [0] * 4, ((0, 1), (0, 2), (0, 3))),
        ("|: C8 |1-3 D8 :|4 E8 |]", [0] * 4, ((0, 1), (0, 2))),
        ("C8 || D8 :| E8 |]", [0, 1, 1, 2], ((0,),)),
        ("|: C8 || D8 :| E8 |]", [0, 1, 0, 1, 2], ((0,),)),
    ],
)
def test_sections_are_played_as_repeats_and_endings_say(
    body: str, order: list[int], passes: tuple[tuple[int, ...], ...]
) -> None:
    parts = sections(read(body).voice())
    assert played(parts) == order
    assert parts[0].passes == passes


def test_what_follows_a_last_ending_may_be_a_new_section() -> None:
    more = " | ".join(f"{note}8" for note in "EFGAB")
    assert form(read(f"|: C8 | D8 |1 C8 :|2 D8 | {more} |]")) == "AAB"
    assert form(read("|: C8 | D8 |1 C8 :|2 D8 | E8 | F8 |]")) == "AA"
