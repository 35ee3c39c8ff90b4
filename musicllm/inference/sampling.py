"""Text from a model: batched, seeded, stopped at its end tokens.

Prompts are tokens, as the encoder of the training data makes them (`Encoder.prompt`), so a model
gets prompts in the form that it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from musicllm.console import Advance
from musicllm.data.encoder import Encoder
from musicllm.errors import InputError
from musicllm.inference.requests import Completion, SamplingSettings
from musicllm.model.adapters import causal_model
from musicllm.model.base import seeded

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
    """Continue every prompt.

    The result depends on the arguments alone, not on earlier random numbers; a prompt's own result
    does depend on which prompts it shares a batch with. Prompts of like length share one. Time
    grows with `max_new_tokens` per batch, each step with the tokens so far (key-value cache).

    Args:
        model: any causal language model, with or without an adapter.
        encoder: of the prompts; its `end_ids` end an answer.
        prompts: tokens, such as of `encoder.prompt(messages)`.
        settings: of the sampling.
        seed: of the sampling.
        batch_size: prompts continued together; memory grows with it.
        progress: called with the number of prompts done after each batch.

    Returns:
        One completion for every prompt, in their order.

    Raises:
        InputError: a prompt has no tokens, or no room for the answer.
    """
    _check_room(prompts, model, settings)
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    config = _generation_config(encoder.end_ids, settings)
    completions: dict[int, Completion] = {}
    with _only_ours(model) as writer, seeded(seed, model.device):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            new = _generate(writer, [prompts[index] for index in batch], config)
            for index, ids in zip(batch, new, strict=True):
                completions[index] = _completion(encoder, ids, len(prompts[index]))
            if progress is not None:
                progress(len(batch))
    return [completions[index] for index in range(len(prompts))]


@contextmanager
def _only_ours(model: PreTrainedModel | PeftModel) -> Iterator[PreTrainedModel]:
    """Yield the model that generates, in evaluation mode and without settings of its own.

    A model's `generation_config` would fill in what ours leaves open, such as `min_p`.
    """
    writer: PreTrainedModel = causal_model(model)
    own, was_training = writer.generation_config, model.training
    writer.generation_config = GenerationConfig()
    model.eval()
    try:
        yield writer
    finally:
        writer.generation_config = own
        model.train(was_training)


def _generate(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], config: GenerationConfig
) -> list[list[int]]:
    """Return the new tokens of every prompt; shorter answers are padded with an end token."""
    longest = max(map(len, prompts))
    # A row is padded with its own first token: masked, and no news to the repetition penalty.
    rows = [[*[ids[0]] * (longest - len(ids)), *ids] for ids in prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    sequences: Tensor = model.generate(
        input_ids=torch.tensor(rows, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        generation_config=config,
    )
    answers: list[list[int]] = sequences[:, longest:].tolist()
    return answers


def _completion(encoder: Encoder, ids: list[int], num_prompt_tokens: int) -> Completion:
    ends = [number for number, token in enumerate(ids) if token in encoder.end_ids]
    own = ids[: ends[0]] if ends else ids
    return Completion(encoder.decode(own), len(own), bool(ends), num_prompt_tokens)


def _generation_config(end_ids: list[int], settings: SamplingSettings) -> GenerationConfig:
    greedy = settings.temperature == 0
    choice = {
        "temperature": settings.temperature,
        "top_k": settings.top_k,
        "top_p": settings.top_p,
    }
    return GenerationConfig(
        **({} if greedy else choice),
        do_sample=not greedy,
        repetition_penalty=settings.repetition_penalty,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=end_ids,
        pad_token_id=end_ids[0],
        use_cache=True,
    )


def _check_room(
    prompts: Sequence[Sequence[int]], model: PreTrainedModel, settings: SamplingSettings
) -> None:
    positions = model.config.max_position_embeddings
    for number, ids in enumerate(prompts, start=1):
        if not ids:
            raise InputError(f"prompt {number} is empty: there is nothing to continue")
        if len(ids) + settings.max_new_tokens > positions:
            raise InputError(
                f"prompt {number} has {len(ids)} tokens, and with "
                f"generation.max_new_tokens={settings.max_new_tokens} the text could pass the "
                f"model's {positions} positions; at most {max(0, positions - len(ids))} fit"
            )
