"""Whether a model has a row of its embeddings for every token of a corpus.

A token without a row would be an error in the first step that contains it, and a model without rows
for its tokenizer's tokens cannot be merged; so this is checked as soon as both are known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

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
            "use the tokenizer that the model was trained with, or add rows: "
            "training.resize_embeddings=true"
        )
        if config.adapter.kind == "lora":
            fix += ", with adapter.train_embeddings=true and adapter.train_output_head=true, or "
            fix += "for new tokens alone adapter.train_new_tokens=true"
    raise ConfigError([Problem("model.config.vocab_size", num_rows, rule, fix)])


def rows_of_new_tokens(config: Config, corpus: Mapping[str, Any] | None) -> range:
    """Return the rows that are trained alone as far as a plan can tell; none if that is not asked.

    Args:
        config: of a training.
        corpus: facts of the corpus; None before there is one.
    """
    if not config.adapter.train_new_tokens:
        return range(0)
    if corpus is not None:
        new = corpus.get("new_tokens") or {"first": 0, "number": 0}
        return range(new["first"], new["first"] + new["number"])
    first, number = config.model.vocab_size or 0, config.data.num_new_tokens or 0
    return range(first, first + number)


def refuse_untrained_rows(
    config: Config, pieces: Mapping[int, object], location: str, *, tied: bool
) -> None:
    """Refuse new tokens whose rows would not be trained, and training of new rows without any.

    Args:
        config: of a training.
        pieces: see `data.extension.replaced_pieces`, from the model's tokenizer to the corpus's.
        location: of the model.
        tied: whether its head shares the embedding matrix.

    Raises:
        ConfigError: an adapter would lack the rows, or there are none.
    """
    spec = config.adapter
    ends = (spec.train_embeddings, spec.train_output_head)
    if spec.train_new_tokens and not pieces:
        rule = f"trains rows of new tokens, and {location} has all tokens of the corpus"
        fix = "write false, or prepare the corpus with data.tokenizer=extend"
        raise ConfigError([Problem("adapter.train_new_tokens", "true", rule, fix)])
    is_trained = spec.train_new_tokens or (any(ends) if tied else all(ends))
    if spec.kind == "lora" and pieces and not is_trained:
        rule = (
            f"leaves out the rows of {len(pieces)} tokens of the corpus that {location} lacks, and "
            "an adapter would not hold them"
        )
        fix = "write true, or train embeddings and head whole"
        raise ConfigError([Problem("adapter.train_new_tokens", "false", rule, fix)])


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
