from __future__ import annotations

import dataclasses
import json
import math
from contextlib import suppress
from pathlib import Path

import pytest

from musicllm import config as configuration
from musicllm.errors import ConfigError, StageError
from musicllm.launch import runner
from musicllm.runs import composing
from musicllm.runs.planning import run_plan
from musicllm.schema import Config
from musicllm.train.rehearsal import Rehearsal
from musicllm.train.run_plan import RunPlan


def configured(*words: str) -> Config:
    config, _ = configuration.load(list(words), ())
    return config


def planned(*words: str) -> RunPlan:
    return run_plan(configured(*words), None)


def test_published_pretraining_fits_its_machine() -> None:
    plan = planned("recipe=pretrain", "hardware=a800x16")
    memory = plan.memory
    assert memory.frozen_weights == 2 * 6_738_415_616
    assert memory.trained_weights == 4 * 422_051_840
    assert memory.gradients == 4 * 422_051_840 // 16
    assert memory.optimizer == 12 * 422_051_840 // 16
    inputs = 32 * 4 * 4096 * 8 * 2048  # of 32 layers, in float32, since the embeddings are trained
    assert memory.activations == pytest.approx(inputs, rel=0.05)
    assert 30e9 < memory.total < 40e9
    plan.refuse_memory()
    assert plan.disk.checkpoint == pytest.approx(12 * 422_051_840, rel=0.01)
    assert plan.duration.num_tokens == 15_870 * 128 * 2048
    assert plan.duration.hours == pytest.approx(22.6, abs=0.2)


def test_published_fine_tuning_fits_8_v100() -> None:
    plan = planned("recipe=sft", "hardware=v100x8")
    assert 18e9 < plan.memory.total < 24e9
    plan.refuse_memory()


def test_too_small_a_device_is_refused_with_parts_and_what_fits() -> None:
    plan = planned(
        "recipe=sft", "hardware=h100x1", "hardware.memory_gb=26", "hardware.max_rows_per_device=8",
        "training.activation_checkpointing=false",
    )  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        plan.refuse()
    text = str(refused.value)
    total = plan.memory.total / 1e9
    assert f"hardware.memory_gb=26.0 is less than the {total:.1f} GB that this run needs" in text
    assert "(frozen weights 13.5, trained weights 1.7, gradients 1.7, optimizer 3.4, " in text
    fix = text.split("; use ")[1]
    words, needs = fix.split(", with which it needs ")
    assert words == "hardware.max_rows_per_device=2 training.activation_checkpointing=true"
    again = planned("recipe=sft", "hardware=h100x1", "hardware.memory_gb=26", *words.split())
    assert again.fits()
    assert needs == f"{again.memory.total / 1e9:.2f} GB"


def test_nothing_makes_7_billion_weights_fit_into_2_gb() -> None:
    plan = planned("recipe=sft", "hardware=h100x1", "hardware.memory_gb=2")
    with pytest.raises(ConfigError, match="use a smaller model, shorter rows, fewer trained"):
        plan.refuse()


def test_offload_needs_cpu_memory() -> None:
    words = ["recipe=sft", "hardware=v100x8", "strategy=zero3_offload"]
    plan = planned(*words, "hardware.host_memory_gb=10")
    with pytest.raises(ConfigError, match=r"hardware\.host_memory_gb=10\.0 is less than the"):
        plan.refuse()
    planned(*words, "hardware.host_memory_gb=500").refuse_memory()


def test_memory_that_is_not_known_refuses_nothing() -> None:
    plan = planned("recipe=sft", "hardware=v100x8")
    dataclasses.replace(plan, device_bytes=None, host_bytes=None).refuse_memory()


def test_too_small_a_disk_is_refused() -> None:
    plan = planned("recipe=sft", "hardware=v100x8")
    small = dataclasses.replace(plan, disk=dataclasses.replace(plan.disk, free=10**9))
    with pytest.raises(StageError, match=r"has 1\.0 GB free, and this run writes up to"):
        small.refuse()


def test_the_plan_holds_every_number(tmp_path: Path) -> None:
    plan = planned("recipe=sft", "hardware=v100x8", f"paths.runs={tmp_path}")
    numbers = json.loads(json.dumps(plan.as_dict()))
    assert numbers["num_steps"] == 275_000
    assert numbers["trainable_parameters"] == 422_051_840
    assert numbers["memory_bytes"]["total"] == plan.memory.total
    assert numbers["duration"]["hours"] == plan.duration.hours
    assert numbers["disk_bytes"]["needed"] == plan.disk.needed


def test_tables_show_parts_that_add_up() -> None:
    plan = planned("recipe=sft", "hardware=v100x8")
    rows = dict(plan.memory_rows())
    total = rows.pop("all together")
    assert sum(float(size.split()[0]) for size in rows.values()) == pytest.approx(
        float(total.split()[0]), abs=0.04
    )
    assert total.endswith(" GB of 32.0 GB")
    short = dict(plan.short_rows())
    assert short["memory per device"] == total
    assert short["time in steps"].startswith("about ")


@pytest.mark.parametrize(
    ("step_s", "num_steps", "why"),
    [
        (0.5, 660, "the most that end within 5.5 min at 0.50 s a step"),
        (0.6, 310, "the most that end within 5.5 min at 0.60 s a step"),
        (2.0, 240, "the fewest, which take 8 min at 2.00 s a step; none end within 5.5 min"),
    ],
)
def test_the_length_follows_the_speed_of_rehearsed_steps(
    step_s: float, num_steps: int, why: str
) -> None:
    config = configured("recipe=quickstart/pretrain")
    plan = run_plan(config, None, rehearsal=Rehearsal({1: step_s, 2: 3 * step_s}))
    assert plan.steps.num_steps == num_steps
    assert plan.steps.warmup_steps == math.ceil(0.03 * num_steps)
    assert plan.duration.hours == pytest.approx(num_steps * step_s / 3600)
    shown = dict(plan.short_rows())
    assert shown["steps"] == f"{num_steps} of 240, 310, 660: {why}"
    assert shown["threads"].startswith(f"1: {step_s:.2f} s a step with 1, ")
    numbers = json.loads(json.dumps(plan.as_dict()))
    assert numbers["length"]["why"] == why
    assert numbers["rehearsal"]["num_threads"] == 1


def test_hours_end_with_the_schedule_and_cost_money() -> None:
    words = ["recipe=sft", "hardware=v100x8", "training.max_hours=8", "hardware.price_per_hour=2.5"]
    plan = planned(*words, "training.num_epochs=null")
    step_s = plan.duration.step_s
    assert step_s is not None
    assert plan.steps.num_steps == int(0.98 * 8 * 3600 / step_s)
    assert plan.steps.warmup_steps == math.ceil(0.05 * plan.steps.num_steps)
    steps = dict(plan.short_rows())["steps"]
    assert steps.startswith(f"{plan.steps.num_steps:,}: about the most that end within 8 h")
    assert steps.endswith("the run measures steps in its first minutes, and then fixes the number")
    price = plan.price()
    assert price == pytest.approx(0.98 * 8 * 8 * 2.5, rel=1e-3)  # 8 devices
    shown = f"about {price:,.2f} (2.5 an hour, 8 devices), of the time in steps"
    assert dict(plan.time_rows())["price"] == dict(plan.short_rows())["price"] == shown
    assert json.loads(json.dumps(plan.as_dict()))["price"] == price
    assert planned(*words).steps.num_steps == plan.steps.num_steps  # epochs allow more
    assert planned(*words, "training.max_steps=100").steps.num_steps == 100


def test_without_a_price_none_is_shown() -> None:
    plan = planned("recipe=sft", "hardware=v100x8")
    assert plan.price() is None
    assert "price" not in dict(plan.time_rows()) | dict(plan.short_rows())


def test_a_set_number_of_steps_goes_before_the_choices() -> None:
    config = configured("recipe=quickstart/pretrain", "training.max_steps=500")
    plan = run_plan(config, None, rehearsal=Rehearsal({1: 9.0}))
    assert (plan.steps.num_steps, plan.length) == (500, None)


def test_without_any_speed_the_most_steps_are_planned() -> None:
    words = ["recipe=quickstart/pretrain", "hardware=gpu1", "hardware.supports_bf16=true"]
    plan = planned(*words)
    assert plan.steps.num_steps == 660
    assert plan.length is not None
    assert plan.length.why == "the most: the speed is not known"


def test_experts_and_dropouts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """What a configuration drops in training stands in the plan, beside the dropout of LoRA."""
    words = ["recipe=sft", "model=qwen3_30b_a3b", "adapter.targets=[attention]", "stage=plan"]
    more = ["hardware=h200x8", "model.config.attention_dropout=0.05", "adapter.dropout=0.1"]
    with suppress(ConfigError):  # it need not fit
        runner.run(*composing.load([*words, *more]))
    text = capsys.readouterr().out
    assert "30,532,122,624 parameters, 3,353,032,704 of them active" in text
    assert "attention_dropout 0.05, LoRA 0.1" in text


def test_muons_products_count_in_the_time() -> None:
    words = ["recipe=quickstart/pretrain", "hardware.peak_tflops=0.1", "hardware.precision=fp32"]
    muon = planned(*words, "training.max_steps=660").duration
    # an iteration on 256 x 256 takes 4 * 256**3 + 2 * 256**3, on 256 x 704 4 * 256**2 * 704 + ...
    square, wide = 6 * 256**3, 4 * 256**2 * 704 + 2 * 256**3
    assert muon.flops_per_update == 5 * 4 * (4 * square + 3 * wide)
    assert muon.expected_mfu == 0.6
    adamw = planned(*words, "training.max_steps=660", "optimizer=adamw").duration
    assert adamw.flops_per_update == 0
    assert muon.hours is not None
    assert adamw.hours is not None
    expected = 660 * muon.flops_per_update / (0.6 * 0.1e12) / 3600
    assert muon.hours - adamw.hours == pytest.approx(expected)


def test_a_cpu_measures_its_rate_and_one_without_figures_has_no_time() -> None:
    words = ["recipe=quickstart/pretrain", "hardware=cpu", "training.max_steps=10"]
    assert planned(*words).duration.hours is not None
    unknown = planned("recipe=sft", "hardware=gpu1", "strategy=single")
    assert dict(unknown.time_rows())["time"].startswith("unknown: hardware.peak_tflops")
