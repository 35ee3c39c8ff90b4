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
    ],
)
def test_what_cannot_be_watched_so_is_refused(words: list[str], said: str) -> None:
    config, _ = load(["recipe=quickstart/pretrain", *words])
    with pytest.raises(ConfigError) as error:
        check(config)
    assert any(str(problem).startswith(said) for problem in error.value.problems), str(error.value)
