"""Runs a micro-batch through a model without weights.

torch's fake tensors have shapes, dtypes and gradients but no elements, so a run takes seconds and
little memory whatever the size. Each layer goes forward and backward by itself, inside a forward
pass of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from transformers import PreTrainedModel

from musicllm.model.anatomy import decoder_of
from musicllm.model.trace.attention import Attention
from musicllm.model.trace.copies import Kind, StandIn, UnknownLayerError, make_fake
from musicllm.model.trace.recorder import Bytes, Recorder, key_of
from musicllm.model.trace.records import Head, LayerTrace, Trace
from musicllm.model.trace.rules import GroupedProducts, OnGpu
from musicllm.model.trace.trees import mapped, tensors_in


@dataclass(frozen=True)
class _Output:
    """A tensor that a layer returned."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    requires_grad: bool

    @classmethod
    def of(cls, value: Any) -> Any:
        """Describe a tensor; other values are themselves."""
        if not isinstance(value, Tensor):
            return value
        return cls(tuple(value.shape), value.dtype, value.requires_grad)

    @staticmethod
    def tensor(value: Any) -> Any:
        """Return a new tensor that fits a description."""
        if not isinstance(value, _Output):
            return value
        return torch.empty(value.shape, dtype=value.dtype).requires_grad_(value.requires_grad)


@dataclass(frozen=True)
class _Traced:
    """A traced layer: the state of its input, its outputs, and what was recorded."""

    dtype: torch.dtype
    gradient: bool
    outputs: Any
    trace: LayerTrace


class Tracer:
    """A run of one model."""

    def __init__(
        self,
        layers: Sequence[nn.Module],
        kinds: Sequence[Kind],
        attention: Attention,
        *,
        compute_dtype: torch.dtype,
        on_gpu: bool,
    ) -> None:
        """Take a decoder's layers.

        Args:
            layers: in their order; some are stand-ins.
            kinds: of `copies.kinds_of`.
            attention: registered with transformers under the name that the model uses.
            compute_dtype: of autocast; float32 without it.
            on_gpu: as a GPU would.
        """
        self._layers, self._kinds = layers, kinds
        self._attention = attention
        self._compute_dtype = compute_dtype
        self._on_gpu = on_gpu
        self._grouped = GroupedProducts()
        self._traced: dict[Kind, list[_Traced]] = {}
        self._traces: list[LayerTrace] = []
        self._around: dict[int, Bytes] = {}

    def run(
        self,
        model: PreTrainedModel,
        *,
        num_tokens: int,
        dtype_of: Callable[[nn.Parameter], torch.dtype],
    ) -> Trace:
        """Trace a row.

        Args:
            model: with or without LoRA, on the meta device; it becomes fake in place.
            num_tokens: of the row.
            dtype_of: of its parameters.

        Raises:
            UnknownLayerError: a stand-in got what no traced layer got.
        """
        for index, layer in enumerate(self._layers):
            call = self._stand_in if isinstance(layer, StandIn) else self._trace
            layer.forward = partial(call, index, layer, layer.forward)
        with FakeTensorMode():
            make_fake(model, dtype_of)
            _rotate_as_usual(model)
            model.train()
            self._recorder = self._attention.recorder = Recorder(model, num_tokens)
            ids = torch.zeros((1, num_tokens), dtype=torch.long)
            with self._watched():
                hidden = decoder_of(model)(input_ids=ids, use_cache=False).last_hidden_state
                around = sum(self._around.values(), Bytes())
                head = self._head(model.get_output_embeddings(), hidden)
            return Trace(num_tokens, tuple(self._traces), around, _size(hidden), head)

    def _watched(self) -> AbstractContextManager[Any]:
        rules = OnGpu() if self._on_gpu else nullcontext()
        has_autocast = self._compute_dtype != torch.float32
        mixed = torch.autocast("cpu", self._compute_dtype, enabled=has_autocast)
        keep = saved_tensors_hooks(partial(self._keep, self._around, -1, 0), lambda tensor: tensor)
        stack = ExitStack()
        for context in (self._recorder, self._grouped, rules, mixed, keep):
            stack.enter_context(context)
        return stack

    def _trace(
        self, index: int, layer: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Run a layer forward and backward, and return its outputs without their graph."""
        recorder = self._recorder
        args, kwargs = mapped(_detached, (args, kwargs))
        hidden = _hidden(args, kwargs)
        own = recorder.number_of(hidden)
        since = recorder.num_storages
        kept: dict[int, Bytes] = {}
        self._attention.calls = []
        flops, copied, alive = self._flops, recorder.copied, recorder.mark()
        with saved_tensors_hooks(partial(self._keep, kept, own, since), lambda tensor: tensor):
            out = forward(*args, **kwargs)
        highest = recorder.highest - alive
        of_weights = (recorder.alive - alive).of_weights  # autocast's copies, kept or cached
        copied = recorder.copied - copied
        outputs = mapped(_Output.of, out)
        ends = [tensor for tensor in tensors_in(out) if tensor.requires_grad]
        del out
        output_gradient = bool(ends)
        backward = self._backward(layer, ends) if ends else Bytes()
        trace = LayerTrace(
            flops=self._flops - flops,
            attention=tuple(self._attention.calls),
            kept=Bytes(sum(kept.values(), Bytes()).of_tokens, of_weights),
            copied=copied,
            input=_size(hidden),
            keeps_input=own in kept,
            forward=highest,
            backward=backward,
            input_gradient=hidden.requires_grad,
            output_gradient=output_gradient,
        )
        self._traces.append(trace)
        traced = _Traced(hidden.dtype, hidden.requires_grad, outputs, trace)
        self._traced.setdefault(self._kinds[index], []).append(traced)
        return mapped(_Output.tensor, outputs)

    def _head(self, head: nn.Module, hidden: Tensor) -> Head:
        """Run the head on every hidden state."""
        before = self._flops
        logits = head(hidden)
        shape = (hidden.shape[-1], logits.shape[-1])
        ends = [logits] if logits.requires_grad else []
        del logits
        if ends:
            self._backward(head, ends)
        trained = [name for name, weight in head.named_parameters() if weight.requires_grad]
        lora = [name for name in trained if "lora_" in name]
        return Head(*shape, len(trained) > len(lora), bool(lora), self._flops - before)

    def _stand_in(
        self, index: int, _layer: nn.Module, _forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Repeat what a traced layer of the same kind did with the same kind of input."""
        hidden = _hidden(args, kwargs)
        for traced in self._traced.get(self._kinds[index], []):
            if (traced.dtype, traced.gradient) == (hidden.dtype, hidden.requires_grad):
                self._traces.append(traced.trace)
                return mapped(_Output.tensor, traced.outputs)
        raise UnknownLayerError(index)

    def _backward(self, layer: nn.Module, ends: list[Tensor]) -> Bytes:
        """Go backward through a layer; gradients of its weights are there already, and added to.

        Args:
            layer: the layer.
            ends: its outputs with a graph; the list is emptied, so that they can be freed.

        Returns:
            The most bytes beyond those at the start.
        """
        trained = [weight for weight in layer.parameters() if weight.requires_grad]
        for weight in trained:
            weight.grad = torch.empty_like(weight)
        start = self._recorder.mark(is_backward=True)
        with torch.autocast("cpu", enabled=False):
            gradients = [torch.empty_like(end) for end in ends]
            torch.autograd.backward(ends, gradients)
        ends.clear()
        for weight in trained:
            weight.grad = None
        highest = self._recorder.highest
        self._recorder.mark()
        return highest - start

    def _keep(self, into: dict[int, Bytes], own: int, since: int, tensor: Tensor) -> Tensor:
        """Record what autograd keeps.

        Args:
            into: of a layer, by number.
            own: number of the layer's input.
            since: number of the first storage of the layer; what is older belongs to all layers.
            tensor: what is kept.
        """
        if not self._recorder.is_weight(key_of(tensor)):
            number = self._recorder.number_of(tensor)
            target = into if number >= since or number == own else self._around
            target[number] = self._recorder.bytes_of(tensor)
        return tensor.detach()  # itself would keep its own graph alive

    @property
    def _flops(self) -> int:
        return self._recorder.flops + self._grouped.flops


def _rotate_as_usual(model: nn.Module) -> None:
    """Let positions be rotated as in short rows, whatever the scaling of the model.

    Dynamic and long scaling of transformers look at the largest position of a row, which a fake
    tensor does not have; shapes and what is kept are the same.
    """
    modules: list[Any] = list(model.modules())
    for module in modules:
        kind = getattr(module, "rope_type", None)
        if isinstance(kind, str):
            module.rope_type = "default"
        elif isinstance(kind, dict):
            module.rope_type = dict.fromkeys(kind, "default")


def _detached(value: Any) -> Any:
    """Return a tensor without its graph; a view, since autocast caches its copies of leaves."""
    if not isinstance(value, Tensor):
        return value
    return value.detach().requires_grad_(value.requires_grad).view_as(value)


def _hidden(args: Any, kwargs: Any) -> Tensor:
    """Return the hidden states among the arguments of a layer: the first tensor with fractions."""
    return next(tensor for tensor in tensors_in((args, kwargs)) if tensor.is_floating_point())


def _size(tensor: Tensor) -> Bytes:
    return Bytes(tensor.untyped_storage().nbytes())
