from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest
import torch

from musicllm.errors import InputError
from musicllm.evals import theory
from musicllm.evals.theory import families, spelling
from musicllm.evals.theory.families import FAMILIES, Draft
from musicllm.evals.theory.scoring import HINT, prompt_of
from musicllm.music import abc
from musicllm.music.abc.keys import standard_key

# Everything here is derived from letters and semitones, not from the line of fifths.
LETTERS = "CDEFGAB"
SEMITONES = dict(zip(LETTERS, (0, 2, 4, 5, 7, 9, 11), strict=True))
INTERVAL_NAMES = {
    (1, 1): "minor second", (1, 2): "major second", (2, 3): "minor third", (2, 4): "major third",
    (3, 5): "perfect fourth", (3, 6): "augmented fourth", (4, 6): "diminished fifth",
    (4, 7): "perfect fifth", (5, 8): "minor sixth", (5, 9): "major sixth",
    (6, 10): "minor seventh", (6, 11): "major seventh",
}  # fmt: skip
CHORD_SEMITONES = {
    "major": (0, 4, 7), "minor": (0, 3, 7), "diminished": (0, 3, 6), "augmented": (0, 4, 8),
    "dominant seventh": (0, 4, 7, 10), "major seventh": (0, 4, 7, 11),
    "minor seventh": (0, 3, 7, 10), "half-diminished seventh": (0, 3, 6, 10),
}  # fmt: skip
SCALE_SEMITONES = {"major": (0, 2, 4, 5, 7, 9, 11), "natural minor": (0, 2, 3, 5, 7, 8, 10)}
WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


def pitch(note: str) -> int:
    return (SEMITONES[note[0]] + note.count("#") - note.count("b")) % 12


def above(note: str, steps: int, semitones: int) -> str:
    """The note so many letters and semitones above another."""
    letter = LETTERS[(LETTERS.index(note[0]) + steps) % 7]
    alteration = (pitch(note) + semitones - SEMITONES[letter] + 6) % 12 - 6
    return letter + ("#" * alteration or "b" * -alteration)


def interval(lower: str, upper: str) -> str:
    steps = (LETTERS.index(upper[0]) - LETTERS.index(lower[0])) % 7
    return INTERVAL_NAMES[steps, (pitch(upper) - pitch(lower)) % 12]


def sharps(key: str) -> int:
    tonic, mode = key.split()
    return sum(standard_key(tonic, mode).signature)


def count_of(text: str) -> int:
    if text == "no sharps or flats":
        return 0
    count, kind = text.split()
    return int(count) if kind.startswith("sharp") else -int(count)


def right_interval(draft: Draft, option: str) -> bool:
    if draft.abc:
        first, second = (bar_note.pitches[0] for bar_note in abc.parse(draft.abc).bars[0].notes)
        letters = [sign for sign in draft.abc.split("\n")[-1].upper() if sign in LETTERS]
        steps = (LETTERS.index(letters[1]) - LETTERS.index(letters[0])) % 7
        return INTERVAL_NAMES[steps, second - first] == option
    words = draft.stem.rstrip("?").split()
    if draft.stem.startswith("Which interval"):
        return interval(words[4], words[8]) == option
    steps, semitones = {name: size for size, name in INTERVAL_NAMES.items()}[" ".join(words[4:6])]
    return pitch(above(words[-1], steps, semitones)) == pitch(option)


def right_signature(draft: Draft, option: str) -> bool:
    if draft.abc:
        return sum(abc.parse(draft.abc).key.signature) == count_of(option)
    if draft.stem.startswith("How many"):
        key = draft.stem.rstrip("?").split(" of ")[1]
        return (sharps(key) - count_of(option)) % 12 == 0
    mode = draft.stem.split()[1]
    wanted = count_of(draft.stem.split(" has ")[1].split(" in its")[0])
    return option.endswith(mode) and (sharps(option) - wanted) % 12 == 0


def right_relative(draft: Draft, option: str) -> bool:
    if draft.abc:
        key = abc.parse(draft.abc).key
        own, mode = sum(key.signature), draft.stem.split()[1]
        assert key.mode != mode
    else:
        name = draft.stem.rstrip("?").split(" of ")[1]
        own, mode = sharps(name), {"major": "minor", "minor": "major"}[name.split()[1]]
    return option.endswith(mode) and (sharps(option) - own) % 12 == 0


def right_length(draft: Draft, option: str) -> bool:
    unit = {"quarter": 4, "eighth": 8, "sixteenth": 16, "thirty-second": 32}[draft.stem.split()[2]]
    if draft.abc:
        (bar,) = abc.parse(draft.abc).bars
        return bar.metre - bar.duration == Fraction(int(option), unit)
    return Fraction(draft.stem.split()[-2]) == Fraction(int(option), unit)


def right_chord(draft: Draft, option: str) -> bool:
    if draft.abc:
        (chord,) = abc.parse(draft.abc).bars[0].notes
        root, quality = option.split(" ", 1)
        sounds = {(pitch(root) + step) % 12 for step in CHORD_SEMITONES[quality]}
        return {sound % 12 for sound in chord.pitches} == sounds
    root, quality = draft.stem.rstrip("?").split(" chord ")[1].split(" ", 1)
    wanted = {(pitch(root) + step) % 12 for step in CHORD_SEMITONES[quality]}
    return {pitch(note) for note in option.split()} == wanted


def right_degree(draft: Draft, option: str) -> bool:
    tonic, scale = draft.stem.split(" of the ")[1].split(" scale")[0].split(" ", 1)
    notes = [above(tonic, step, size) for step, size in enumerate(SCALE_SEMITONES[scale])]
    if draft.abc:
        sounding = abc.parse(draft.abc).bars[0].notes[0].pitches[0] % 12
        return pitch(notes[WORDS.index(option)]) == sounding
    return pitch(notes[WORDS.index(draft.stem.split()[4])]) == pitch(option)


CHECKS = {
    "intervals": right_interval,
    "key_signatures": right_signature,
    "relative_keys": right_relative,
    "bar_lengths": right_length,
    "chords": right_chord,
    "scale_degrees": right_degree,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_answer_is_right_and_every_other_is_wrong(family: str) -> None:
    drafts = list(FAMILIES[family]())
    assert len(drafts) >= 50
    for draft in drafts:
        assert CHECKS[family](draft, draft.answer), draft
        assert not any(CHECKS[family](draft, wrong) for wrong in draft.wrong), draft


def test_notes_of_answers_are_spelled_as_theory_does() -> None:
    for draft in families.chords():
        if not draft.abc:
            root, quality = draft.stem.rstrip("?").split(" chord ")[1].split(" ", 1)
            sizes = CHORD_SEMITONES[quality]
            thirds = [above(root, 2 * place, size) for place, size in enumerate(sizes)]
            assert draft.answer == " ".join(thirds)
    for draft in families.scale_degrees():
        if not draft.abc:
            tonic, scale = draft.stem.split(" of the ")[1].split(" scale")[0].split(" ", 1)
            place = WORDS.index(draft.stem.split()[4])
            assert draft.answer == above(tonic, place, SCALE_SEMITONES[scale][place])
    for draft in families.intervals():
        if draft.stem.startswith("Which note"):
            words = draft.stem.rstrip("?").split()
            assert interval(words[-1], draft.answer) == " ".join(words[4:6])


@pytest.mark.parametrize("family", FAMILIES)
def test_options_suffice_and_questions_differ(family: str) -> None:
    drafts = list(FAMILIES[family]())
    assert len({(draft.stem, draft.abc) for draft in drafts}) == len(drafts)
    for draft in drafts:
        assert len(set(draft.wrong)) == len(draft.wrong) >= 3


def test_spelling_by_hand() -> None:
    assert [spelling.name(place) for place in (-9, -2, 0, 6, 7, 13)] == [
        "Bbb", "Bb", "C", "F#", "C#", "F##",
    ]  # fmt: skip
    assert spelling.semitones(6) == spelling.semitones(-6) == 6
    assert spelling.abc([2, 6, 3]) == ["D", "^F", "A"]
    assert spelling.abc([5, 2, -1, 3]) == ["B", "d", "f", "a"]
    assert spelling.same_sound([6], [-6])


def test_known_facts() -> None:
    answers = {
        (draft.stem, draft.abc): draft.answer for family in FAMILIES.values() for draft in family()
    }
    assert answers["Which interval lies between F and the next B above it?", ""] == (
        "augmented fourth"
    )
    assert answers["Which note lies a minor third above E?", ""] == "G"
    assert answers["How many sharps or flats are in the key signature of Eb major?", ""] == (
        "3 flats"
    )
    assert answers["Which key is the relative minor of D major?", ""] == "B minor"
    assert answers["How many eighth notes fill one bar of 3/4 time?", ""] == "6"
    assert answers["Which notes form the chord A dominant seventh?", ""] == "A C# E G"
    assert answers["Which note is the sixth degree of the G natural minor scale?", ""] == "Eb"


def test_quiz_is_balanced_and_nothing_comes_twice() -> None:
    questions, examples = theory.make_quiz(240, seed=7, num_examples=5)
    assert Counter(question.answer for question in questions) == dict.fromkeys("ABCD", 60)
    assert set(Counter(question.subject for question in questions).values()) == {40}
    asked = [(question.stem, question.abc_score) for question in [*questions, *examples]]
    assert len(set(asked)) == 245
    assert all(len(set(question.options)) == 4 for question in questions)


def test_the_letter_is_that_of_the_rule_s_answer() -> None:
    facts = {
        (draft.stem, draft.abc): draft.answer for family in FAMILIES.values() for draft in family()
    }
    questions, _ = theory.make_quiz(60, seed=0)
    for question in questions:
        option = question.options["ABCD".index(question.answer)]
        assert option == facts[question.stem, question.abc_score]


def test_quiz_depends_on_its_seed_alone() -> None:
    random.seed(1)
    first = theory.make_quiz(30, seed=3)
    random.seed(2)
    assert theory.make_quiz(30, seed=3) == first
    assert theory.make_quiz(30, seed=4) != first


def test_all_questions() -> None:
    smallest = min(len(list(family())) for family in FAMILIES.values())
    questions, _ = theory.make_quiz(None, seed=0)
    assert len(questions) == len(FAMILIES) * smallest
    with pytest.raises(InputError, match=r"num_questions=9,999 is more than the \d+ different"):
        theory.make_quiz(9_999, seed=0)


QUESTION = theory.Question("Which?", "X:1\nK:C\nC", ("one", "two", "three", "four"), "B", "chords")


def test_prompt() -> None:
    asked = "Which?\nX:1\nK:C\nC\nA. one\nB. two\nC. three\nD. four\nAnswer:"
    assert prompt_of(QUESTION) == f"{HINT}\n{asked}"
    assert prompt_of(QUESTION, [QUESTION]) == f"{HINT}\n{asked} B\n\n{asked}"


def test_row_has_the_schema_of_music_theory_bench() -> None:
    assert QUESTION.as_row() == {
        "stem": "Which?",
        "options": {"A": "one", "B": "two", "C": "three", "D": "four"},
        "answer": "B",
        "subject": "chords",
        "abc_score": "X:1\nK:C\nC",
    }


def test_model_that_always_says_c(model, tokenizer) -> None:
    questions, _ = theory.make_quiz(24, seed=0)
    constant = ConstantModel(model, tokenizer.convert_tokens_to_ids("C"))
    outcome = theory.measure(constant, tokenizer, questions)
    assert {row["predicted"] for row in outcome.predictions} == {"C"}
    assert outcome.metrics["accuracy"] == 0.25 == outcome.metrics["majority_baseline"]
    assert outcome.metrics["accuracy_by_letter"] == 0.25
    assert outcome.metrics["accuracy_low"] < 0.25 < outcome.metrics["accuracy_high"]
    by_family = [outcome.metrics[f"accuracy_{family}"] for family in FAMILIES]
    assert sum(by_family) / 6 == pytest.approx(0.25)
    assert outcome.metrics["num_questions"] == 24


class ConstantModel(torch.nn.Module):
    """Prefers one token everywhere."""

    def __init__(self, model, token: int) -> None:
        super().__init__()
        self.config, self.token, self.device = model.config, token, torch.device("cpu")

    def forward(self, input_ids, past_key_values, use_cache):
        logits = torch.zeros(*input_ids.shape, self.config.vocab_size)
        logits[..., self.token] = 5.0
        return type("Output", (), {"logits": logits})


def test_near_counts_stay_positive() -> None:
    assert families._near_counts(1, 1) == ("2", "3", "4")
