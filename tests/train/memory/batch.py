"""One micro-batch through a small model, as training does it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import torch
from torch import Tensor

from musicllm.model import adapters, base
from musicllm.model.anatomy import decoder_of
from musicllm.model.attention import packed
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.train.loss import sum_nll
from tests.models import TINY

SMALL = TINY.changed(
    vocab_size=1024,
    hidden_size=128,
    intermediate_size=352,
    num_hidden_layers=4,
    max_position_embeddings=512,
    initializer_range=0.02,
)
"""1.0 M parameters: large enough that a formula's small terms are small."""

LLAMA_30M = SMALL.changed(
    vocab_size=8192, hidden_size=448, intermediate_size=1216, num_hidden_layers=10
)
"""30 M parameters."""

FULL = AdapterSpec("full", None, None, None, (), False, False, False, None, None, None, range(0))
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LORA = AdapterSpec(
    "lora", 8, 16.0, 0.1, ALL_LINEAR, False, False, False, None, "lora", "zero", range(0)
)
ADAPTERS = {
    "full": FULL,
    "lora": LORA,
    "lora_without_dropout": dataclasses.replace(LORA, dropout=0.0),
    "lora_on_some": dataclasses.replace(LORA, targets=("v_proj", "down_proj")),
    "lora_and_ends": dataclasses.replace(LORA, train_embeddings=True, train_output_head=True),
}


class MicroBatch:
    """A model and a packed row of random tokens in four documents."""

    def __init__(
        self,
        spec: ModelSpec,
        adapter: AdapterSpec,
        *,
        compute_dtype: str,
        num_tokens: int,
        checkpointing: bool,
    ) -> None:
        model = base.build(spec, seed=0)
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        self.model: Any = adapters.attach(model, adapter, seed=0).train()
        self._type = None if compute_dtype == "float32" else getattr(torch, compute_dtype)
        length = num_tokens // 4
        generator = torch.Generator().manual_seed(0)
        self._ids = torch.randint(
            0, spec.config["vocab_size"], (1, num_tokens), generator=generator
        )
        self._positions = torch.arange(length).repeat(4)[None]
        self._starts = torch.arange(0, num_tokens + 1, length, dtype=torch.int32)

    def hidden(self) -> Tensor:
        """Return the decoder's last hidden states."""
        hidden: Tensor = decoder_of(self._causal())(
            input_ids=self._ids,
            position_ids=self._positions,
            use_cache=False,
            **packed(self._starts),
        ).last_hidden_state
        return hidden

    def run(self) -> None:
        """Go forward and backward."""
        with self.autocast():
            head = self._causal().get_output_embeddings()
            vocab_size = self._causal().config.vocab_size
            loss = sum_nll(self.hidden(), head, self._ids, self._positions, vocab_size=vocab_size)
        loss.backward()  # type: ignore[no-untyped-call]

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        return torch.autocast("cpu", dtype=self._type, enabled=self._type is not None)

    def _causal(self) -> Any:
        return getattr(self.model, "get_base_model", lambda: self.model)()
