"""Conversations are copies when question and answer are, whatever long text they share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from musicllm.data.duplicates import (
    Decision,
    Melodies,
    Signatures,
    Texts,
    decide,
    exact_hash,
    outline,
    signature_rows,
)
from musicllm.data.duplicates.decide import MELODIC, NEAR, STAYS
from musicllm.data.records import Record, texts_of
from musicllm.music.abc import find_tunes, parse
from musicllm.music.analysis.melody import melodic_fingerprint
from musicllm.music.transform import transpose
from musicllm.schema import DuplicatesConfig
from tests.helpers import duplicates_config, make_tune

DEFAULT = duplicates_config(near_similarity=0.8)
QUESTIONS = {
    "What key is this tune in?": "D major",
    "What metre is this tune in?": "4/4",
    "How many bars does it have?": "16",
    "How many measures are written here, all in all?": "16",
}


def talk(*contents: str, system: str = "") -> Record:
    turns = [("user", "assistant")[n % 2] for n in range(len(contents))]
    messages = [{"role": r, "content": c} for r, c in zip(turns, contents, strict=True)]
    opening = [{"role": "system", "content": system}] if system else []
    return {"messages": [*opening, *messages]}


def decided(folder: Path, records: Sequence[Record], policy: DuplicatesConfig) -> Decision:
    outlines = [outline(record) for record in records]
    signature_rows([each.parts for each in outlines]).tofile(folder / "minhash")
    prints = [_melody("\n\n".join(texts_of(record))) for record in records]
    np.array([h for each in prints for h in each], np.uint64).tofile(folder / "melodies")
    texts = Texts(
        folder / "minhash",
        np.array([each.frame for each in outlines], np.uint64),
        np.array([len(each.parts) for each in outlines], np.int8),
    )
    around = np.array([each.around for each in outlines], np.uint64)
    melodies = Melodies(folder / "melodies", np.cumsum([0, *map(len, prints)]), around)
    exact = np.array([exact_hash(texts_of(record)) for record in records], np.uint64)
    return decide(Signatures(exact, np.zeros_like(exact), texts, melodies), policy)


def _melody(text: str) -> list[int]:
    tunes = [parse(text[found.start : found.stop]) for found in find_tunes(text)]
    return sorted(frozenset().union(*map(melodic_fingerprint, tunes)))


def are_copies(
    folder: Path, one: Record, other: Record, policy: DuplicatesConfig = DEFAULT
) -> bool:
    return bool(decided(folder, [one, other], policy).reason.any())


def prose(seed: int, num_words: int) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(10_000)}" for _ in range(num_words)]


def passage(seed: int, num_words: int = 120) -> str:
    return " ".join(prose(seed, num_words))


@pytest.mark.parametrize("policy", [DEFAULT, duplicates_config(melodic_similarity=0.6)])
def test_four_questions_about_each_tune_all_stay(tmp_path: Path, policy: DuplicatesConfig) -> None:
    # 50 tunes x 4 questions, two of them with one answer: 200 of 200 stay
    records = [
        talk(f"{question}\n\n{make_tune(number, 16)}", answer)
        for number in range(50)
        for question, answer in QUESTIONS.items()
    ]

    decision = decided(tmp_path, records, policy)

    assert len(records) == 200
    assert decision.reason.tolist() == [STAYS] * 200


@pytest.mark.parametrize(
    "put",
    ["{passage}\n\n{question}", "{question}\n{passage}", "{passage} {question}",
     "{passage}\n{question}\nA. yes, that is what the author says here\nB. no, it is not so",
     "Human: {passage} {question} </s> Assistant: yes </s>"],
)  # fmt: skip
def test_four_questions_on_each_passage_all_stay(tmp_path: Path, put: str) -> None:
    asked = ["Who wrote it?", "When was it written?", "Was it sung?", "Did people dance to it?"]
    texts = [put.format(passage=passage(n), question=each) for n in range(10) for each in asked]
    is_text = put.startswith("Human")

    records = [{"text": text} if is_text else talk(text, "yes") for text in texts]

    assert decided(tmp_path, records, DEFAULT).reason.tolist() == [STAYS] * 40


def test_one_tune_asked_for_in_four_ways_stays(tmp_path: Path) -> None:
    asked = ["Write a reel in D.", "Compose a tune.", "A reel, please.", "Make music in 4/4."]

    records = [talk(each, make_tune(1, 16)) for each in asked]

    for policy in (DEFAULT, duplicates_config(melodic_similarity=0.6)):
        assert not decided(tmp_path, records, policy).reason.any()


def changed_note(tune: str) -> str:
    head, _, music = tune.partition("K:D\n")
    bars = music.split(" | ")
    bars[9] = "D8"
    return f"{head}K:D\n{' | '.join(bars)}"


def test_true_copies_with_small_edits_are_found(tmp_path: Path) -> None:
    # a bar of sixteen is another one; the estimate decides, so not every copy is found
    originals, copies = [], []
    for number in range(50):
        tune = make_tune(number, 96)
        for question, answer in QUESTIONS.items():
            originals.append(talk(f"{question}\n{tune}", answer))
            copies.append(talk(f"{question}\n\n{changed_note(tune)}", answer))

    decision = decided(tmp_path, [*originals, *copies], DEFAULT)

    assert not decision.reason[:200].any()
    assert np.count_nonzero(decision.reason[200:] == NEAR) == 200
    assert decision.duplicate_of[200:].tolist() == list(range(200))


def one_word_changed(text: str) -> str:
    words = text.split()
    return " ".join([*words[:60], "other", *words[61:]])


@pytest.mark.parametrize(
    "edit",
    [lambda text: f"  {text}\n", one_word_changed, lambda text: f"{text} And so on."],
    ids=["white space", "a word", "a sentence"],
)
def test_an_edited_long_answer_is_a_copy(tmp_path: Path, edit: Callable[[str], str]) -> None:
    answer = passage(1)

    one, other = talk("Who was Bach?", answer), talk("Who was  Bach", edit(answer))

    assert are_copies(tmp_path, one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (talk("Spell C#.", "c sharp"), talk("Spell C.", "c sharp")),
        (talk("Hi", passage(1)), talk("Hello", passage(1))),
        (talk(passage(1), "yes"), talk(passage(1), "no")),
        (talk(passage(1), passage(2)), talk(passage(1), passage(3))),
        (talk("Hi", "yes", "Why?", "so"), talk("Hi", "yes")),
        (talk("Hi", passage(1, 400), "And?", passage(2, 40)),
         talk("Hi", passage(1, 400), "And?", passage(3, 40))),
        (talk("Its key?", "D", system=make_tune(1, 16)),
         talk("Its key?", "D", system=make_tune(2, 16))),
    ],
    ids=["a sign", "question", "short answer", "long answer", "turns", "a later answer", "system"],
)  # fmt: skip
def test_what_differs_in_one_part_is_no_copy(tmp_path: Path, one: Record, other: Record) -> None:
    assert not are_copies(tmp_path, one, other)


def test_more_long_turns_than_are_told_apart_are_still_compared(tmp_path: Path) -> None:
    turns = [passage(n) for n in range(12)]
    other = [*turns[:11], passage(99)]

    assert len(outline(talk(*turns)).parts) == 4
    assert are_copies(tmp_path, talk(*turns), talk(*turns[:11], one_word_changed(turns[11])))
    assert not are_copies(tmp_path, talk(*turns), talk(*other))


def test_versions_of_a_tune_are_copies_when_the_words_around_are_equal(tmp_path: Path) -> None:
    tune = make_tune(1, 16)
    moved = transpose(tune, 3)
    policy = duplicates_config(melodic_similarity=0.6)

    decision = decided(
        tmp_path,
        [talk("Play a reel.", tune), talk("Play a reel.", moved), talk("Play it.", moved)],
        policy,
    )

    assert decision.reason.tolist() == [STAYS, MELODIC, STAYS]
    assert decision.group.tolist() == [0, 0, 0]


def test_two_texts_about_one_tune_stay_but_a_tune_with_a_title_above_is_a_version(
    tmp_path: Path,
) -> None:
    tune = make_tune(1, 16)
    texts = [f"{passage(n, 40)}\n\n{tune}" for n in range(2)]
    records: list[Record] = [{"text": text} for text in [*texts, tune, f"From a book\n\n{tune}"]]

    decision = decided(tmp_path, records, duplicates_config(melodic_similarity=0.6))

    assert decision.reason.tolist() == [STAYS, STAYS, STAYS, MELODIC]
    assert decision.group.tolist() == [0, 0, 0, 0]


def test_an_ideograph_is_a_word(tmp_path: Path) -> None:
    long = "".join(chr(0x4E00 + n) for n in range(300))
    middle = f"{long[:150]}音{long[151:]}"

    assert are_copies(tmp_path, talk("问", long), talk("问", middle))
    assert not are_copies(tmp_path, talk(f"{long}何调", "是"), talk(f"{long}何拍", "是"))
