"""Rows of embeddings and head for tokens that a base did not have: their start and their training.

A new row starts as the mean of the rows of the pieces that the token stands for (Gee et al., arXiv
2402.09977), in embeddings and head each from its own matrix. `adapters` can train the new rows
alone, with PEFT's trainable tokens (`TrainableTokensLayer`): parameters of their own, copied into
the frozen matrix in every forward pass, so no old row can change. `base.add_rows` makes room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from musicllm.errors import ConfigError, Problem

if TYPE_CHECKING:
    from peft import PeftConfig

KEY = "adapter.train_new_tokens"


@torch.no_grad()
def start(model: PreTrainedModel, pieces: Mapping[int, Sequence[int]]) -> None:
    """Set the rows of new tokens to the means of the rows of their pieces.

    Args:
        model: with a row for every token; modified in place.
        pieces: id of a new token -> ids of old ones.
    """
    for end in (model.get_input_embeddings(), model.get_output_embeddings()):
        for rows in (end.weight, getattr(end, "bias", None)):
            if rows is not None:
                means = [rows[list(some)].float().mean(0) for some in pieces.values()]
                rows[list(pieces)] = torch.stack(means).to(rows.dtype)


def refuse_misfits(model: PreTrainedModel, rows: range) -> None:
    """Refuse to train new rows of a model for which PEFT would not compute what the model does.

    Raises:
        ConfigError: the head has a bias.
    """
    assert rows.stop <= model.get_input_embeddings().num_embeddings, "rows are missing"
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        rule = f"trains rows of a head without bias, and that of {type(model).__name__} has one"
        fix = "train both matrices whole: adapter.train_embeddings=true "
        raise ConfigError([Problem(KEY, "true", rule, fix + "adapter.train_output_head=true")])


def num_rows_in(settings: PeftConfig) -> int:
    """Return the rows that the base of an adapter needs for its new tokens; 0 without any."""
    of_layer = getattr(settings, "trainable_token_indices", None)
    if not of_layer:
        return 0
    of_layer = of_layer if isinstance(of_layer, dict) else {"": of_layer}
    return 1 + int(max(max(some) for some in of_layer.values()))


def put_into_base(adapted: nn.Module) -> None:
    """Put trained new rows into the matrices of the base, for inference, and unwrap these."""
    from peft.utils.other import TrainableTokensWrapper

    wrapped = [
        (name, part)
        for name, part in adapted.named_modules()
        if isinstance(part, TrainableTokensWrapper)
    ]
    for name, part in wrapped:
        plain = part.unload_and_optionally_merge_module(
            merge=True, safe_merge=False, adapter_names=None
        )
        adapted.set_submodule(name, plain)


class HeadWithRows(NamedTuple):
    """A linear head of which only some rows are trained.

    Attributes:
        weight: [V, D], with the trained rows in it; it has no gradient.
        trained: [R, D], the trained rows.
        indices: int64 [R], where they stand in `weight`.
    """

    weight: Tensor
    trained: Tensor
    indices: Tensor


def head_with_rows(head: object) -> HeadWithRows | None:
    """Return a head of which only new rows are trained; None for any other."""
    layer: Any = getattr(head, "token_adapter", None)
    if layer is None or type(layer.get_base_layer()) is not nn.Linear:
        return None
    (name,) = layer.active_adapters
    trained = layer.trainable_tokens_delta[name]
    with torch.no_grad():
        weight: Tensor = layer.get_merged_weights([name])
    return HeadWithRows(weight, trained, torch.tensor(layer.token_indices[name]).to(weight.device))
