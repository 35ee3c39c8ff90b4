"""Whether a model has a row of its embeddings for every token of a corpus.

A token without a row would be an error in the first step that contains it, and a model without rows
for its tokenizer's tokens cannot be merged; so this is checked as soon as both are known.
"""

from __future__ import annotations

import dataclasses

from musicllm.errors import ConfigError, Problem
from musicllm.runs.view import view_of, whole
from musicllm.schema import Config


def refuse_lacking_rows(config: Config, num_tokens: int, tokenizer: object) -> None:
    """Refuse more tokens than `model.config.vocab_size`, unless the training adds rows for them.

    Args:
        config: of the model, and whether rows are added.
        num_tokens: of the tokenizer, or one more than its highest id if that is more.
        tokenizer: its name, for people.

    Raises:
        ConfigError: rows are missing; the text says how to add them.
    """
    model = config.model
    starts_random = model.location is None and "model" not in config.inputs
    num_rows = model.vocab_size
    if (
        num_rows is None
        or num_tokens <= num_rows
        or (config.training.resize_embeddings and not starts_random)
    ):
        return
    rule = f"is less than the {num_tokens} tokens of {tokenizer}"
    fix = f"write {num_tokens}"
    if not starts_random:
        rule += ", and the model has no row for the others"
        fix = (
            "use the tokenizer that the model was trained with, or add rows, each the mean of the "
            "old ones: training.resize_embeddings=true"
        )
        if config.adapter.kind == "lora":
            fix += ", with adapter.train_embeddings=true and adapter.train_output_head=true"
    raise ConfigError([Problem("model.config.vocab_size", num_rows, rule, fix)])


def with_rows(config: Config, num_tokens: int) -> Config:
    """Return the configuration with the vocabulary size after rows were added."""
    num_rows = config.model.vocab_size
    if not config.training.resize_embeddings or num_rows is None or num_tokens <= num_rows:
        return config
    decoder = {**config.model.decoder, "vocab_size": num_tokens}
    nested = "text_config" in config.model.config
    changed = {**config.model.config, "text_config": decoder} if nested else decoder
    model = dataclasses.replace(config.model, config=changed)
    return view_of(dataclasses.replace(whole(config), model=model))
