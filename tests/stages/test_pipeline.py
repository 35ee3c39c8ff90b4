from __future__ import annotations

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


def test_a_source_that_no_step_reads_is_refused() -> None:
    command = parse(["recipe=quickstart", "data.sources.musicpile.location=mine"])
    settings, _ = config.load(["recipe=quickstart"])

    with pytest.raises(ConfigError) as caught:
        pipeline.refuse_unused(settings, command)
    assert str(caught.value.problems[0]) == (
        "data.sources.musicpile.location=mine is a setting of a source that no step of this "
        "pipeline reads"
    )
