"""Text from a model: batched, seeded, stopped at its end token.

Prompts are whole texts, so nothing is added to them here; `render_chat` makes one from messages.
What the text means (a tune, an answer) is for the caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from musicllm.console import Advance
from musicllm.errors import InputError
from musicllm.model.base import seeded

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is chosen.

    Attributes:
        temperature: divides the logits; 0 takes the most likely token.
        top_k: only the k most likely tokens; 0 is off.
        top_p: only the most likely tokens that together reach this probability; 1 is off.
        repetition_penalty: divides the scores of tokens seen before (arXiv 1909.05858); 1 is off.
        max_new_tokens: an answer stops here at the latest.
    """

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    max_new_tokens: int


@dataclass(frozen=True)
class Completion:
    """What a model wrote after a prompt.

    Attributes:
        text: without the prompt and without special tokens.
        num_new_tokens: without the end token.
        finished: the end token came before `max_new_tokens`.
    """

    text: str
    num_new_tokens: int
    finished: bool


def render_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]]) -> str:
    """Return a conversation as a prompt that ends where the assistant begins.

    Raises:
        InputError: the tokenizer has no chat template.
    """
    if tokenizer.chat_template is None:
        raise InputError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template, so this model "
            f"continues texts but does not chat"
        )
    return str(
        tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    )


def sample(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    *,
    seed: int,
    batch_size: int,
    progress: Advance | None = None,
) -> list[Completion]:
    """Continue every prompt.

    The result depends on the arguments alone, not on what was drawn before; a prompt's own result
    does depend on which prompts it shares a batch with. Prompts of like length share one. Time
    grows with `max_new_tokens` per batch, each step with the tokens so far (key-value cache).

    Args:
        model: any causal language model, with or without an adapter.
        tokenizer: adds no special tokens; `eos_token` ends a text.
        prompts: whole texts.
        settings: how tokens are chosen.
        seed: of the choices.
        batch_size: prompts continued together; memory grows with it.
        progress: called with the number of prompts done after each batch.

    Returns:
        One completion for every prompt, in their order.

    Raises:
        InputError: a prompt has no tokens, or no room for the answer.
    """
    encoded = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    _check_room(encoded, model, settings)
    order = sorted(range(len(prompts)), key=lambda index: (len(encoded[index]), index))
    chosen = _generation_config(tokenizer, settings)
    completions: dict[int, Completion] = {}
    with _only_ours(model) as writer, seeded(seed, model.device):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            new = _generate(writer, [encoded[index] for index in batch], chosen)
            for index, ids in zip(batch, new, strict=True):
                completions[index] = _completion(tokenizer, ids)
            if progress is not None:
                progress(len(batch))
    return [completions[index] for index in range(len(prompts))]


@contextmanager
def _only_ours(model: PreTrainedModel | PeftModel) -> Iterator[PreTrainedModel]:
    """Yield the model that generates, in evaluation mode and without settings of its own.

    A model's `generation_config` would fill in what ours leaves open, such as `min_p`.
    """
    writer = model.get_base_model() if hasattr(model, "get_base_model") else model
    own, was_training = writer.generation_config, model.training
    writer.generation_config = GenerationConfig()
    model.eval()
    try:
        yield writer
    finally:
        writer.generation_config = own
        model.train(was_training)


def _generate(
    model: PreTrainedModel, prompts: list[list[int]], chosen: GenerationConfig
) -> list[list[int]]:
    """Return the new tokens of every prompt; shorter answers are padded with the end token."""
    longest = max(map(len, prompts))
    # A row is padded with its own first token: masked, and no news to the repetition penalty.
    rows = [[ids[0]] * (longest - len(ids)) + ids for ids in prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    written: Tensor = model.generate(
        input_ids=torch.tensor(rows, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        generation_config=chosen,
    )
    answers: list[list[int]] = written[:, longest:].tolist()
    return answers


def _completion(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> Completion:
    finished = tokenizer.eos_token_id in ids
    if finished:
        ids = ids[: ids.index(tokenizer.eos_token_id)]
    return Completion(tokenizer.decode(ids, skip_special_tokens=True), len(ids), finished)


def _generation_config(
    tokenizer: PreTrainedTokenizerBase, settings: SamplingSettings
) -> GenerationConfig:
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
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        use_cache=True,
    )


def _check_room(
    encoded: list[list[int]], model: PreTrainedModel, settings: SamplingSettings
) -> None:
    positions = model.config.max_position_embeddings
    for number, ids in enumerate(encoded, start=1):
        if not ids:
            raise InputError(f"prompt {number} is empty: there is nothing to continue")
        if len(ids) + settings.max_new_tokens > positions:
            raise InputError(
                f"prompt {number} has {len(ids)} tokens, and with "
                f"generation.max_new_tokens={settings.max_new_tokens} the text could pass the "
                f"model's {positions} positions; at most {max(0, positions - len(ids))} fit"
            )
