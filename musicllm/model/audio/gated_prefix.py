"""MU-LLaMA's bridge: one vector for a clip, gated into the attention of the top layers.

Source: arXiv 2308.11276 and the published code. The hidden states of the encoder, averaged over
time, are mixed with one weight each (a convolution of kernel 1), normalised to length 1, projected
to the width of the decoder, and refined by residual blocks of RMSNorm and SwiGLU. A layer adds its
own query to this vector and takes the value projection of the sum, without LoRA. In the attention
of every token the head h gets tanh(gate of h) times its part of these values. Gates are zero at
first, so the model begins as its base.

Attention over a prefix of one vector has weight 1 whatever the query. So the prefix is a term added
in front of the output projection, which works with every attention kernel, packed documents and
caches of keys and values.

Axes: B rows, T tokens, C clips of a batch, W width, H heads, P prefixed layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from musicllm.errors import ConfigError, Problem
from musicllm.model.anatomy import decoder_of
from musicllm.model.audio.bridge import NONE, Bridge, attention_modules
from musicllm.model.audio.facts import DecoderShape

NORM_EPS = 1e-6
"""Of RMSNorm in the blocks, as published; the decoder has its own."""

EXPANSION = 4
"""Inner width of a block over its width, as published."""


class Block(nn.Module):
    """x + down(silu(gate(n)) * up(n)) with n = RMSNorm(x); no biases."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.gate = nn.Linear(width, EXPANSION * width, bias=False)
        self.up = nn.Linear(width, EXPANSION * width, bias=False)
        self.down = nn.Linear(EXPANSION * width, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return [C, W]."""
        normed = self.norm(hidden.float())  # also under autocast
        refined: Tensor = self.down(functional.silu(self.gate(normed)) * self.up(normed))
        return hidden + refined


class GatedPrefix(Bridge):
    """See the module.

    Attributes:
        mixture: weights of the encoder's hidden states.
        projection: to the width of the decoder.
        blocks: of the refinement.
        queries: float32 [P, W], one for each prefixed layer.
        gates: float32 [P, H]; zero at first.
    """

    def __init__(
        self,
        shape: DecoderShape,
        feature_shape: tuple[int, int],
        *,
        num_layers: int = 20,
        num_blocks: int = 3,
    ) -> None:
        """Build it with random weights.

        Args:
            shape: of the decoder.
            feature_shape: hidden states of the encoder, and their width.
            num_layers: prefixed layers, the top ones.
            num_blocks: of the refinement.

        Raises:
            ConfigError: the decoder has fewer layers.
        """
        super().__init__()
        if not 1 <= num_layers <= shape.num_layers:
            raise ConfigError(
                [
                    Problem(
                        "audio.options",
                        f"{{num_layers: {num_layers}}}",
                        f"is not between 1 and the {shape.num_layers} layers of the decoder",
                        f"write num_layers: {shape.num_layers} or less",
                    )
                ]
            )
        states, width = feature_shape
        self.feature_shape = feature_shape
        self.shape = shape
        self.mixture = nn.Conv1d(states, 1, kernel_size=1)
        self.projection = nn.Linear(width, shape.width)
        self.blocks = nn.ModuleList([Block(shape.width) for _ in range(num_blocks)])
        self.queries = nn.Parameter(torch.randn(num_layers, shape.width))
        self.gates = nn.Parameter(torch.zeros(num_layers, shape.num_heads))
        self._vectors: Tensor | None = None
        self._clip_of_token: Tensor | None = None
        self._input_ids: Tensor | None = None
        self._is_everywhere = False
        self._decoder: nn.Module | None = None
        self._handles: list[tuple[nn.Module, RemovableHandle]] = []

    def vectors(self, audio: Tensor) -> Tensor:
        """Return the vectors of clips, [C, W].

        Args:
            audio: float [C, states, width], means over time of the encoder's hidden states.
        """
        mixed = functional.normalize(self.mixture(audio.to(self.queries.dtype))[:, 0], dim=-1)
        hidden: Tensor = self.projection(mixed)
        for block in self.blocks:
            hidden = block(hidden)
        return hidden

    def inputs(
        self,
        causal: Any,
        input_ids: Tensor,
        audio: Tensor,
        clip_of_token: Tensor,
        place_of_token: Tensor,
    ) -> dict[str, Tensor]:
        """See `Bridge`. Cost: of C clips, and P value projections of them; no tokens are added."""
        assert not (place_of_token != NONE).any(), "a gated prefix fills no places"
        self._hook(causal)
        self._vectors = self.vectors(audio) if len(audio) else None
        self._clip_of_token, self._input_ids = clip_of_token, input_ids
        return {"input_ids": input_ids}

    @contextmanager
    def listening(self, causal: Any, features: Tensor, first_place: int) -> Iterator[None]:
        """See `Bridge`."""
        del first_place
        self._hook(causal)
        self._vectors = self.vectors(features[None].to(self.queries.device))
        self._clip_of_token, self._is_everywhere = None, True
        try:
            yield
        finally:
            self._vectors, self._is_everywhere = None, False

    def _hook(self, causal: Any) -> None:
        """Set the hooks on the output projections that are there: PEFT may have wrapped them.

        The decoder has one, too: it forgets the audio when tokens come that it was not prepared
        for, so that no text hears the clip of another.
        """
        decoder = decoder_of(causal)
        if self._decoder is not decoder:
            object.__setattr__(self, "_decoder", decoder)  # not a part of the bridge
            decoder.register_forward_pre_hook(self._begin, with_kwargs=True)
        modules = attention_modules(causal, len(self.gates))
        outputs = [module.o_proj for module in modules]
        if outputs == [output for output, _ in self._handles]:
            return
        for _, handle in self._handles:
            handle.remove()
        self._handles = [
            (output, output.register_forward_pre_hook(partial(self._add, number, module)))
            for number, (module, output) in enumerate(zip(modules, outputs, strict=True))
        ]

    def _begin(self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = inputs[0] if inputs else named.get("input_ids")
        if ids is not self._input_ids and not self._is_everywhere:
            self._vectors = self._input_ids = None

    def _add(self, number: int, attention: Any, _: nn.Module, inputs: tuple[Tensor]) -> Any:
        """Return what a layer's output projection gets, [B, T, H * head]."""
        if self._vectors is None:
            return inputs
        (attended,) = inputs
        value_of = getattr(attention.v_proj, "base_layer", attention.v_proj)  # without LoRA
        values = value_of((self._vectors + self.queries[number]).to(attended.dtype))
        values = values.view(len(values), self.shape.num_kv_heads, 1, self.shape.head_dim)
        groups = self.shape.num_heads // self.shape.num_kv_heads
        of_heads = values.expand(-1, -1, groups, -1).flatten(1, 2)  # [C, H, head]
        terms = (torch.tanh(self.gates[number])[:, None] * of_heads).flatten(1)
        clip = self._clip_of_token
        if clip is None:  # every token hears the one clip
            return (attended + terms.to(attended.dtype),)
        prefix = terms[clip.clamp(min=0)] * (clip != NONE)[..., None]
        return (attended + prefix.to(attended.dtype),)
