"""Log-likelihoods of tokens under a causal language model: the one place where models run to score.

Rows are padded on the right, which causal attention never sees, so a score does not depend on what
shares its batch beyond rounding. Logits are computed only for queried positions, a piece at a
time, and their log-softmax is float32 whatever the weights are.

Axes: B rows, T tokens, S queried positions, V vocabulary, D hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache, PreTrainedModel

from musicllm import console
from musicllm.errors import StageError
from musicllm.inference.scorer.prefix import shared
from musicllm.inference.scorer.products import fast_products
from musicllm.model.anatomy import decoder_of
from musicllm.model.head import head_of

MAX_LOGITS = 1 << 24
"""Logits that exist at a time: 64 MiB in float32."""

TOLERANCE, HALF_TOLERANCE = 1e-3, 0.05
"""Share of the largest logit by which two ways to compute them may differ: in float32, and less."""

PROBE_TOKENS = 12

TokenQuery = tuple[int, int, int]
"""Row, position in it, and the token whose likelihood behind that position is queried."""


class Reader:
    """A model that computes likelihoods.

    Three short passes test once whether its logits are those of its head on its last hidden states,
    and whether a prefix may be shared. Where they are not, all logits are computed, or nothing is
    shared, with a note.

    Args:
        model: any causal language model of transformers, with or without PEFT's adapters.

    Raises:
        StageError: its logits are not numbers; likewise in `prefix` and `read`.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        whole: Any = model
        base: Any = whole.get_base_model() if hasattr(whole, "get_base_model") else whole
        self._base: PreTrainedModel = base
        has_decoder = hasattr(base, "get_decoder") and base.get_decoder() is not None
        self._decoder: Any = decoder_of(base) if has_decoder else None
        self._head = head_of(base)
        self.vocab_size: int = base.config.get_text_config().vocab_size
        self.device: torch.device = base.device
        self._splits = self._decoder is not None and self._head.module is not None
        with self.reading():
            self._try_out()

    @property
    def context(self) -> int | None:
        """Most tokens that the model was made for; None where it does not say."""
        length: int | None = getattr(
            self._base.config.get_text_config(), "max_position_embeddings", None
        )
        return length

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Put the model into evaluation mode, and every module back afterwards; no gradients."""
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            with torch.no_grad(), fast_products(self.model):
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode

    def prefix(
        self, ids: Sequence[int], queries: Sequence[TokenQuery]
    ) -> tuple[Cache, Tensor, Tensor]:
        """Feed what many rows begin with.

        Args:
            ids: the common tokens.
            queries: in row 0.

        Returns:
            The cache for the rows; log-likelihoods in nats and whether each was the model's first
            choice, float32 and bool [len(queries)] on the CPU.
        """
        cache = DynamicCache()  # grows in layers with a sliding window, too
        scores = self.read([ids], queries, cache)
        return shared(cache), *scores

    def read(
        self,
        rows: Sequence[Sequence[int]],
        queries: Sequence[TokenQuery],
        cache: Cache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Feed rows behind a prefix, or behind nothing.

        Returns:
            As `prefix`, without the cache.
        """
        longest = max(map(len, rows))
        padded = [[*row, *[0] * (longest - len(row))] for row in rows]
        inputs = torch.tensor(padded, device=self.device)
        logits = self._logits(inputs, cache, queries)
        return self._looked_up(logits, queries)

    def _logits(
        self, inputs: Tensor, cache: Cache | None, queries: Sequence[TokenQuery]
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield float32 logits [<=S, V] of the positions in order, with where each piece begins."""
        places = torch.tensor(_places(queries), device=self.device).reshape(-1, 2)
        keywords = {"past_key_values": cache, "use_cache": cache is not None}
        if self._splits:
            states = self._decoder(input_ids=inputs, **keywords).last_hidden_state
        else:
            states = self._base(input_ids=inputs, **keywords).logits
        step = max(1, MAX_LOGITS // self.vocab_size)
        for begin in range(0, len(places), step):
            rows, positions = places[begin : begin + step].unbind(1)
            hidden = states[rows, positions]
            yield begin, self._head(hidden) if self._splits else hidden.float()

    def _looked_up(
        self, pieces: Iterator[tuple[int, Tensor]], queries: Sequence[TokenQuery]
    ) -> tuple[Tensor, Tensor]:
        numbers = {place: number for number, place in enumerate(_places(queries))}
        steps = [(numbers[row, position], token) for row, position, token in queries]
        places, tokens = torch.tensor(steps).reshape(-1, 2).unbind(1)
        logprobs, is_first = torch.empty(len(steps)), torch.empty(len(steps), dtype=torch.bool)
        for begin, logits in pieces:
            here = ((places >= begin) & (places < begin + len(logits))).nonzero()[:, 0]
            at = (places[here] - begin).to(logits.device)
            token_ids = tokens[here].to(logits.device)
            values = logits[at, token_ids] - logits.logsumexp(-1)[at]
            logprobs[here] = values.cpu()
            is_first[here] = (logits.argmax(-1)[at] == token_ids).cpu()
        _refuse_other_than_numbers(logprobs)
        return logprobs, is_first

    def _try_out(self) -> None:
        """Test what the model allows; see the class."""
        step = max(1, self.vocab_size // PROBE_TOKENS)
        ids = [number * step % self.vocab_size for number in range(PROBE_TOKENS)]
        whole = self._base(input_ids=torch.tensor([ids], device=self.device), use_cache=False)
        expected = whole.logits[0].float()
        del whole
        _refuse_other_than_numbers(expected.logsumexp(-1))
        half = PROBE_TOKENS // 2
        queries = [(0, position, 0) for position in range(half)]
        self._splits = self._splits and self._agree([ids], [(0, p, 0) for p in range(len(ids))],
                                                    None, expected)  # fmt: skip
        if not self._splits:
            console.note("the model's logits are more than its head's; all of them are made")
        try:
            cache, _, _ = self.prefix(ids[:half], queries)
            self.shares = self._agree([ids[half:]] * 2, queries, cache, expected[half:])
        except (TypeError, ValueError, AttributeError, LookupError, NotImplementedError):
            self.shares = False  # layers with a state, say, which no cache of keys and values has
        if not self.shares:
            console.note("the model's prompts cannot share their beginnings; each is fed whole")

    def _agree(
        self,
        rows: list[list[int]],
        queries: list[TokenQuery],
        cache: Cache | None,
        expected: Tensor,
    ) -> bool:
        inputs = torch.tensor(rows, device=self.device)
        logits = torch.cat([piece for _, piece in self._logits(inputs, cache, queries)])
        scale = float(expected.abs().max())
        autocast = torch.is_autocast_enabled(self.device.type)
        exact = self._base.dtype == torch.float32 and not autocast
        rounding = TOLERANCE if exact else HALF_TOLERANCE
        return logits.shape == expected.shape and bool(
            (logits - expected).abs().max() <= rounding * max(scale, 1.0)
        )


def _refuse_other_than_numbers(logprobs: Tensor) -> None:
    """Refuse NaN and infinities, which have no mean and no JSON."""
    if not bool(logprobs.isfinite().all()):
        raise StageError(
            "the model gives likelihoods that are not numbers; its weights or their dtype are to "
            "blame: load it in bfloat16 or float32 (hardware.precision=bf16 or fp32)"
        )


def _places(queries: Sequence[TokenQuery]) -> list[tuple[int, int]]:
    """Return every queried row and position once, in the order of first use."""
    return list(dict.fromkeys((row, position) for row, position, _ in queries))
