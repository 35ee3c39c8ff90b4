"""Rules on endpoints and engines: one clear problem for each, and no secret in it."""

from __future__ import annotations

import pytest

from musicllm import config
from musicllm.checks import check
from musicllm.errors import ConfigError

GENERATE = ("recipe=generate", "hardware=cpu", "generation=sampling")
SERVER = "model.endpoint=http://127.0.0.1:8000/v1"


def problems(*words: str) -> list[str]:
    loaded, _ = config.load([*GENERATE, *words])
    try:
        check(loaded)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "words",
    [
        (SERVER,),
        ("generation.grammar=abc", "generation.tune.form=AABB", "generation.tune.num_bars=16"),
        (SERVER, "inference.engine=endpoint", "inference.model_name=bard"),
        ("model.endpoint=https://host/v1", "inference.api_key_env=BARD_KEY"),
        ("inputs.model=model.gguf",),
        ("model.location=model.gguf", "inference.engine=gguf", "inference.context=2048"),
        ("inference=vllm", "+inference.options.arguments=[--dtype,float32]"),
    ],
)
def test_what_is_right_passes(words: tuple[str, ...]) -> None:
    assert problems(*words) == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("model.endpoint=localhost:8000/v1",),
         "model.endpoint=localhost:8000/v1 is no address of a server: it does not begin with "
         "http:// or https://; write such as http://127.0.0.1:8000/v1"),
        (("model.endpoint=http://host:80000/v1",),
         "model.endpoint=http://host:80000/v1 is no address: Port out of range 0-65535"),
        (("model.endpoint='http://bard:lute@host/v1'",),
         "model.endpoint=*** has a password or a query, and the configuration is saved with every "
         "run; keep the key in the variable that inference.api_key_env names"),
        ((SERVER, "inputs.model=quickstart/merge"),
         "inputs.model=quickstart/merge is a second model beside model.endpoint; leave one of them "
         "out"),
        ((SERVER, "inference.engine=gguf"),
         "inference.engine=gguf does not write with a server, but model.endpoint names one; leave "
         "one of them out"),
        ((SERVER, "inference.api_key_env='my key'"),
         "inference.api_key_env=*** is no name of an environment variable; write the name; the key "
         "itself stays in the environment"),
        ((SERVER, "adapter.quantization=nf4"),
         "adapter.quantization=nf4 loads weights in 4 bits with transformers, and inference.engine "
         "is endpoint; write null"),
        (("inference.engine=endpoint",),
         "inference.engine=endpoint needs model.endpoint, which is null; write "
         "model.endpoint=http://.../v1"),
        (("inference.model_name=bard",),
         "inference.model_name=bard names a model on a server, and model.endpoint=null names no "
         "server"),
        (("inference.engine=gguf", "+inference.options.python=python"),
         "inference.options={'python': 'python'} are options that gguf does not have"),
        (("recipe=mmlu", "model.location=model.gguf"),
         "model.location=model.gguf is a GGUF file, which writes texts, and task=evaluate needs "
         "the weights; name the folder of transformers that it was made of"),
        (("recipe=mmlu", SERVER),
         "model.endpoint=*** writes texts, and task=evaluate needs the weights; leave it out"),
    ],
)  # fmt: skip
def test_each_broken_rule_is_the_only_problem(words: tuple[str, ...], problem: str) -> None:
    assert problems(*words) == [problem]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ("generation.grammar=abc", "generation.tune.metre=7/5"),
            "generation.tune.metre=7/5 is no metre that the grammar writes; write one such as 6/8",
        ),
        (
            ("generation.grammar=null", "generation.tune.num_bars=8"),
            "generation.tune.num_bars=8 has no effect with generation.grammar=null; "
            "write generation.grammar=abc",
        ),
    ],
)
def test_rules_of_tunes_that_nothing_keeps(words: tuple[str, ...], problem: str) -> None:
    assert problems(*words) == [problem]


@pytest.mark.parametrize("recipe", ["serve", "demo"])
def test_tries_are_refused_where_nothing_makes_them(recipe: str) -> None:
    words = [f"recipe={recipe}", "hardware=cpu", "generation=sampling", "generation.tries=2"]
    loaded, _ = config.load(words)
    with pytest.raises(ConfigError, match=r"tries=2 are made by generate and chat, and not"):
        check(loaded)
