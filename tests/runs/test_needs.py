"""What stages need is asked together, and named with the command that installs it."""

from __future__ import annotations

import pytest

from musicllm import cli, config
from musicllm.errors import NotAvailableError
from musicllm.runs import needs
from musicllm.stages import pipeline

EXTRAS = {
    "recipe=bench/prepare": "bench.name=prepare needs sentencepiece",
    "recipe=bench/eval model.location=null": "bench.name=eval needs sentencepiece",
    "recipe=quickstart/prepare engine=ray": "engine.name=ray needs ray",
    "recipe=sft adapter=qlora_r64 hardware=gpu1": "adapter.quantization=nf4 needs bitsandbytes",
    "recipe=merge merge.quantized_base=dequantize": "merge.quantized_base=dequantize needs bits",
    "recipe=quickstart/sft logger=[tensorboard]": "logger=tensorboard needs tensorboard",
    "recipe=quickstart/sft logger=[wandb]": "logger=wandb needs wandb",
    "recipe=quickstart/sft logger=[mlflow]": "logger=mlflow needs alembic",
    "recipe=quickstart/evaluate logger=[trackio]": "logger=trackio needs trackio",
    "recipe=mmlu model=smollm2_135m": "needs gguf",
    "recipe=export export.format=awq +inputs.texts=prepare_sft": "export.format=awq needs auto_rou",
}


def load(words: str) -> config.Config:
    return config.load(words.split())[0]


@pytest.mark.parametrize(("words", "expected"), EXTRAS.items())
def test_each_is_named(monkeypatch: pytest.MonkeyPatch, words: str, expected: str) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda _: None)
    with pytest.raises(NotAvailableError) as error:
        needs.require(load(words))
    assert expected in str(error.value)
    assert "install it: pip install " in str(error.value)
    monkeypatch.setattr(needs, "find_spec", lambda name: name)
    needs.require(load(words))


def test_several_come_in_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda _: None)
    with pytest.raises(NotAvailableError) as error:
        needs.require(load("recipe=bench/prepare engine=ray"), load("recipe=bench/prepare"))
    assert str(error.value) == (
        "something is missing:\n"
        "  bench.name=prepare needs sentencepiece, which is not installed\n"
        "  engine.name=ray needs ray, which is not installed\n"
        "  install it: pip install 'musicllm[bench,ray]'"
    )


def test_stages_that_do_not_use_a_setting_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda _: None)
    needs.require(load("recipe=quickstart/sft engine=ray"))
    needs.require(load("recipe=quickstart/merge logger=[tensorboard] model=smollm2_135m"))


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/programs")
    monkeypatch.delenv("CXX", raising=False)
    words = "recipe=quickstart/sft training.compile=true"
    with pytest.raises(NotAvailableError) as error:
        needs.require(load(words))
    assert str(error.value) == (
        "something is missing:\n"
        "  training.compile=true needs a C++ compiler, and there is none\n"
        "  install it: apt install g++, or training.compile=false"
    )
    monkeypatch.setattr(needs.shutil, "which", lambda name: f"/usr/bin/{name}")
    needs.require(load(words))


def test_a_pipeline_asks_for_all_its_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda _: None)
    monkeypatch.setattr(pipeline, "_wait", lambda command: pytest.fail(f"{command} started"))
    words = ["steps=[quickstart/prepare,quickstart/pretrain]", "logger=[tensorboard]"]
    assert cli.main(["recipe=quickstart", f"paths.runs={tmp_path}", *words]) == 1
    assert "logger=tensorboard needs tensorboard" in capsys.readouterr().err
