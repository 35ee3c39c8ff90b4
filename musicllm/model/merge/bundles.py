"""Tensors of a model and those of its files, where the two have other names or shapes.

While transformers loads a model it renames tensors, and puts some together or takes them apart: the
experts of a layer, which are published one by one, become one stack. Here the same rules are
followed for one bundle at a time, in both directions, so a merged model is written in the layout of
its base, and what did not change is copied byte for byte.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    apply_renamings,
    dot_natural_key,
    rename_source_key,
)

from musicllm.model.checkpoint import Weights

RECOMPUTED = re.compile(r"rotary_emb\.inv_freq$")
"""Tensors that older versions of transformers stored, and that follow from the configuration."""


@dataclass(frozen=True)
class Bundle:
    """Tensors of files that become tensors of the model together.

    Attributes:
        sources: name in the files -> pattern of the converter that it matches.
        first: name in the model, of the first tensor if there are several.
        converter: rule of transformers; None for one tensor that is at most renamed.
        renamed: name by which the converter knows a tensor -> name in the files.
    """

    sources: Mapping[str, str]
    first: str
    converter: WeightConverter | None
    renamed: Mapping[str, str]

    def convert(self, model: PreTrainedModel, read: Callable[[str], Tensor]) -> dict[str, Tensor]:
        """Return the tensors of the model by name.

        Args:
            model: whose configuration the rule may need.
            read: returns a tensor of the files by name.
        """
        if self.converter is None:
            (name,) = self.sources
            return {self.first: read(name)}
        rule = deepcopy(self.converter)
        for name, pattern in self.sources.items():
            rule.add_tensor(self.first, name, pattern, read(name))
        return _plain(rule.convert(self.first, model=model, config=model.config))

    def revert(self, model: PreTrainedModel, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of the files by name, for those of the model."""
        if self.converter is None:
            return dict.fromkeys(self.sources, parts[self.first])
        rule = self.converter.reverse_transform()
        target = self.first
        for name, tensor in parts.items():
            target, pattern = rule.rename_source_key(name)
            assert pattern is not None, f"{name} does not match the rule that produced it"
            rule.add_tensor(target, name, pattern, tensor)
        stored = _plain(rule.convert(target, model=model, config=model.config))
        return {self.renamed[name]: tensor for name, tensor in stored.items()}


class StoredTensors:
    """The tensors of a model in the files of its folder.

    Attributes:
        weights: the files.
        shapes: of the tensors that the files provide, by their names in the model.
        beside: names in the files of tensors that do not belong to the model.
        broken: names in the model of tensors whose parts do not fit together.
    """

    def __init__(self, model: PreTrainedModel, weights: Weights) -> None:
        """Assign the tensors of the files to those of the model; only headers are read."""
        self.weights = weights
        self._model = model
        self.shapes: dict[str, list[int]] = {}
        self.beside: list[str] = []
        self.broken: list[str] = []
        self._bundles: dict[str, Bundle] = {}
        self._waiting: dict[str, dict[str, Tensor]] = {}
        self._num_parts: Counter[str] = Counter()
        for bundle in self._assigned():
            try:
                parts = bundle.convert(model, self._outline)
            except RuntimeError:  # shapes that do not fit together
                self.broken.append(bundle.first)
                continue
            for name, tensor in parts.items():
                self.shapes[name] = list(tensor.shape)
                self._bundles[name] = bundle
                self._num_parts[bundle.first] += name not in model.all_tied_weights_keys

    def read(self, name: str) -> Tensor:
        """Return a tensor of the model with its stored dtype."""
        return self._bundles[name].convert(self._model, self.weights.read)[name]

    def dtype(self, name: str) -> torch.dtype:
        """Return the stored dtype of a tensor of the model, or of the first of its parts."""
        return self.weights.dtype(next(iter(self._bundles[name].sources)))

    def write(
        self, name: str, tensor: Tensor, dtype: torch.dtype | None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield tensors of the files by name, once all tensors of the model in them have come.

        Args:
            name: of a tensor of the model.
            tensor: in float32, if it is floating point.
            dtype: of what is stored; None for the stored dtype, so that a tensor that has not
                changed keeps its bytes.
        """
        if name not in self._bundles:
            yield name, tensor if dtype is None else tensor.to(dtype)
            return
        bundle = self._bundles[name]
        parts = self._waiting.setdefault(bundle.first, {})
        parts[name] = tensor
        if len(parts) < self._num_parts[bundle.first]:
            return
        del self._waiting[bundle.first]
        for source, new in bundle.revert(self._model, parts).items():
            old = self.weights.read(source)
            if dtype is None:
                same = old.shape == new.shape and torch.equal(old.to(new.dtype), new)
                yield source, old if same else new.to(old.dtype)
            else:
                yield source, new.to(dtype) if new.is_floating_point() else new

    def copies(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors that do not belong to the model, as they are."""
        for name in self.beside:
            if not RECOMPUTED.search(name):
                yield name, self.weights.read(name)

    @property
    def waiting(self) -> Iterable[str]:
        """Names of tensors of the model that wait for others."""
        return [name for parts in self._waiting.values() for name in parts]

    def _outline(self, name: str) -> Tensor:
        return torch.empty(self.weights.shapes[name], device="meta")

    def _assigned(self) -> Iterator[Bundle]:
        """Yield the bundles, by the rules that `from_pretrained` follows."""
        rules = get_model_conversion_mapping(self._model)
        renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
        converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
        by_pattern = {pattern: rule for rule in converters for pattern in rule.source_patterns}
        expected = self._model.state_dict()
        prefix = self._model.base_model_prefix
        sources: dict[str, dict[str, str]] = {}
        for name in sorted(self.weights.shapes, key=dot_natural_key):
            target, pattern = rename_source_key(name, renamings, converters, prefix, expected)
            if target not in expected and name in expected:
                target, pattern = name, None
            if target not in expected:
                self.beside.append(name)
                continue
            sources.setdefault(target, {})[name] = pattern or ""
        for target, patterns in sources.items():
            rule = by_pattern.get(next(iter(patterns.values())))
            renamed = {apply_renamings(name, renamings): name for name in patterns}
            yield Bundle(patterns, target, rule, renamed)


def _plain(converted: Mapping[str, Tensor | list[Tensor]]) -> dict[str, Tensor]:
    return {
        name: tensor[0] if isinstance(tensor, list) else tensor
        for name, tensor in converted.items()
    }
