"""Watches the operations of a traced layer: their FLOPs, and the bytes that are alive.

Sizes are of storages, as an allocator sees them. They come in two kinds: what has an element for
every token, and what depends on weights alone, such as their copies in the compute dtype and their
gradients. Temporary memory inside an operation is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from musicllm.model.trace.trees import tensors_in

FROZEN, TRAINED = "frozen", "trained"
"""Kinds of weights."""


@dataclass(frozen=True)
class Bytes:
    """Sizes in bytes.

    Attributes:
        of_tokens: of tensors that have elements for every token.
        of_weights: of copies and gradients of weights.
    """

    of_tokens: int = 0
    of_weights: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.of_tokens + self.of_weights

    def __add__(self, other: Bytes) -> Bytes:
        """Add by kind."""
        return Bytes(self.of_tokens + other.of_tokens, self.of_weights + other.of_weights)

    def __sub__(self, other: Bytes) -> Bytes:
        """Subtract by kind."""
        return Bytes(self.of_tokens - other.of_tokens, self.of_weights - other.of_weights)


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operation while it is active.

    Attributes:
        alive: bytes that exist now, beside the weights themselves.
        highest: `alive` when its sum was largest in the current pass.
        flops: of matrix products and convolutions on tokens so far; attention aside, which is
            recorded where it is called.
        copied: bytes of copies of trained weights that exist now, as autocast caches them in the
            compute dtype.
    """

    def __init__(self, model: nn.Module, num_tokens: int) -> None:
        """Take the weights and buffers of a model.

        Args:
            model: it is traced.
            num_tokens: of the row; a prime number, so that it divides no size of weights.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._num_tokens = num_tokens
        self._weights = {key_of(buffer): FROZEN for buffer in model.buffers()}
        for weight in model.parameters():
            self._weights[key_of(weight)] = TRAINED if weight.requires_grad else FROZEN
        self._kinds = dict(self._weights)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        self._gradients = {_sides(weight) for weight in trained}
        self._references: dict[int, weakref.ref[Any]] = {}
        self._numbers: dict[int, int] = {}
        self._num_storages = 0
        self._is_backward = False
        self.alive = self.highest = Bytes()
        self.flops = 0
        self.copied = 0
        self._paused = 0

    def __torch_dispatch__(
        self,
        func: Any,
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and record it."""
        out = func(*args, **(kwargs or {}))
        inputs = [key_of(tensor) for tensor in tensors_in((args, kwargs))]
        kind = self._kind_of(inputs, out)
        if kind is None and not self._paused and (count := _formula(func)) is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        for tensor in tensors_in(out):
            if key_of(tensor) not in inputs:
                of_weight = len(inputs) == 1 and inputs[0] in self._weights
                self._add(tensor, kind, is_copy=of_weight and kind == TRAINED)
        return out

    def pause(self) -> None:
        """Count no FLOPs until `resume` is called as often."""
        self._paused += 1

    def resume(self) -> None:
        """Count FLOPs again."""
        self._paused -= 1

    def mark(self, *, is_backward: bool = False) -> Bytes:
        """Begin a pass: forget the highest so far, and return what is alive.

        Args:
            is_backward: tensors with the shape of a trained weight are gradients from now on.
        """
        self._is_backward = is_backward
        self.highest = self.alive
        return self.alive

    def is_weight(self, key: int) -> bool:
        """Return whether a storage is that of a weight or buffer."""
        return key in self._weights

    @property
    def num_storages(self) -> int:
        """Return how many storages there have been so far, weights aside."""
        return self._num_storages

    def number_of(self, tensor: Tensor) -> int:
        """Return the number of a tensor's storage, in the order of their creation."""
        return self._numbers.get(key_of(tensor), -1)  # -1: it was there before

    def bytes_of(self, tensor: Tensor) -> Bytes:
        """Return the bytes of a tensor's storage by kind."""
        return self._sizes(tensor, self._kinds.get(key_of(tensor)))

    def _kind_of(self, inputs: Sequence[int], out: Any) -> str | None:
        """Return the kind of weights that a result depends on alone; None if it has tokens."""
        if not inputs:  # a new tensor
            sizes = [tensor.numel() for tensor in tensors_in(out)]
            return None if any(size % self._num_tokens == 0 for size in sizes) else FROZEN
        kinds = {self._kinds.get(key) for key in inputs}
        if None in kinds:
            return None
        return TRAINED if TRAINED in kinds else FROZEN

    def _add(self, tensor: Tensor, kind: str | None, *, is_copy: bool) -> None:
        storage = tensor.untyped_storage()
        key = key_of(tensor)
        if key in self._references:
            return
        size = self._sizes(tensor, kind)
        copied = size.total if is_copy else 0
        if kind is not None:
            self._kinds[key] = kind
        self._numbers[key] = self._num_storages
        self._num_storages += 1
        self.alive += size
        self.copied += copied
        if self.alive.total > self.highest.total:
            self.highest = self.alive

        def freed(_: Any) -> None:
            del self._references[key], self._numbers[key]
            self._kinds.pop(key, None)
            self.alive -= size
            self.copied -= copied

        self._references[key] = weakref.ref(storage, freed)

    def _sizes(self, tensor: Tensor, kind: str | None) -> Bytes:
        size = tensor.untyped_storage().nbytes()
        is_gradient = self._is_backward and _sides(tensor) in self._gradients
        return Bytes(0, size) if kind is not None or is_gradient else Bytes(size)


def key_of(tensor: Tensor) -> int:
    """Return the identity of a tensor's storage while it exists."""
    return int(tensor.untyped_storage()._cdata)


def _sides(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape up to transposition."""
    return tuple(sorted(tensor.shape))


def _formula(func: Any) -> Callable[..., int] | None:
    return flop_registry.get(func.overloadpacket)
