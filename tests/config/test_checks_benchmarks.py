"""Rules on benchmarks: every broken one is named with its key, value and fix."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from musicllm import config
from musicllm.checks import benchmarks, check
from musicllm.errors import ConfigError

MTB = "benchmark.musictheorybench"

BROKEN = [
    ("recipe=mmlu", "benchmark.mmlu.kind=choice", "benchmark.mmlu.kind=choice must be one of"),
    ("recipe=mmlu", "benchmark.mmlu.mode=letter", "mode=letter must be one of likelihood, perplex"),
    ("recipe=mmlu", "benchmark.mmlu.mode=null", "benchmark.mmlu.mode=null must be one of"),
    ("recipe=mmlu", "benchmark.mmlu.prompt_format=opencompas", "did you mean opencompass"),
    ("recipe=mmlu", "benchmark.mmlu.long_prompts=cut", "must be one of "
     "drop_last_shots, drop_first_shots, truncate, skip, stop"),
    ("recipe=mmlu", "benchmark.mmlu.num_fewshot=-1", "num_fewshot=-1 must be from 0 to 1000"),
    ("recipe=mmlu", "benchmark.mmlu.num_questions=0", "num_questions=0 must be at least 1"),
    ("recipe=mmlu", "benchmark.mmlu.location=null", "location=null has no questions"),
    ("recipe=mmlu", "benchmark.mmlu.split=null", "split=null names no questions; write test"),
    ("recipe=mmlu", "benchmark.mmlu.max_new_tokens=8", "max_new_tokens=8 does not fit mode=likeli"),
    ("recipe=musictheorybench", f"{MTB}.mode=generation", "max_new_tokens=null does not fit mode="),
    (
        "recipe=musictheorybench",
        f"{MTB}.prompt_format=chain_of_thought",
        "does not fit mode=perplexity: a thought comes between question and letter",
    ),
    ("recipe=mmlu", "benchmark.mmlu.as_chat=true", "as_chat=true does not fit mode=likelihood"),
    ("recipe=mmlu", "benchmark=[]", "benchmark=[] names no benchmark"),
    ("recipe=mmlu", "benchmark=[compression]", "inputs.corpus=??? is missing: benchmark compress"),
    ("recipe=mmlu", "benchmark=[generation]", "inputs.instructions=??? is missing"),
    ("recipe=mmlu", "benchmark.mmlu.levels=[hard]",
     "benchmark.mmlu.levels=[hard] is not read by a benchmark of kind multiple_choice; write []"),
    ("recipe=compare", "runs=[]", "runs=[] names no evaluation"),
    ("recipe=sft", "callbacks.evaluate_every_steps=5", "names nothing that callbacks.evaluate_ev"),
    ("recipe=sft", "benchmark=[theory]", "callbacks.evaluate_every_steps=null never asks"),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "word", "said"), BROKEN, ids=[word for _, word, _ in BROKEN])
def test_broken_rules(recipe: str, word: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(config.load([recipe, word])[0])
    assert said in " ".join(str(caught.value).split())


def test_a_prompt_that_is_answered_in_words_is_not_truncated() -> None:
    name = "musictheorybench_generation"
    words = [f"benchmark=[{name}]", f"benchmark.{name}.long_prompts=truncate"]
    with pytest.raises(ConfigError) as caught:
        check(config.load(["recipe=musictheorybench", *words])[0])
    assert (
        f"benchmark.{name}.long_prompts=truncate does not fit mode=generation: a chat has to begin "
        "with its beginning; write drop_last_shots or skip"
    ) in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("name", "word", "kind_and_fix"),
    [
        ("theory", "location=quiz.json", "theory; write null"),
        ("language", "num_fewshot=5", "perplexity; write 0"),
        ("language", "mode=perplexity", "perplexity; write null"),
        ("language", "max_length=512", "perplexity; write null"),
        ("language", "add_bos=false", "perplexity; write true"),
        ("compression", "subjects=[a,b]", "compression; write []"),
        ("generation", "max_new_tokens=9", "generation; write null"),
    ],
)
def test_what_a_kind_would_ignore_is_refused(name: str, word: str, kind_and_fix: str) -> None:
    words = [f"benchmark=[{name}]", "inputs.corpus=a", f"benchmark.{name}.{word}"]
    with pytest.raises(ConfigError) as caught:
        check(config.load(["recipe=mmlu", *words])[0])
    expected = f"benchmark.{name}.{word} is not read by a benchmark of kind {kind_and_fix}"
    assert expected in " ".join(str(caught.value).split())


def test_a_revision_of_nothing_is_refused() -> None:
    words = ["benchmark=[perplexity]", "inputs.corpus=a", "benchmark.perplexity.revision=main"]
    with pytest.raises(ConfigError, match=r"revision=main is of a hub data set, and .*=null names"):
        check(config.load(["recipe=mmlu", *words])[0])


def test_what_says_nothing_is_what_every_benchmark_starts_from() -> None:
    start = OmegaConf.to_container(OmegaConf.load(config.root() / "measurement" / "default.yaml"))
    assert isinstance(start, dict)
    read_by_all = {"split": None, "num_questions": None}
    assert benchmarks.UNSET | read_by_all == start


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["benchmark=[generation]"], "benchmark.generation=generation writes tunes, which callb"),
        (["benchmark=[compression]"], "benchmark.compression=compression is measured on a finish"),
        (["benchmark=[perplexity]"], "names no texts: those of the corpus are what val/loss is"),
        (["benchmark=[theory]", "strategy=zero3"], "evaluate_every_steps=5 needs whole weights on"),
    ],
)
def test_what_a_training_cannot_ask(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(config.load(["recipe=sft", "callbacks.evaluate_every_steps=5", *words])[0])
    assert said in " ".join(str(caught.value).split())


@pytest.mark.parametrize("name", config.options("benchmark"))
def test_every_benchmark_keeps_the_rules(name: str) -> None:
    words = [f"benchmark=[{name}]", "inputs.corpus=a", "inputs.instructions=b", "inputs.model=c"]
    check(config.load(["recipe=mmlu", *words])[0])
