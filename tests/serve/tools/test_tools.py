"""Each tool on tunes, and calls that cannot be run, which are answered with what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from musicllm.serve.tools import TOOLS, Call, Workplace, run_call
from tests.helpers import make_tune
from tests.retrieval.indexes import make_index

TUNE = "X:1\nL:1/8\nM:4/4\nK:D\nABcd ABcd | ABcd ABcd |]\n"
FAULTY = TUNE.replace("ABcd |]", "ABc |]")


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    (tmp_path / "files").mkdir()
    return Workplace(lambda: tmp_path / "files")


def call(place: Workplace, name: str, **arguments: Any) -> dict[str, Any]:
    return run_call(Call(name, arguments), TOOLS, place)


def test_a_tune_is_checked_with_its_faults(place: Workplace) -> None:
    assert call(place, "check_tune", tune=TUNE) == {
        "valid": True, "faults": [], "key": "D major", "metre": "4/4", "bars": 2,
        "bars_that_fit": 2, "form": "A", "notes_in_key": 1.0,
    }  # fmt: skip
    found = call(place, "check_tune", tune=FAULTY)
    assert (found["valid"], found["faults"]) == (False, ["bar 2 lasts 7/8 instead of 8/8"])
    unreadable = call(place, "check_tune", tune="X:1\nK:D\n&")
    assert unreadable["valid"] is False
    assert unreadable["faults"][0].startswith("the tune cannot be read as ABC: ")
    assert "key" not in unreadable
    long = "X:1\nL:1/8\nM:4/4\nK:D\n" + "ABc | " * 20 + "ABcd ABcd |]\n"
    faults = call(place, "check_tune", tune=long)["faults"]
    assert len(faults) == 13
    assert faults[-1].startswith("and ")


def test_a_call_without_a_tune_means_the_last_one(place: Workplace) -> None:
    assert call(place, "check_tune") == {"error": "there is no tune yet; give one as tune"}
    place.see(f"First:\n\n{TUNE}\n\nSecond:\n\n{FAULTY}")
    assert call(place, "check_tune")["valid"] is False
    place.see("Do you like it?")
    assert call(place, "check_tune")["valid"] is False


def test_a_tune_is_transposed_and_is_then_the_last_one(place: Workplace) -> None:
    moved = call(place, "transpose", tune=TUNE, semitones="2")["tune"]
    assert "K:E" in moved
    assert "Bcde" in moved
    assert call(place, "check_tune")["key"] == "E major"
    assert call(place, "transpose", semitones=-2.0)["tune"].strip() == TUNE.strip()
    wrong = {"error": "the argument semitones must be a whole number from -24 to 24"}
    for value in (25, 1.5, True, "two", "1" * 20, [2]):
        assert call(place, "transpose", tune=TUNE, semitones=value) == wrong
    missing = call(place, "transpose", tune=TUNE)["error"]
    assert missing.startswith("the argument semitones is missing: up, or down below 0")
    assert "error" in call(place, "transpose", tune="X:1\nK:D\n&", semitones=1)


def test_files_are_written_in_the_folder_of_the_conversation(place: Workplace) -> None:
    result = call(place, "render", tune=TUNE, **{"as": "MIDI"})
    assert result == {"files": ["tool-001.abc", "tool-001.mid"], "problems": []}
    assert (place.folder() / "tool-001.mid").read_bytes().startswith(b"MThd")
    assert call(place, "render", tune=TUNE, **{"as": "MIDI"})["files"][0] == "tool-002.abc"
    unknown = call(place, "render", tune=TUNE, **{"as": "../score"})["error"]
    assert unknown.startswith("the argument as='../score' is none of ")
    assert "MIDI" in unknown


def test_similar_tunes_are_found_by_melody_and_by_words(tmp_path: Path) -> None:
    tunes = [make_tune(seed).replace("R:reel", f"T:Tune {seed}\nR:reel") for seed in range(6)]
    records = [{"source": "book", "id": f"t{n}", "text": text} for n, text in enumerate(tunes)]
    place = Workplace(lambda: tmp_path, make_index(tmp_path / "index", records))
    place.see(tunes[4])
    moved = call(place, "transpose", semitones=3)
    assert "tune" in moved
    first, *others = call(place, "find_similar", count=2)["tunes"]
    assert (first["title"], first["source"], first["similarity"]) == ("Tune 4", "book", 1.0)
    assert len(others) <= 1
    assert call(place, "find_similar", words="Tune 2")["tunes"][0]["title"] == "Tune 2"
    assert call(place, "find_similar", words=" ")["error"].startswith("words is empty")
    assert "from 1 to 10" in call(place, "find_similar", count=11)["error"]


def test_calls_that_cannot_be_run_are_answered(place: Workplace) -> None:
    tools = {"check_tune": TOOLS["check_tune"]}
    assert run_call(Call("render"), tools, place) == {
        "error": "there is no tool 'render'; there are check_tune"
    }
    assert run_call(Call("", problem="no JSON"), tools, place) == {"error": "no JSON"}
    assert call(place, "check_tune", melody="x") == {
        "error": "there is no argument 'melody'; there are tune"
    }
    assert call(place, "check_tune", tune=7) == {"error": "the argument tune must be a text"}
    long = call(place, "check_tune", tune="A" * 64_001)["error"]
    assert long == "the argument tune has more than 64,000 characters"


def test_schemas_are_those_of_the_protocol() -> None:
    function = TOOLS["transpose"].schema["function"]
    assert TOOLS["transpose"].schema["type"] == "function"
    assert function["name"] == "transpose"
    assert function["parameters"]["required"] == ["semitones"]
    assert function["parameters"]["properties"]["semitones"]["type"] == "integer"
