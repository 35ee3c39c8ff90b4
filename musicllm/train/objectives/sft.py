"""The next-token loss of supervised tokens: continual pre-training and supervised fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicllm.train.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from musicllm.data.batches import MicroBatch


class SupervisedTokens(Objective):
    """Negative log-likelihood of the supervised tokens, in nats."""

    name = "sft"

    def loss(self, model: nn.Module, batch: MicroBatch) -> Tensor:
        """See `Objective`."""
        from musicllm.model.adapters import causal_model
        from musicllm.model.head import head_of
        from musicllm.train import loss
        from musicllm.train.forward import hidden_states

        causal = causal_model(model)
        return loss.sum_nll(
            hidden_states(model, batch),
            head_of(causal),
            batch["labels"],
            batch["position_ids"],
            vocab_size=causal.config.vocab_size,
        )


SFT = OBJECTIVES.register(SupervisedTokens())
