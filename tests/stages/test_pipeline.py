from __future__ import annotations

from pathlib import Path

import pytest

from musicllm import config
from musicllm.command import parse
from musicllm.errors import ConfigError
from musicllm.stages import pipeline


def test_a_step_gets_the_settings_of_the_sources_that_it_reads() -> None:
    own = "data.sources.music21_books.location=mine"
    command = parse(["recipe=quickstart", own, "seed=3", "name=x"])

    assert pipeline.fitting("quickstart/prepare", command) == [own, "seed=3"]
    assert pipeline.fitting("quickstart/instructions", command) == ["seed=3"]


def test_a_step_gets_the_extensions_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    own = f"extensions=[{tmp_path / 'own.py'}]"
    words = pipeline.step_words("quickstart/prepare", parse(["recipe=quickstart", own]), {})
    assert words == ["recipe=quickstart/prepare", own]


def test_a_source_that_no_step_reads_is_refused() -> None:
    command = parse(["recipe=quickstart", "data.sources.musicpile.location=mine"])
    settings, _ = config.load(["recipe=quickstart"])

    with pytest.raises(ConfigError) as caught:
        pipeline.refuse_unused(settings.steps, command)
    assert str(caught.value.problems[0]) == (
        "data.sources.musicpile.location=mine is a setting of a source, benchmark or server that "
        "no step of this pipeline has"
    )


def test_a_server_is_the_teacher_and_no_more() -> None:
    own = ["model.endpoint=http://127.0.0.1:8080/v1", "inference.model_name=large"]
    command = parse(["recipe=imelodist", *own])
    assert pipeline.fitting("imelodist/translate", command) == own
    for step in ("imelodist/increment", "imelodist/evaluate", "imelodist/small/generate"):
        assert pipeline.fitting(step, command) == []
    settings, _ = config.load(["recipe=chatmusician"])
    with pytest.raises(ConfigError, match=r"model\.endpoint=.* server that no step"):
        pipeline.refuse_unused(settings.steps, command)


def test_a_step_gets_the_settings_of_the_benchmarks_that_it_asks() -> None:
    own = "benchmark.theory.num_questions=5"
    command = parse(["recipe=chatmusician", own])

    assert pipeline.fitting("chatmusician/evaluate", command) == [own]
    assert pipeline.fitting("chatmusician/evaluate_before", command) == []


def test_what_is_compared_is_what_the_steps_before_made() -> None:
    command = parse(["recipe=chatmusician"])
    made = {"chatmusician/evaluate": Path("runs/chatmusician/evaluate/abc")}

    assert pipeline.step_words("chatmusician/compare", command, made)[1:] == [
        "runs=[chatmusician/evaluate_before,chatmusician/evaluate_base,"
        "runs/chatmusician/evaluate/abc]"
    ]
