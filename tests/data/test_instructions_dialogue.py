from __future__ import annotations

import pytest

from musicllm.data.instructions import make_instructions
from musicllm.data.records import Record
from musicllm.music.abc import canonical
from musicllm.music.analysis import without_chords
from tests.helpers import instruction_settings

TUNE = canonical(
    "X:1\nR:jig\nL:1/8\nM:6/8\nK:D\n"
    "|: A | DFA AFA | GBd cAG | DFA AFA | GEC D2 :|\n"
    "|: A | dcd fed | cAc ecA | dcd fed | AGE D2 :|\n"
)
RECORD: Record = {"id": "b/1", "source": "b", "text": TUNE}
SETTINGS = instruction_settings(("dialogue",), languages=("en", "zh"), max_turns=4)


@pytest.fixture(scope="module")
def dialogues() -> list[tuple[Record, list[str], list[str]]]:
    """Conversations with their questions and with what is said in them."""
    found = []
    for seed in range(120):
        made, _ = make_instructions(RECORD, SETTINGS, seed)
        texts = [message["content"] for message in made[0]["messages"]]
        found.append((made[0], made[0]["conditions"]["questions"].split(", "), texts))
    return found


def test_two_to_max_turns_questions_none_twice(
    dialogues: list[tuple[Record, list[str], list[str]]],
) -> None:
    assert {len(tasks) for _, tasks, _ in dialogues} == {2, 3, 4}
    for record, tasks, texts in dialogues:
        assert len(set(tasks)) == len(tasks) == len(texts) // 2
        assert record["task"] == "dialogue"
        assert "{" not in "".join(texts)


def test_there_are_three_kinds(dialogues: list[tuple[Record, list[str], list[str]]]) -> None:
    kinds = set()
    for _, tasks, texts in dialogues:
        if tasks[0].endswith("_to_tune"):
            kinds.add("written")
            assert texts[1] == TUNE.strip()
        elif tasks[-1] == "continuation":
            kinds.add("opening")
            assert TUNE.strip() not in texts[0]
            assert texts[-1] == TUNE.strip()
        else:
            kinds.add("given")
            assert "K:D\n|: A | DFA AFA" in texts[0]
    assert kinds == {"written", "opening", "given"}


def test_what_is_asked_for_is_not_shown_before(
    dialogues: list[tuple[Record, list[str], list[str]]],
) -> None:
    styles = 0
    for record, tasks, texts in dialogues:
        if "identify_style" in tasks:
            styles += 1
            assert "R:jig" not in texts[0]
        if tasks[0] == "metadata_to_tune":
            assert not {"name_key", "name_metre"} & set(tasks)
        if "count_bars" in tasks:
            assert record["conditions"]["bars"] == "8"
    assert styles


def test_harmonising_comes_last_and_keeps_the_melody(
    dialogues: list[tuple[Record, list[str], list[str]]],
) -> None:
    harmonised = [(tasks, texts) for _, tasks, texts in dialogues if "harmonize" in tasks]
    assert harmonised
    for tasks, texts in harmonised:
        assert tasks[-1] == "harmonize"
        assert without_chords(texts[-1]) in (TUNE.strip(), TUNE.replace("R:jig\n", "").strip())
