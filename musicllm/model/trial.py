"""A small model of a class, run on documents in a row and on each document alone.

Says what differs, and in which layer first; `certificate` decides what follows from that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from musicllm.errors import NotAvailableError
from musicllm.model import attention, isolation, shrinking, tracing
from musicllm.model.base import seeded
from musicllm.model.isolation import Isolation

LENGTHS = (19, 1, 27, 5, 12)
"""Of the documents, in tokens: below and above the small window, and a single token."""

TOLERANCES = {torch.float32: (1e-3, 1e-2), torch.bfloat16: (5e-2, 0.3), torch.float16: (2e-2, 0.1)}
"""Dtype -> largest relative error of the hidden states of a document, and of a gradient; half
precision is that of autocast."""


class Trial:
    """A small model of a class with random weights, and its documents.

    Attributes:
        name: of the class.
        documents: int64 [1, N] and where each begins, int32 [documents + 1].
    """

    def __init__(
        self,
        skeleton: PreTrainedModel,
        *,
        max_length: int,
        remote: bool = False,
        all_experts: bool = False,
    ) -> None:
        """Shrink the class, and run its documents alone.

        Args:
            skeleton: see `certify`, like the next two.
            max_length: longest document of the run.
            remote: its class comes with the model.
            all_experts: a token passes all experts, so that half precision chooses no others.

        Raises:
            NotAvailableError: even the documents alone do not run.
        """
        self.name = type(skeleton).__name__
        self._remote = remote
        ends = torch.tensor((0, *LENGTHS)).cumsum(0)
        generator = torch.Generator().manual_seed(0)
        low, high = shrinking.SPECIAL_IDS, shrinking.VOCAB_SIZE
        self.tokens = torch.randint(low, high, (1, int(ends[-1])), generator=generator)
        self.positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
        self.ends = ends.int()
        problems = []
        for widths in (True, False):
            try:
                with _quiet():
                    self.config = shrinking.shrunk(
                        skeleton, max_length=max_length, widths=widths, all_experts=all_experts
                    )
                    self.reference = self._build("eager")
                    shrinking.compare(skeleton, self.reference)
                    self._alone = self._run(self.reference, "one_by_one")
            except Exception as error:  # noqa: BLE001 - whatever code of a model raises
                problems.append(_first_line(error))
            else:
                return
        raise NotAvailableError(
            f"{self.name} does not run in a small size, so that it cannot be told whether it is "
            f"trained as it is: {'; '.join(dict.fromkeys(problems))}"
        )

    def compare(
        self,
        way: Isolation,
        name: str,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> str:
        """Return what differs between the documents in a row and each alone; empty if nothing.

        Args:
            way: of the documents through the model.
            name: of the attention.
            device: to run on.
            dtype: float32, or that of autocast.
        """
        limits = TOLERANCES[dtype]
        mixed = torch.autocast(device, dtype, enabled=dtype != torch.float32)
        try:
            with _quiet(), mixed:
                model = self._build(name).to(device)
                ours = self._run(model, way)
                if dtype != torch.float32:
                    limits = self._limits_in_half(device, limits)
                return self._difference(model, way, ours, limits)
        except Exception as error:  # noqa: BLE001 - whatever code of a model raises
            return f"the class does not run so: {_first_line(error)}"

    def _limits_in_half(self, device: str, limits: tuple[float, float]) -> tuple[float, float]:
        """Return the largest errors; of a class that rounding disturbs, three times its own."""
        states, gradients = self._run(self._build("eager").to(device), "one_by_one")
        return (
            max(limits[0], 3 * max(self._errors(states))),
            max(limits[1], 3 * max(self._gradient_errors(gradients).values(), default=0.0)),
        )

    def _build(self, name: str) -> PreTrainedModel:
        """Build the small model with an attention, in training mode, always with equal weights."""
        options: dict[str, Any] = {"trust_remote_code": True} if self._remote else {}
        config = type(self.config).from_dict(self.config.to_dict())
        config.name_or_path = self.config.name_or_path
        with seeded(0):
            model = AutoModelForCausalLM.from_config(
                config,
                dtype=torch.float32,
                attn_implementation=attention.implementation(name),
                **options,
            )
            _randomize(model)
        return model.train()

    def _run(self, model: PreTrainedModel, way: Isolation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return hidden states, [N, D], and the gradients of a linear function of them."""
        isolation.choose(model, way)
        hidden = self._decode(model)
        weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
        model.zero_grad()
        torch.autograd.backward((hidden * weights).sum())
        gradients = {
            name: weight.grad.float().cpu()
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }
        return hidden[0].detach(), gradients

    def _decode(self, model: PreTrainedModel) -> Tensor:
        tokens, positions, ends = (
            tensor.to(model.device) for tensor in (self.tokens, self.positions, self.ends)
        )
        return isolation.decode(model, {"input_ids": tokens}, positions, ends).float().cpu()

    def _difference(
        self,
        model: PreTrainedModel,
        way: Isolation,
        ours: tuple[Tensor, dict[str, Tensor]],
        tolerances: tuple[float, float],
    ) -> str:
        """Return what differs, in words."""
        errors = self._errors(ours[0])
        wrong = [not error <= tolerances[0] for error in errors]
        if any(wrong):
            layer = self._first_layer(model, way, tolerances[0])
            what = (
                "computes something else than it does on each document alone"
                if wrong[0] or way == "one_by_one"
                else "lets documents see those before them"
            )
            return f"{layer} {what} (relative error {max(errors):.1%})"
        for name, error in self._gradient_errors(ours[1]).items():
            if not error <= tolerances[1]:
                return f"the gradient of {name} differs from that of each document alone"
        return ""

    def _errors(self, states: Tensor) -> list[float]:
        """Return the relative errors of the hidden states, [N, D], by document."""
        both = (tensor.split_with_sizes(LENGTHS) for tensor in (states, self._alone[0]))
        return [_error(mine, theirs) for mine, theirs in zip(*both, strict=True)]

    def _gradient_errors(self, gradients: dict[str, Tensor]) -> dict[str, float]:
        """Return the relative errors of gradients by parameter; a missing one is infinite."""
        expected = self._alone[1]
        floor = max((float(gradient.norm()) for gradient in expected.values()), default=0.0) / 100
        return {
            name: _error(gradients[name], theirs, floor) if name in gradients else float("inf")
            for name, theirs in expected.items()
        }

    def _first_layer(self, model: PreTrainedModel, way: Isolation, tolerance: float) -> str:
        """Return the first module, in the order of computation, whose output differs."""
        isolation.choose(self.reference, "one_by_one")
        isolation.choose(model, way)
        with torch.no_grad():
            alone = tracing.outputs(
                self.reference, lambda: self._decode(self.reference), num_passes=len(LENGTHS)
            )
            num_passes = 1 if way == "packed" else len(LENGTHS)
            together = tracing.outputs(model, lambda: self._decode(model), num_passes=num_passes)
        for path, theirs in alone.items():
            mine = together.get(path)
            if mine is None or mine.shape != theirs.shape or mine.shape[:2] != self.tokens.shape:
                continue
            if not _error(mine, theirs) <= tolerance:
                return tracing.place_of(model, path)
        return "a layer"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from warnings about the small sizes."""
    level = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(level)


def _randomize(model: nn.Module) -> None:
    """Give random weights of a size that lets every part of a layer matter."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=weight.shape[-1] ** -0.5)
            elif weight.dim() == 1:
                weight.nan_to_num_(0.0, 0.0, 0.0).add_(torch.randn(weight.shape), alpha=0.2)


def _error(mine: Tensor, theirs: Tensor, floor: float = 0.0) -> float:
    """Return the norm of the difference by that of the reference, or by a floor."""
    scale = max(float(theirs.norm()), floor, 1e-12)
    return float((mine.float() - theirs.float()).norm()) / scale


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    sentence = text.partition(". ")[0]
    return f"{type(error).__name__}: {sentence[:300]}"
