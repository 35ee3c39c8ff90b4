from __future__ import annotations

from itertools import product

import pytest

from musicllm.data.instructions import FAMILIES, languages, wordings
from musicllm.data.instructions.stating import request_in_words
from musicllm.errors import InputError

VALUES = {
    "rhythm": "jig",
    "key": "A dorian",
    "metre": "6/8",
    "header": "X:1\nM:6/8\nK:Ador",
    "opening": "X:1\nM:6/8\nK:Ador\nA2A ABc |",
    "chords": "Am G Am",
    "motif": "A2A ABc",
    "form": "AABB",
    "terms": "'Binary'",
    "tune": "X:1\nM:6/8\nK:Ador\nA2A ABc | A3 A3 |]",
}


def stated(task: str) -> list[frozenset[str]]:
    """Return the sets of conditions that somebody can choose for a family."""
    family = FAMILIES[task]
    if family.shows is not None:
        return [frozenset({"tune"})]
    one = [{name} for name in sorted(family.any_of)] or [set[str]()]
    more: list[set[str]] = [set(), set(family.may)]
    return list({frozenset(family.needs | a | b) for a, b in product(one, more)})


@pytest.mark.parametrize("language", languages(None))
@pytest.mark.parametrize("task", FAMILIES)
def test_every_choice_has_a_wording_that_states_it_all(task: str, language: str) -> None:
    own = {wording.places for wording in wordings(language).of(task, "requests")}
    for names in stated(task):
        assert names in own
        values = {name: VALUES[name] for name in names}
        text = request_in_words(task, values, language=language)
        translated = {
            name: wordings(language).words.translate(name, value) for name, value in values.items()
        }
        assert all(value in text for value in translated.values())


def test_another_seed_words_it_otherwise() -> None:
    values = {name: VALUES[name] for name in ("rhythm", "key", "metre")}
    texts = {request_in_words("metadata_to_tune", values, seed=seed) for seed in range(40)}
    assert len(texts) > 10
    again = request_in_words("metadata_to_tune", values, seed=7)
    assert again == request_in_words("metadata_to_tune", values, seed=7)


def test_a_condition_is_never_left_out() -> None:
    values = {name: VALUES[name] for name in ("rhythm", "key", "metre", "chords")}
    with pytest.raises(InputError, match="states exactly chords, key, metre, rhythm"):
        request_in_words("metadata_to_tune", values)
