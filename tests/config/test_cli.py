"""The command as a person meets it: help, mistakes, speed of both."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from musicllm import cli, config
from musicllm.music.grammar.static import NOTATIONS

LIGHT = {"hydra", "omegaconf", "rich", "yaml", "antlr4", "packaging", "markdown_it", "pygments",
         "mdurl", "attr", "cython_runtime", "musicllm"}  # fmt: skip
"""Third-party packages that may be imported before a stage starts."""


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.main(words)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize("words", [[], ["--help"], ["-h", "recipe=sft"]])
def test_alone_it_says_what_there_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(words, capsys)
    assert code == 0
    assert "train language models on music" in text
    assert "quickstart/sft" in text
    assert "LoRA teaches the tiny model" in text
    assert "a800x16, cpu, gpu1" in text


@pytest.mark.parametrize(
    ("topic", "lines"),
    [
        (
            "training.max_steps",
            [r"training.max_steps  int \| null  at least 1  null +optimizer steps; the"],
        ),
        (
            "optimizer",
            [
                r"options of optimizer: adamw, adamw_imelodist, muon\ndefault: adamw\n",
                r"optimizer.lr +float +from 1e-12 to 10 +0.0001 +peak learning rate",
                r"optimizer.name +str +adamw, muon +adamw ",
            ],
        ),
        (
            "benchmark.mmlu.mode",
            [r"benchmark.mmlu.mode +str \| null +likelihood, perplex"],
        ),
        (
            "data.mix",
            [r"data.mix.by +str +source, kind, language +source ", r"data.mix.weights +dict"],
        ),
    ],
)
def test_help_on_a_group_or_a_key_shows_type_range_default_and_meaning(
    topic: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["--help", topic], capsys)
    assert code == 0
    for line in lines:
        assert re.search(line, text), text
    assert "callbacks." not in text


def test_help_on_a_typo_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["--help", "optimiser"], capsys)
    assert code == 2
    assert "--help=optimiser is neither a group nor a key; did you mean optimizer?" in text


def test_the_schema_for_editors_says_what_the_checks_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, text = said(["--schema"], capsys)
    schema = json.loads(text)
    assert code == 0
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    groups = schema["properties"]
    assert groups["optimizer"]["properties"]["lr"] == {
        "description": "peak learning rate; the schedule scales it",
        "type": "number",
        "minimum": 1e-12,
        "maximum": 10,
    }
    assert groups["strategy"]["properties"]["zero_stage"]["anyOf"] == [
        {"enum": [1, 2, 3]},
        {"type": "null"},
    ]
    mode = groups["benchmark"]["additionalProperties"]["properties"]["mode"]
    assert mode["anyOf"][0]["enum"] == ["likelihood", "perplexity", "generation"]
    assert not groups["training"]["additionalProperties"]


@pytest.mark.parametrize(("name", "start"), [("gbnf", "root ::= tune"), ("lark", "start: tune")])
def test_the_grammar_for_other_engines(
    name: str, start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["--grammar", name], capsys)
    assert (code, text) == (0, NOTATIONS[name]())
    assert text.startswith(f"{start}\n")


def test_an_unknown_notation_of_the_grammar_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["--grammar=ebnf"], capsys)
    assert code == 2
    assert "--grammar=ebnf is no notation of a grammar; there are gbnf, lark; write" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(["--version"], capsys) == (0, "musicllm 0.1.0\n")


def test_a_typo_in_the_recipe_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["recipe=quikstart"], capsys)
    assert code == 2
    assert "recipe=quikstart is not a recipe; there are bench/eval, " in text
    assert text.endswith("did you mean quickstart?\n")


@pytest.mark.parametrize("listed", ["sft,pretrian", "choice(sft,pretrian)"])
def test_a_typo_among_swept_recipes_is_named(
    listed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["-m", f"recipe={listed}"], capsys)
    assert code == 2
    assert "1 problem" in text
    assert "recipe=pretrian is not a recipe; there are " in text


def test_a_missing_recipe_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["hardware=cpu"], capsys)
    assert code == 2
    assert "recipe=??? is missing; there are " in text
    assert "begin with recipe=quickstart" in text


def test_a_missing_folder_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["--config-dir"], capsys)
    assert (code, text) == (2, "--config-dir needs a folder laid out as conf/\n")


def test_a_missing_input_names_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["recipe=quickstart/sft", f"paths.runs={tmp_path}"], capsys)
    assert code == 1
    assert "inputs.corpus=quickstart/instructions: this recipe has no finished" in text
    assert "make it with: python -m musicllm recipe=quickstart/instructions" in text


def test_nothing_heavy_is_imported_before_a_stage_starts() -> None:
    program = (
        "import sys; before = set(sys.modules); from musicllm import cli;"
        "from musicllm import config, checks; from musicllm.launch import runner;"
        "from musicllm.stages import pipeline; cli.main(['recipe=sf']);"
        "checks.check(config.load(['recipe=sft'])[0]);"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name for name in done.stdout.split() if not name.startswith("_")}
    third_party = loaded - set(sys.stdlib_module_names)
    assert third_party <= LIGHT, third_party - LIGHT


@pytest.mark.parametrize("hardware", ["a800x16", "h100x1", "cpu"])
def test_any_recipe_plans(hardware: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["recipe=pretrain", f"hardware={hardware}", "hardware.memory_gb=80", "stage=plan"]
    code, text = said(words, capsys)
    assert code == 0
    assert "6,738,415,616 parameters" in text
    assert "422,051,840" in text  # LoRA r=64 on seven layers 159,907,840 + 2 x 131,072,000
    assert "2,031,250 (estimated" in text  # 4.16 B tokens / 2048
    assert "15,870" in text  # ceil(2,031,250 / 128) steps
    assert "794" in text  # 5 % of them, rounded up


@pytest.mark.parametrize(
    ("hardware", "batch", "memory"),
    [
        ("a100x1_40gb", "1 devices x 4 rows x 32 accumulated", "GB of 40.0 GB"),
        ("rtx4090x1", "1 devices x 2 rows x 64 accumulated", "GB of 24.0 GB"),
        ("v100x8", "8 devices x 1 rows x 16 accumulated", "GB of 32.0 GB"),
    ],
)
def test_a_7b_model_in_4_bits_fits_where_people_have_it(
    hardware: str, batch: str, memory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["recipe=imelodist/sft", f"hardware={hardware}", "stage=plan"], capsys)
    assert code == 0, text
    assert "167,772,160" in text  # r 64 x (2 x 8192 + 2 x 5120 + 3 x 18432) x 32 layers
    assert "21,973 (estimated" in text  # 90 M tokens / 4096
    assert "516" in text  # ceil(21,973 / 128) steps x 3 epochs
    assert batch in text
    assert memory in text
    assert ", fp16, strategy" in text


def test_a_corpus_of_unknown_size_is_planned_for_a_thousand_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["recipe=imelodist/increment", "stage=plan"]
    code, text = said(words, capsys)
    assert code == 0, text
    assert "unknown until it is prepared; this plan is of 1,000" in text
    code, text = said([*words, "training.max_steps=7"], capsys)
    assert code == 0, text
    assert "this plan is of" not in text


@pytest.mark.parametrize(
    ("supported", "dtype"),
    [("false", "float32: CPU has no native bfloat16"), ("true", "bfloat16")],
)
def test_the_plan_names_the_type_in_which_muon_multiplies(
    supported: str, dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["recipe=quickstart/pretrain", f"hardware.supports_bf16={supported}", "stage=plan"]
    code, text = said(words, capsys)
    assert code == 0
    assert f"0.007, products in {dtype}\n" in re.sub(" +\n", "\n", text)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", config.options("recipe"))
@pytest.mark.parametrize("hardware", config.options("hardware"))
def test_every_pair_plans_or_is_refused_with_a_fix(
    recipe: str, hardware: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said([f"recipe={recipe}", f"hardware={hardware}", "stage=plan"], capsys)
    if code == 0:
        steps = config.load([f"recipe={recipe}"])[0].steps
        assert all(f"plan of {step}" in text for step in steps or [recipe])
    else:
        assert code == 2
        assert "; use " in text, text


def test_a_pipeline_plans_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["recipe=chatmusician", "stage=plan"], capsys)
    assert code == 0
    assert text.count("plan of ") == 10
    assert "275,000" in text  # 1.1 M samples x 2 epochs / 8


def test_settings_of_a_sweep_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipe=sft", "sweep=optuna", "sweep.num_trials=3"]) == 2
    said = capsys.readouterr().err
    assert "sweep=optuna has no effect on a single run; add -m" in said
    assert "sweep.num_trials=3 has no effect on a single run; add -m" in said
