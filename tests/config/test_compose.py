"""Every recipe and every option of every group composes and fits the schema."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from musicllm import config
from musicllm.checks import check
from musicllm.errors import ConfigError, InputError
from musicllm.runs.stages import STAGES
from musicllm.schema import Config

ROOT = Path(__file__).parents[2]

RECIPES = config.options("recipe")
OPTIONS = {group: config.options(group) for group in config.groups()}
LISTS = ("logger", "benchmark")


@cache
def composed(recipe: str) -> Config:
    return config.load([f"recipe={recipe}"])[0]


def test_recipes_and_options_are_found_recursively() -> None:
    files = list((config.root().parent / "recipes").rglob("*.yaml"))
    assert len(RECIPES) == len(files) > 20
    assert "quickstart/sft" in RECIPES
    every = [path for path in config.root().rglob("*.yaml") if path.name != "config.yaml"]
    elsewhere = {"recipe", *config.BUILDING_BLOCKS}
    assert sum(map(len, OPTIONS.values())) == len(
        [path for path in every if not elsewhere & set(path.parts)]
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_composes_and_passes_the_checks(recipe: str) -> None:
    settings = composed(recipe)
    check(settings)
    assert settings.task in STAGES
    assert settings.stage == settings.task
    assert settings.description
    assert settings.source


@pytest.mark.parametrize("number", range(max(map(len, OPTIONS.values()))))
def test_every_option_composes(number: int) -> None:
    """One of every group at once: the first ones, the second ones, and so on."""
    options = {group: names[number % len(names)] for group, names in OPTIONS.items()}
    words = [
        f"{group}=[{option}]" if group in LISTS else f"{group}={option}"
        for group, option in options.items()
    ]
    settings, recipe = config.load(["recipe=quickstart/prepare", *words])
    assert recipe == "quickstart/prepare"
    for group, option in options.items():
        chosen = getattr(settings, group)
        if group in LISTS:
            assert list(chosen) == [option]
        elif hasattr(chosen, "name"):
            assert chosen.name
            assert option.startswith(chosen.name)


def test_every_source_is_part_of_a_corpus() -> None:
    corpora = (path.read_text(encoding="utf-8") for path in (ROOT / "conf" / "data").glob("*.yaml"))
    used = re.findall(r"/source@sources\.\w+: (\w+)", "\n".join(corpora))
    assert set(used) == set(config.options("source"))


def test_pipelines_name_recipes() -> None:
    pipelines = [composed(name) for name in RECIPES]
    steps = [step for settings in pipelines for step in settings.steps]
    assert len(steps) >= 16
    assert set(steps) <= set(RECIPES)


def test_inputs_of_a_pipeline_are_made_before_they_are_read() -> None:
    for name in ("quickstart", "chatmusician", "quickstart/distillation"):
        made: set[str] = set()
        for step in composed(name).steps:
            assert set(composed(step).inputs.values()) <= made
            made.add(step)


def test_hardware_chooses_the_strategy_unless_it_is_given() -> None:
    assert config.load(["recipe=sft"])[0].strategy.name == "zero2"
    assert config.load(["recipe=sft", "hardware=h100x1"])[0].strategy.name == "single"
    chosen, _ = config.load(["recipe=sft", "strategy=zero3_offload"])
    assert (chosen.hardware.name, chosen.strategy.name) == ("v100x8", "zero3_offload")


def test_a_folder_of_the_user_adds_options_and_recipes(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - /recipe/sft\n  - _self_\noptimizer:\n  lr: 0.5\n"
    )
    settings, name = config.load(["recipe=mine"], [tmp_path])
    assert (name, settings.optimizer.lr) == ("mine", 0.5)
    assert "mine" in config.options("recipe", [tmp_path])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--config-dir .*nowhere is not a folder"):
        config.options("recipe", [tmp_path / "nowhere"])


def test_inputs_may_be_added_without_a_plus() -> None:
    settings, _ = config.load(["recipe=generate", "inputs.model=somewhere"])
    assert settings.inputs == {"model": "somewhere"}


def problems(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check(config.load(words)[0])
    return str(caught.value)


def test_a_typo_in_a_key_names_the_nearest() -> None:
    text = problems("recipe=sft", "optimzer.lr=3")
    assert text == (
        "1 problem in the configuration:\n"
        "  optimzer.lr=3 is not a setting; did you mean optimizer.lr?"
    )
    assert "did you mean optimizer.lr?" in problems("recipe=sft", "optimizer.lrr=3")


def test_a_typo_in_an_option_names_the_nearest() -> None:
    assert problems("recipe=sft", "hardware=v100").endswith(
        "hardware=v100 is not an option; there are a100x1, a100x1_40gb, a100x8, a800x16, cpu, "
        "gpu1, h100x1, h100x8, h200x1, h200x8, l40sx1, rtx3090x1, rtx4090x1, rtx5090x1, v100x8; "
        "did you mean v100x8?"
    )


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (
            "logger=[wandb,tensorbord]",
            "logger=tensorbord is not an option; there are csv, mlflow, tensorboard, trackio, "
            "wandb; did you mean tensorboard?",
        ),
        ("benchmark=[mmluu]", "theory, tune_requests; did you mean mmlu?"),
        ("data=musicpil", "tune_instructions; did you mean musicpile?"),
    ],
)
def test_a_typo_in_a_list_of_options_names_the_nearest(word: str, text: str) -> None:
    assert problems("recipe=sft", word).endswith(text)


def test_a_typo_in_a_group_names_the_nearest_group() -> None:
    assert problems("recipe=sft", "optimiser=adamw").endswith(
        "optimiser=adamw is not a setting; did you mean optimizer?"
    )
    assert "source=x is no group to choose from: the options of data and benchmark" in (
        problems("recipe=sft", "source=x")
    )


def test_unknown_added_keys_wrong_types_and_missing_values_come_together() -> None:
    text = problems("recipe=sft", "+optimizer.lrr=3", "training.rows_per_step=x", "description=???")
    assert text.startswith("3 problems in the configuration:")
    assert "optimizer.lrr=3 is not a setting; did you mean lr?" in text
    assert "training.rows_per_step=x must be int, not str" in text
    assert "description=??? has no value; write description=..." in text


def test_an_integer_is_a_float_but_not_the_reverse() -> None:
    assert config.load(["recipe=sft", "optimizer.lr=1"])[0].optimizer.lr == 1.0
    assert "must be int, not float" in problems("recipe=sft", "seed=1.5")
    assert "must be bool, not str" in problems("recipe=sft", "callbacks.progress_bar=maybe")


def test_bad_grammar_is_a_problem_of_the_command() -> None:
    assert "command=nonsense is not a setting; write group=option" in problems(
        "recipe=sft", "nonsense"
    )


@pytest.mark.parametrize(
    ("overrides", "description"),
    [
        (["recipe=prepare_pretrain"], "documents (data=musicpile) -> rows for continual pre-t"),
        (["recipe=prepare_sft", "data=files"], "conversations (data=files) -> rows for fine-tu"),
        (["recipe=pretrain", "model=tiny"], "continual pre-training (model=tiny) on a prepared"),
        (["recipe=sft", "model=tiny"], "supervised fine-tuning (model=tiny) on a prepared c"),
    ],
)
def test_a_recipe_for_any_data_or_model_says_which_it_is(
    overrides: list[str], description: str
) -> None:
    assert config.load(overrides)[0].description.startswith(description)
