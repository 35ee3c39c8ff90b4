"""Tunes on request: how they are asked for, checked, tried again and saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from musicllm.errors import ArtifactError, RenderError
from musicllm.evals.requests import find_tune
from musicllm.inference.requests import Completion
from musicllm.music.render import RENDERERS, Rendering
from musicllm.registry import load_extensions
from musicllm.report.runs import read_lines
from musicllm.report.scores import read_scores
from musicllm.serve import tunes
from musicllm.serve.tunes import WrittenTune, draw_requests, save_tunes, write_tunes
from tests.examples import EXAMPLES

# Four bars of 6/8 after the first, which is one eighth too long.
JIG = "X:1\nR:jig\nM:6/8\nL:1/8\nK:G\nGAB dBGA | GAB d3 | edB dBA | G3 G3 |]"


def completion(text: str, finished: bool = True) -> Completion:
    return Completion(text, len(text), finished, 5)


class Scripted:
    """A model that answers each prompt from a list, one entry per try."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers = answers
        self.asked: list[tuple[tuple[str, ...], int]] = []

    def __call__(self, messages: Sequence[str], seed: int) -> list[Completion]:
        self.asked.append((tuple(messages), seed))
        return [completion(self.answers[message].pop(0)) for message in messages]


def test_only_what_does_not_parse_is_asked_again_with_the_next_seed() -> None:
    model = Scripted({"a": [JIG], "b": ["la la", "X:1\nK:", f"Here it is:\n{JIG}\n\nEnjoy."]})
    first, second = write_tunes(["a", "b"], model, find_tune, seed=7)
    assert model.asked == [(("a", "b"), 7), (("b",), 8), (("b",), 9)]
    assert (first.name, first.tries, first.seed) == ("001", 1, 7)
    assert (second.name, second.tries, second.seed) == ("002", 3, 9)
    assert second.abc == JIG
    assert second.parses


def test_a_prompt_without_a_tune_ends_after_four_tries_and_says_why() -> None:
    model = Scripted({"a": ["no", "no", "no", "X:1\nM:6/8\nK:G\n£"]})
    (tune,) = write_tunes(["a"], model, find_tune, seed=1)
    assert [seed for _, seed in model.asked] == [1, 2, 3, 4]
    assert not tune.parses
    assert (tune.tries, tune.num_bars, tune.title) == (4, 0, "")
    assert tune.problems[0].startswith("the tune does not parse: line 4")


def test_answer_without_x_line_and_cut_answer_are_told() -> None:
    def ask(messages: Sequence[str], seed: int) -> list[Completion]:
        return [completion("no tune", finished=False)]

    (tune,) = write_tunes(["a"], ask, find_tune, seed=1)
    assert tune.problems == (
        "the answer was cut off at its longest length",
        "no line starts with X:",
    )


def test_bars_are_counted_against_the_metre_and_the_title_is_made_up() -> None:
    (tune,) = write_tunes(["a"], Scripted({"a": [JIG]}), find_tune, seed=1)
    assert (tune.num_bars_fitting, tune.num_bars) == (3, 4)
    assert tune.title == "Jig in G major"
    named = JIG.replace("R:jig", "T:The Lark\nR:jig")
    (tune,) = write_tunes(["a"], Scripted({"a": [named]}), find_tune, seed=1)
    assert tune.title == "The Lark"


def test_bars_without_metre_are_not_counted_as_fitting() -> None:
    free = JIG.replace("M:6/8", "M:none")
    (tune,) = write_tunes(["a"], Scripted({"a": [free]}), find_tune, seed=1)
    assert tune.parses
    assert (tune.num_bars_fitting, tune.num_bars) == (0, 0)


def request(number: int, task: str, key: str) -> dict[str, object]:
    answer = f"X:1\nM:4/4\nK:{key}\nCDEF"
    turns = [{"role": "user", "content": f"{task} {key} {number}"}, {"content": answer}]
    return {"id": str(number), "task": task, "messages": turns}


def test_requests_are_spread_over_tasks_and_keys_and_follow_the_seed() -> None:
    records = [request(n, "motif", "D") for n in range(20)]
    records += [request(20, "chords", "D"), request(21, "chords", "G"), request(22, "form", "Am")]
    drawn = draw_requests(records, 4, seed=3)
    tasks = [text.split()[0] for text in drawn]
    assert sorted(tasks[:3]) == ["chords", "form", "motif"]
    assert len({text.split()[1] for text in drawn[:3]}) == 3
    assert draw_requests(records, 4, seed=3) == drawn
    assert {tuple(draw_requests(records, 1, seed=seed)) for seed in range(9)} != {(drawn[0],)}


def test_too_few_requests_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"generation\.num_prompts=2 needs as many .* holds 1;"):
        draw_requests([request(1, "motif", "D")], 2, seed=1)


def written() -> list[WrittenTune]:
    model = Scripted({"a": [JIG], "b": ["no"] * 4})
    return write_tunes(["a", "b"], model, find_tune, seed=1)


def test_without_rendering_only_abc_and_the_lines_are_saved(tmp_path: Path) -> None:
    save_tunes(written(), tmp_path, render=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["001.abc", "tunes.jsonl"]
    assert (tmp_path / "001.abc").read_text() == JIG + "\n"
    lines = read_lines(tmp_path / "tunes.jsonl")
    assert [line["tries"] for line in lines] == [1, 4]
    assert lines[1]["problems"] == ["no line starts with X:"]


def test_rendering_problems_and_engine_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = Rendering(JIG, tmp_path, "001", {}, ["no score: it broke"], "pretty_midi")
    monkeypatch.setattr(tunes, "render_tune", lambda *_: rendering)
    tune = save_tunes(written(), tmp_path, render=True)[0]
    assert tune.problems == ("no score: it broke",)
    assert tune.sound_engine == "pretty_midi"


def test_a_tune_that_cannot_be_rendered_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(abc: str, folder: Path, stem: str) -> Rendering:
        raise RenderError("verovio crashed")

    monkeypatch.setattr(tunes, "render_tune", refuse)
    tune = save_tunes(written(), tmp_path, render=True)[0]
    assert tune.problems == ("verovio crashed",)
    assert (tmp_path / "001.abc").is_file()


def test_score_midi_and_sound_are_made(tmp_path: Path) -> None:
    tune = save_tunes(written(), tmp_path, render=True)[0]
    assert tune.problems == ()
    assert tune.sound_engine is not None
    made = {path.name for path in tmp_path.iterdir()}
    assert made >= {"001.abc", "001.svg", "001.mid", "001.wav", "001.mp3"}
    assert not any(name.startswith("002") for name in made)


def test_a_renderer_from_outside_the_package_is_run_and_linked_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RENDERERS, "_kinds", {**RENDERERS})
    (tmp_path / "staves.py").write_text(EXAMPLES["staves.py"])
    load_extensions([str(tmp_path / "staves.py")])
    folder = tmp_path / "tunes"
    folder.mkdir()
    save_tunes(written(), folder, render=True)
    assert "●" in (folder / "001.txt").read_text(encoding="utf-8")
    tune, _ = read_scores(folder)
    assert [(file.name, file.label) for file in tune.downloads] == [
        ("001.mid", "MIDI"),
        ("001.musicxml", "MusicXML"),
        ("001.txt", "Text"),
        ("001.abc", "ABC"),
    ]
