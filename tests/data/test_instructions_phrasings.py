from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from musicllm.data.instructions import FAMILIES, TASKS, languages, make_instructions, wordings
from musicllm.data.records import Record
from musicllm.errors import ConfigError, InputError
from musicllm.music.analysis import terms_of
from tests.helpers import instruction_settings

RECORD: Record = {
    "id": "b/1",
    "source": "b",
    "text": "X:1\nR:air\nL:1/8\nM:4/4\nK:Bb\n" + "BAGF BAGF | d2c2 B4 | " * 4 + "|]",
}
WITH_HEADER = [task for task, family in FAMILIES.items() if "header" in family.may]
PHRASINGS = files("musicllm.data.instructions") / "phrasings"
GERMAN = """
[words]
key = "{tonic}-{mode}"
sharp = "{letter}is"
flat = "{letter}es"
modes = { major = "Dur", minor = "Moll", dorian = "Dorisch", mixolydian = "Mixolydisch", \
lydian = "Lydisch", phrygian = "Phrygisch", locrian = "Lokrisch" }

[name_key]
requests = ["In welcher Tonart steht das?\\n{tune}"]
answers = ["In {key}."]
"""


def write(folder: Path, language: str, text: str) -> Path:
    (folder / f"{language}.toml").write_text(text, encoding="utf-8")
    return folder


def test_our_languages() -> None:
    assert languages(None) == ["en", "zh"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("task", TASKS)
def test_there_are_twenty_wordings_of_each_family_and_all_are_different(
    language: str, task: str
) -> None:
    # that each has the words in braces of its family is checked when the file is read
    tables = tomllib.loads((PHRASINGS / f"{language}.toml").read_text(encoding="utf-8"))
    at_least = {"requests": 20}
    if task in FAMILIES and FAMILIES[task].answer == "words":
        at_least |= {"answers": 6, "follow_ups": 6}
    for kind, texts in tables[task].items():
        assert len(set(texts)) == len(texts) >= at_least.pop(kind, 6)
    assert not at_least


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("task", WITH_HEADER)
def test_half_of_the_wordings_give_the_header(language: str, task: str) -> None:
    requests = wordings(language).of(task, "requests")
    assert 2 * sum("header" in one.places for one in requests) >= len(requests)


def test_form_and_motif_come_with_letters_and_with_terms() -> None:
    for language in ("en", "zh"):
        requests = wordings(language).of("form_motif_to_tune", "requests")
        for name in ("form", "terms"):
            assert sum(name in one.places for one in requests) >= 8


def test_every_term_has_a_name_in_chinese() -> None:
    letters = ["A", "AAA", "AB", "ABAB", "ABABCB", "ABA", "ABACA", "ABCBA", "AABBCC", "ABC"]
    found = {term for form in letters for term in terms_of(form)} | {"Variational"}
    assert found == wordings("zh").words.terms.keys()


def test_an_article_follows_its_word() -> None:
    for seed in range(30):
        settings = instruction_settings(("metadata_to_tune",))
        made, _ = make_instructions(RECORD, settings, seed)
        request = made[0]["messages"][0]["content"]
        assert not re.search(r"\ba air", request, re.IGNORECASE), request


def test_a_users_wordings_are_added_to_ours(tmp_path: Path) -> None:
    folder = write(tmp_path, "en", '[name_key]\nrequests = ["Tonic?\\n{tune}"]\n')

    mine = wordings("en", folder)

    assert (
        len(mine.of("name_key", "requests")) == len(wordings("en").of("name_key", "requests")) + 1
    )
    assert mine.of("name_key", "answers") == wordings("en").of("name_key", "answers")
    assert mine.of("dialogue", "requests") == wordings("en").of("dialogue", "requests")


def test_a_users_words_replace_ours(tmp_path: Path) -> None:
    folder = write(tmp_path, "zh", '[words.rhythms]\nreel = "苏格兰舞曲"\n')
    mine = wordings("zh", folder).words
    assert mine.translate("rhythm", "reel") == "苏格兰舞曲"
    assert mine.translate("rhythm", "jig") == "吉格舞曲"
    assert mine.translate("rhythm", "tarantella") == "tarantella"


def test_a_new_language_needs_no_code(tmp_path: Path) -> None:
    folder = write(tmp_path, "de", GERMAN)
    settings = instruction_settings(("name_key",), languages=("de",), phrasings=folder)

    made, _ = make_instructions(RECORD, settings, 0)

    assert made[0]["language"] == "de"
    assert made[0]["messages"][0]["content"].startswith("In welcher Tonart steht das?\nX:1")
    assert made[0]["messages"][1]["content"] == "In Bes-Dur."


def test_a_language_must_cover_the_families(tmp_path: Path) -> None:
    folder = write(tmp_path, "de", GERMAN)
    settings = instruction_settings(("name_key", "count_bars"), languages=("de",), phrasings=folder)
    text = (
        "data.instructions.languages=de has no wordings for count_bars.requests, "
        "count_bars.answers; add them to de.toml in the folder data.instructions.phrasings"
    )
    with pytest.raises(ConfigError, match=re.escape(text)):
        make_instructions(RECORD, settings, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[name_kye]\nrequests = ["{tune}?"]',
            "en.toml: name_kye is no instruction family; did you mean name_key?",
        ),
        (
            '[name_key]\nrequest = ["{tune}?"]',
            "en.toml: name_key.request is unknown; it may have requests, follow_ups, answers",
        ),
        (
            '[continuation]\nanswers = ["Here."]',
            "en.toml: continuation.answers is unknown; it may have requests, follow_ups",
        ),
        ("[name_key]\nrequests = 3", "name_key.requests must be a list of texts in quotes"),
        ("name_key = 3", "en.toml: name_key must be a table"),
        (
            '[metadata_to_tune]\nrequests = ["A {rhythm} in {key}, {meter}."]',
            'en.toml: metadata_to_tune.requests, "A {rhythm} in {key}, {meter}.": '
            "{meter} is unknown here; it may use {key}, {metre}, {rhythm}",
        ),
        (
            '[metadata_to_tune]\nrequests = ["A {rhythm} in {key}."]',
            'metadata_to_tune.requests, "A {rhythm} in {key}.": {metre} is missing',
        ),
        (
            '[form_motif_to_tune]\nrequests = ["Use {motif}"]',
            "one of {form}, {terms} is missing",
        ),
        (
            '[name_key]\nfollow_ups = ["{tune}?"]',
            "{tune} is unknown here; it has none",
        ),
        ('[name_key]\nrequests = ["{tune"]', "write {{ and }} for braces"),
        ('[name_key]\nrequests = ["{tune!r}"]', "a word in braces stands alone, without : or !"),
        ("[name_key", "en.toml is no valid TOML: "),
        ('[words]\nkeys = "{tonic}"', "en.toml: words.keys is unknown; did you mean key?"),
        (
            '[words]\nkey = "{tonic}"',
            "en.toml: words.key must be a text in quotes with {mode}, {tonic}",
        ),
        ("[words]\nmodes = 3", "en.toml: words.modes must be a table"),
    ],
)
def test_mistakes_in_a_users_file(tmp_path: Path, text: str, message: str) -> None:
    folder = write(tmp_path, "en", text)
    with pytest.raises(InputError, match=re.escape(message)):
        wordings("en", folder)


def test_a_new_language_must_say_keys(tmp_path: Path) -> None:
    folder = write(tmp_path, "de", '[words]\nkey = "{tonic}{mode}"\nsharp = "{letter}is"\n')
    message = "de.toml: a new language must have words.flat, words.modes.lydian, words.modes.major"
    with pytest.raises(InputError, match=re.escape(message)):
        wordings("de", folder)


def test_languages_and_folders_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="languages: no wordings in fr; there are en, zh"):
        wordings("fr")
    with pytest.raises(InputError, match=r"phrasings=.*/none is not a folder"):
        languages(tmp_path / "none")
