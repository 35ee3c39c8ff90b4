"""Texts from a model after prompts of tokens: seeded, each with a random stream of its own.

Prompts are tokens, as the encoder of the training data makes them (`Encoder.prompt`), so a model
gets prompts in the form that it was trained on. The loop is in `inference.decoding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from musicllm.console import Advance
from musicllm.data.encoder import Encoder
from musicllm.inference.decoding.loop import Prompt, Writer
from musicllm.inference.requests import Completion, SamplingSettings

if TYPE_CHECKING:
    from peft import PeftModel


def sample(
    model: PreTrainedModel | PeftModel,
    encoder: Encoder,
    prompts: Sequence[Sequence[int]],
    settings: SamplingSettings,
    *,
    seed: int,
    batch_size: int,
    progress: Advance | None = None,
) -> list[Completion]:
    """Continue every prompt; the n-th draws with the seed + n.

    The result depends on the arguments alone, not on earlier random numbers, and a prompt's own
    result only on its tokens, its seed and the settings (`decoding.loop` says how exactly).

    Args:
        model: any causal language model, with or without an adapter.
        encoder: of the prompts; its `end_ids` end an answer.
        prompts: tokens, such as of `encoder.prompt(messages)`.
        settings: of the sampling.
        seed: of the first prompt.
        batch_size: prompts continued together; memory grows with it.
        progress: called with 1 after each prompt.

    Returns:
        One completion for every prompt, in their order.

    Raises:
        InputError: a prompt has no tokens, or no room for the answer.
        StageError: memory does not suffice for one prompt, or the model's scores are not numbers.
    """
    own = [Prompt(ids, settings, seed + number) for number, ids in enumerate(prompts)]
    completions: dict[int, Completion] = {}
    for number, completion in Writer(model, encoder, batch_size).write(own):
        completions[number] = completion
        if progress is not None:
            progress(1)
    return [completions[number] for number in range(len(prompts))]
