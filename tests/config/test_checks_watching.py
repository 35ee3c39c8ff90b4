from __future__ import annotations

import pytest

from musicllm.checks import check
from musicllm.config import load
from musicllm.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["callbacks.on_bad_loss=skip", "strategy=zero2", "hardware=gpu1"],
            "callbacks.on_bad_loss=skip is not possible with strategy=zero2: DeepSpeed updates by "
            "itself; write roll_back or stop",
        ),
        (["callbacks.on_bad_loss=ignore"], "callbacks.on_bad_loss=ignore must be one of stop, "),
        (["callbacks.loss_spike_factor=0.5"], "callbacks.loss_spike_factor=0.5 must be from 1 to"),
        (
            ["callbacks.num_samples=1", "callbacks.sample_prompts=[a,b]"],
            "callbacks.num_samples=1 is less than the 2 callbacks.sample_prompts; write 2",
        ),
        (
            ["logger=csv", "logger.csv.log_artifact=true"],
            "logger.csv.log_artifact=True has no effect: a logger of kind csv takes no artifacts; "
            "write false",
        ),
        (
            ["logger=wandb", "logger.wandb.mode=ofline"],
            "logger.wandb.mode=ofline must be one of online, offline, disabled, auto, null; did "
            "you mean offline? WANDB_MODE sets it, too",
        ),
    ],
)
def test_what_cannot_be_watched_so_is_refused(words: list[str], said: str) -> None:
    config, _ = load(["recipe=quickstart/pretrain", *words])
    with pytest.raises(ConfigError) as error:
        check(config)
    assert any(str(problem).startswith(said) for problem in error.value.problems), str(error.value)


def test_the_variables_of_wandb_hold_where_the_command_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["recipe=quickstart/pretrain", "logger=wandb"]
    for name in ("MODE", "PROJECT", "ENTITY"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    logger = load(words)[0].logger["wandb"]
    assert (logger.mode, logger.project, logger.entity) == ("auto", "musicllm", None)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "tunes")
    monkeypatch.setenv("WANDB_ENTITY", "us")
    logger = load(words)[0].logger["wandb"]
    assert (logger.mode, logger.project, logger.entity) == ("offline", "tunes", "us")
    logger = load([*words, "logger.wandb.mode=online"])[0].logger["wandb"]
    assert (logger.mode, logger.project) == ("online", "tunes")
