"""Random walks through the grammar: what it lets end parses, with every bar in its metre."""

from __future__ import annotations

import importlib.util
import random
import re
import string
from pathlib import Path

import pytest

from musicllm.errors import InputError
from musicllm.evals.requests import find_tune
from musicllm.music import abc
from musicllm.music.grammar import Grammar, State

CHARS = string.ascii_letters + string.digits + " \n^_=,'/|:[]()<>{}\"!.~-#`%\\&+$*;?@é♯"
BOOKS = ("oneills1850", "airdsAirs", "ryansMammoth")
USUAL = "ABCDEFGabcdefg2 |"
HEADERS = (
    "X:1\n",
    "X:1\nK:C\n",
    "X:1\nL:1/8\nM:4/4\nK:G\n",
    "X:7\nT:Reel\nR:reel\nM:6/8\nK:D\n",
    "X:1\nM:2/4 3/4\nK:D\n",
    "X:1\nL:1/16\nM:2/4\nK:D\n",
    "X:1\nL:1/1\nM:5/8\nK:Ador\n",
    "Here it is:\n\nX:1\nM:3/4\nK:Am\n",
)


def walk(state: State, draw: random.Random, length: int, weight: float) -> tuple[str, list[State]]:
    """Write at random; characters of `USUAL` are this many times as probable as others."""
    text, states = "", [state]
    while len(text) < length and not (state.may_end and draw.random() < 0.02):
        order = sorted(CHARS, key=lambda c: -(draw.random() ** (1 / (weight if c in USUAL else 1))))
        char, following = next(
            (char, after) for char in order if (after := state.after(char)) is not None
        )
        text, state = text + char, following
        states.append(state)
    return text, states


def assert_legal(text: str, num_tunes: int) -> None:
    spans = abc.find_tunes(text)
    assert len(spans) == num_tunes
    for span in spans:
        score = abc.parse(text[span.start : span.stop])
        assert not abc.check(score).faults, text
    if spans:
        first = text[spans[0].start : spans[0].stop]
        assert find_tune(text).strip().rstrip("`").strip() == first


@pytest.mark.parametrize("weight", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("header", HEADERS)
def test_whatever_may_end_is_legal(header: str, weight: float) -> None:
    start = Grammar().start(header)
    for seed in range(6):
        text, states = walk(start, random.Random(seed), 40 + 40 * seed, weight)
        ending = states[-1].ending()
        last = states[-1].after(ending)
        assert last is not None
        assert last.may_end
        assert_legal(header + text + ending, last.num_tunes + (not last.is_free))


@pytest.mark.parametrize("header", HEADERS)
def test_each_character_of_an_ending_makes_the_rest_shorter(header: str) -> None:
    _, states = walk(Grammar().start(header), random.Random(1), 120, 1.0)
    for state in states:
        ending = state.ending()
        assert state.may_end == (ending == "")
        if ending:
            after = state.after(ending[0])
            assert after is not None
            assert len(after.ending()) < len(ending)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("X:1\nL:1/16\nM:2/4\nK:D\nA2efd edd", "2"),  # would have to go on as d23/32
        ("X:1\nL:1/16\nM:2/4\nK:D\nA2efd edd", "3"),  # as d3/4
        ("X:1\nL:1/8\nM:4/4\nK:D\nA", "2/"),  # is A
        ("X:1\nL:1/8\nM:4/4\nK:D\nA", "5/"),  # has no single note value
        ("X:1\nL:1/8\nM:4/4\nK:D\nA", "/16"),
        ("X:1\nL:1/8\nM:4/4\nK:D\nA>B", "/4"),
    ],
)
def test_lengths_that_nobody_writes_are_refused(text: str, wrong: str) -> None:
    state = Grammar().start(text)
    assert state.after(wrong) is None
    assert state.after(" |" if text.endswith("d") else " A") is not None


def read_in_chunks(state: State, text: str, draw: random.Random) -> State | None:
    """Read a text in pieces such as a tokenizer's tokens, which cross bar lines and lines."""
    place = 0
    current: State | None = state
    while place < len(text) and current is not None:
        size = draw.randint(1, 7)
        current = current.after(text[place : place + size])
        place += size
    return current


@pytest.fixture(scope="module")
def real_tunes() -> list[str]:
    """Tunes of music21's books in the canonical form, whose bars fit."""
    found = importlib.util.find_spec("music21")
    assert found is not None, "music21 is a dependency"
    assert found.submodule_search_locations, "music21 is a package"
    corpus = Path(found.submodule_search_locations[0]) / "corpus"
    files = [path for book in BOOKS for path in sorted((corpus / book).glob("*.abc"))]
    texts = []
    for tune in [tune for path in files for tune in abc.read_book(path)][::15]:
        if isinstance(tune, abc.Tune):
            try:
                score = abc.parse(abc.canonical(abc.repair(tune.text)[0]))
            except abc.AbcError:
                continue
            if not abc.check(score).faults:
                texts.append(score.source + "\n")
    return texts


def test_real_tunes_are_legal_character_by_character_and_in_chunks(real_tunes: list[str]) -> None:
    start = Grammar().start()
    ends = []
    for seed, text in enumerate(real_tunes):
        whole = start.after(text)
        in_chunks = read_in_chunks(start, text, random.Random(seed))
        assert (whole is None) == (in_chunks is None)
        ends.append(whole is not None and whole.may_end)
    assert len(ends) > 200
    assert sum(ends) >= 0.98 * len(ends)


def test_a_wrong_bar_is_refused_where_it_becomes_wrong(real_tunes: list[str]) -> None:
    """A tune with one note made longer parses with a fault, or the grammar refuses it."""
    start = Grammar().start()
    draw = random.Random(1)
    num_refused = 0
    for text in real_tunes:
        head, key, body = text.partition("\nK:")
        places = [i for i, char in enumerate(body) if char in "ABcdefg" and body[i + 1] in " |"]
        if not places:
            continue
        place = draw.choice(places) + 1
        longer = f"{head}{key}{body[:place]}3{body[place:]}"
        state = start.after(longer)
        if state is None or not state.may_end:
            num_refused += 1
        else:
            assert not abc.check(abc.parse(longer)).faults
    assert num_refused > 200


@pytest.mark.parametrize(
    "text",
    [
        "A jig has M:6/8, and its key may be K:G.\n\nX: 1\nM:6/8\nK:G\nG3 A3 |\n\nNice?",
        "```\nX:1\nK:C\nC|\n```\n",
        "Some say X:\n or x:1 or OX:1, and a table | a | b |.",
        "Sure! X:1\nL:1/8\nM:2/4\nK:D\nA4 |]",
        "X:1\nK:C\nC|\n\nand another:\n\nX:2\nK:D\nD|\n",
        "K:G alone | is no tune",
        "大调 X：no | 「X」",
    ],
)
def test_prose_around_tunes_is_free(text: str) -> None:
    state = Grammar().start(text)
    assert state.may_end
    assert_legal(text, len(re.findall(r"\bX: ?[0-9]\n", text)))


@pytest.mark.parametrize(
    "text",
    [
        'He wrote "X:1',
        "(X:1",
        "X :1",
        "X:\n1",
        "K:G and M:3/4 |",
        "X:1\nK:C\nC|\nthat was it",
        "X:1\nK:C\n\n",
        "X:1\nK:C\nC| % comment",
        "X:1\nM:4/4\nK:C\nC8|C4|C4|",
        "X:1\nM:4/4\nK:C\nC9",
        "X:1\nM:4/4\nK:C\n(3CC|",
        'X:1\nM:4/4\nK:C\nC8"A"',
        "X:1\nM:4/4\nK:C\n[C2E3]",
        "X:1\nM:4/4\nK:C\nV:1",
    ],
)
def test_what_is_no_tune_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"of the beginning: .* cannot stand here in a legal tune"):
        Grammar().start(text)


def test_a_refused_beginning_names_its_place() -> None:
    with pytest.raises(InputError) as raised:
        Grammar().start("Here:\nX:1\nM:2/4\nK:C\nC9|")
    wrong = "line 5, column 2 of the beginning: '9' cannot stand here in a legal tune"
    assert str(raised.value) == wrong


def test_a_line_that_starts_with_a_bar_line_has_a_way_to_the_end() -> None:
    """After a short bar the next one waits for another bar line, of which the first is there."""
    text = "X:1\nM:3/4\nL:1/8\nK:G\nD2 | D2 G2 G2 | B2 A2 G2 | (A2 F2 D2) |e|  \n"
    before = Grammar().start(text)
    state = before.after("|")
    assert state is not None
    ending = state.ending()
    whole = state.after(ending)
    assert whole is not None
    assert whole.may_end
    assert len(ending) < len(before.ending())


@pytest.mark.parametrize("more", ["Z", "z", "C", '"G"', "(", "(3", "{", "!"])
def test_after_a_short_last_bar_with_a_plain_bar_line_the_section_has_to_end(more: str) -> None:
    state = Grammar().start("X:1\nM:3/4\nL:1/8\nK:G\nD2 | G4 A2 | B4 |")
    assert state.may_end
    assert state.after(f" {more}") is None
    assert state.after("|") is not None
