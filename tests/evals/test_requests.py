from __future__ import annotations

import pytest

from musicllm.data.instructions import TASKS, wordings
from musicllm.evals.requests import Request, StatedTraits, asks_for_tune, find_tune, stated_traits
from musicllm.music.abc import parse_key

TUNE = "X:1\nL:1/8\nM:6/8\nK:D\nABc def|"
HEADER = "X:1\nL:1/16\nM:9/8\nK:Em"
LANGUAGES = ("en", "zh")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("key", "abc_key"),
    [("D major", "D"), ("F# minor", "F#m"), ("A dorian", "Ador"), ("Bb mixolydian", "Bbmix")],
)
def test_metre_and_key_in_words(language: str, key: str, abc_key: str) -> None:
    phrases = wordings(language)
    values = {"rhythm": "reel", "key": key, "metre": "6/8"}
    for wording in phrases.of("metadata_to_tune", "requests"):
        prompt = phrases.fill(wording, values)
        assert stated_traits(prompt) == StatedTraits("6/8", parse_key(abc_key)), prompt


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", [task for task in TASKS if task != "metadata_to_tune"])
def test_wordings_state_what_their_header_or_tune_states(language: str, task: str) -> None:
    phrases = wordings(language)
    values = {
        "opening": TUNE,
        "tune": TUNE,
        "question": phrases.of("name_key", "follow_ups")[0].parts[0][0],
        "header": HEADER,
        "chords": "Am D7 G/B F#m",
        "motif": "A,3/2B,/2 c'3/2 | [CE]3/2 d2",
        "form": "AABB",
        "terms": "'Binary', 'Sectional: Verse/Chorus'",
    }
    for wording in phrases.of(task, "requests"):
        prompt = phrases.fill(wording, values)
        traits = StatedTraits(None, None)
        if wording.places & {"opening", "tune"}:
            traits = StatedTraits("6/8", parse_key("D"))
        elif "header" in wording.places:
            traits = StatedTraits("9/8", parse_key("Em"))
        assert stated_traits(prompt) == traits, prompt


def test_metre_and_key_as_fields() -> None:
    assert stated_traits(f"Go on:\n{TUNE}") == StatedTraits("6/8", parse_key("D"))
    assert stated_traits("M:C\nL:1/4\nK:Bbm") == StatedTraits("4/4", parse_key("Bbm"))


@pytest.mark.parametrize(
    "prompt",
    [
        "Write a tune around this motif: A3/2B/2 c/4 | z3/2 d2",
        "Write a tune around this motif: A,3/2B, c'3/2 | [CE]3/2",
        "Write a melody over these chords: Am D7 G",
        "Write a tune in the form AABB.",
        "Please, a tune with L:1/8, or L: 1/8.",
        "M:77/8 and K:Zz",
        "请写一首曲式为 AABB 的曲子。",
    ],
)
def test_nothing_stated(prompt: str) -> None:
    assert stated_traits(prompt) == StatedTraits(None, None)


def test_flats_and_sharps_in_words() -> None:
    assert stated_traits("a waltz in B flat major").key == parse_key("Bb")
    assert stated_traits("a waltz in C♯ minor").key == parse_key("C#m")
    assert stated_traits("a waltz in Fb dorian").key is None


@pytest.mark.parametrize(
    ("prompt", "metre", "key"),
    [
        ("写一首降B大调的曲子,拍号3/4。", "3/4", "Bb"),
        ("升 F 小调，6/8 拍", "6/8", "F#m"),
        ("用G混合利底亚写，9/8拍", "9/8", "Gmix"),
        ("请用D major写，拍号为4/4", "4/4", "D"),
    ],
)
def test_metre_and_key_in_chinese(prompt: str, metre: str, key: str) -> None:
    assert stated_traits(prompt) == StatedTraits(metre, parse_key(key))


def test_tune_is_found_up_to_the_blank_line() -> None:
    assert find_tune(f"Here it is:\n{TUNE}\nGAB|\n\nEnjoy!\nX:2") == f"{TUNE}\nGAB|"
    assert find_tune("X:1 L:1/8 M:2/4 K:G G2BG | A2 |") == "X:1\nL:1/8\nM:2/4\nK:G\nG2BG | A2 |"
    assert find_tune("I cannot. MAX:1") == ""


def test_what_a_request_wants_goes_before_what_its_prompt_states() -> None:
    prompt = "Eine Jig in D-Dur, bitte; oder A minor in 3/4?"
    assert Request(prompt).stated == StatedTraits("3/4", parse_key("Am"))
    request = Request(prompt, conditions={"key": "D major", "metre": "6/8"})
    assert request.stated == StatedTraits("6/8", parse_key("D"))


def test_requests_for_tunes_are_told_from_questions_and_dialogues() -> None:
    def record(*contents: str) -> dict[str, object]:
        roles = ("user", "assistant") * 2
        return {
            "messages": [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
        }

    tune = "X:1\nL:1/8\nM:4/4\nK:D\nDEFG ABcd |]"
    assert asks_for_tune(record("Write a reel.", tune))
    assert not asks_for_tune(record(f"Which key?\n{tune}", "D major."))
    assert not asks_for_tune(record("Which key?", "D.", "Write a reel.", tune))
    assert not asks_for_tune({"text": tune})
