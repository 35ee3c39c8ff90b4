"""The load-balancing loss of a mixture of experts, where its configuration asks for it.

`output_router_logits` and `router_aux_loss_coef` are keys of config.json; most models publish them
switched off. The loss is the class's own function (Switch Transformer, arXiv 2101.03961, equations
4 to 6): per expert, the share of tokens that it gets times its mean probability, over all layers.
It is no sum over tokens, so it is computed of each row by itself, as by the class for one row, and
averaged over the rows of a step: how a step is split changes nothing.

Axes: N tokens of a micro-batch, E experts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from musicllm.errors import NotAvailableError
from musicllm.model.anatomy import decoder_of

ATTRIBUTE = "router_loss"
"""Of a causal model: its `RouterLoss`, if it is to be trained with one."""

Balance = Callable[[tuple[Tensor, ...], int, int], Tensor]
"""From the router logits of every layer [N, E], E, and the experts of a token to the loss."""


@dataclass(frozen=True)
class RouterLoss:
    """How the routers of a model are balanced.

    Attributes:
        coefficient: by which the loss is multiplied.
        num_experts: E.
        top_k: experts of a token.
        balance: the class's own function.
    """

    coefficient: float
    num_experts: int
    top_k: int
    balance: Balance

    def sum_over_rows(self, logits: Sequence[Tensor], row_lengths: Sequence[int]) -> Tensor:
        """Return the sum of the rows' losses, times the coefficient.

        Args:
            logits: of the router of every layer, [at least N, E].
            row_lengths: tokens of the rows that make up a micro-batch; none of an idle rank's.
        """
        total = 0.0 * logits[0].float().sum()
        start = 0
        for length in row_lengths:
            row = tuple(layer[start : start + length] for layer in logits)
            total = total + self.balance(row, self.num_experts, self.top_k)
            start += length
        return self.coefficient * total


def follow(model: PreTrainedModel, config: PreTrainedConfig) -> None:
    """Let a model be trained with the router loss that a configuration asks for, if it does.

    Args:
        model: a causal language model.
        config: of the option, whose router keys count.

    Raises:
        NotAvailableError: the model has no router loss.
    """
    if not getattr(config, "output_router_logits", False):
        return
    kind = type(model)
    balance = getattr(sys.modules[kind.__module__], "load_balancing_loss_func", None)
    num_experts = getattr(model, "num_experts", None)
    top_k = getattr(model, "num_experts_per_tok", None)
    coefficient = getattr(config, "router_aux_loss_coef", None)
    if balance is None or coefficient is None or num_experts is None or top_k is None:
        raise NotAvailableError(
            f"model.config.output_router_logits=true, but {kind.__name__} has no router loss in "
            f"transformers; write false"
        )
    setattr(model, ATTRIBUTE, RouterLoss(float(coefficient), num_experts, top_k, balance))


def router_loss_of(model: nn.Module) -> RouterLoss | None:
    """Return the router loss of a causal model; None if it is trained without."""
    loss: RouterLoss | None = getattr(model, ATTRIBUTE, None)
    return loss


@contextmanager
def recording(model: Any) -> Iterator[list[Tensor]]:
    """Record the router logits of the decoder inside the block.

    Args:
        model: a causal model with a router loss.

    Yields:
        A list that is filled at the end of the block with the logits of every layer, [N, E], of
        all passes of the decoder one after the other.
    """
    passes: list[tuple[Tensor, ...]] = []
    decoder, config = decoder_of(model), model.config
    hook = decoder.register_forward_hook(
        lambda _module, _inputs, output: passes.append(output.router_logits)
    )
    before, config.output_router_logits = config.output_router_logits, True
    layers: list[Tensor] = []
    try:
        yield layers
    finally:
        hook.remove()
        config.output_router_logits = before
    in_layers = zip(*passes, strict=True)
    layers += [torch.cat([_flat(part) for part in of_layer]) for of_layer in in_layers]
    assert layers, f"{type(model).__name__} recorded no router logits"


def _flat(logits: Tensor) -> Tensor:
    return logits.reshape(-1, logits.shape[-1])
