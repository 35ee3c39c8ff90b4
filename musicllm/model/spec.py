"""Plain settings of models and adapters, independent of the configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelSpec:
    """A base model and its architecture.

    Attributes:
        name: for display.
        location: hub id, folder or `package:<name>`; None for random weights.
        revision: of a hub repository, or None for its newest.
        config: config.json of the base, as published; see `musicllm.model.architecture`.
        dtype: of the stored weights: float32, float16 or bfloat16.
        trust_remote_code: run code from the model repository.
        ignored_tensors: regular expressions of stored tensors that are not part of the model, such
            as a value head; any other tensor that the model has no place for is an error.
    """

    name: str
    location: str | None
    revision: str | None
    config: Mapping[str, Any]
    dtype: str
    trust_remote_code: bool
    ignored_tensors: tuple[str, ...]

    def changed(self, **values: Any) -> ModelSpec:
        """Return the model with other values in its config.json."""
        return dataclasses.replace(self, config={**self.config, **values})


@dataclass(frozen=True)
class AdapterSpec:
    """Which weights are trained, and how.

    Attributes:
        kind: lora, full or none.
        r: rank of LoRA; like the next two, None unless `kind` is lora.
        alpha: the scale of LoRA is alpha / r, or with `scaling` rslora alpha / sqrt(r).
        dropout: probability on the input of LoRA.
        targets: what has LoRA: parts of the decoder layers (`attention`, `mlp`) or names of linear
            layers, such as `q_proj`.
        train_embeddings: train the whole embedding matrix beside LoRA.
        train_output_head: train the whole output head beside LoRA.
        use_dora: weight-decomposed LoRA (arXiv 2402.09353).
        quantization: of the frozen base: nf4 or None.
        scaling: lora or rslora (arXiv 2312.03732); None unless `kind` is lora.
        init: zero or pissa (arXiv 2404.02948); None unless `kind` is lora.
        new_rows: rows of embeddings and head that are trained beside LoRA, all others being frozen.
    """

    kind: str
    r: int | None
    alpha: float | None
    dropout: float | None
    targets: tuple[str, ...]
    train_embeddings: bool
    train_output_head: bool
    use_dora: bool
    quantization: str | None
    scaling: str | None
    init: str | None
    new_rows: range
