"""Rules on a synthesis: settings that its kind does not follow, and budgets that nothing counts."""

from __future__ import annotations

import pytest

from musicllm import config
from musicllm.checks import check
from musicllm.errors import ConfigError


def problems(*words: str) -> list[str]:
    loaded, _ = config.load(["recipe=synthesize", *words])
    try:
        check(loaded)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "words",
    [
        ("synthesis.max_tokens=1000", "synthesis.json_schema=a.json"),
        ("synthesis.max_cost=3", "synthesis.output_price=2", "synthesis.requests_per_minute=0.5"),
        ("model.endpoint=http://127.0.0.1:8000/v1", "inference.model_name=bard"),
        ("inputs.model=model.gguf",),
    ],
)
def test_what_is_right_passes(words: tuple[str, ...]) -> None:
    assert problems(*words) == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("synthesis.kind=prompts",),
         "synthesis.kind=prompts must be one of polish, prompt, self_cognition, translation; did "
         "you mean prompt?"),
        (("synthesis.max_cost=3",),
         "synthesis.max_cost=3.0 is a budget of money, and synthesis.input_price and output_price "
         "are 0; write the prices, or max_tokens"),
        (("synthesis.max_tries=0",), "synthesis.max_tries=0 must be from 1 to 100"),
        (("+synthesis.options.colour=red",),
         "synthesis.options={'colour': 'red'} has no effect on synthesis.kind=prompt; write {}"),
        (("synthesis=polish", "synthesis.json_schema=a.json"),
         "synthesis.json_schema=a.json has no effect on synthesis.kind=polish; write null"),
        (("data=files",),
         "data.sources.files.location=null names nothing to read; write "
         "data.sources.files.location=<file, folder or zip>"),
        (("data=synthesized",),
         "inputs.synthesized=??? is missing: data.sources.synthesized reads its records; name a "
         "recipe or a folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(words: tuple[str, ...], problem: str) -> None:
    assert problem in problems(*words)
