"""Counts the parameters of a model, in total and trained, before any weight exists.

The model is built on torch's meta device: shapes only, without memory or download. LoRA is
counted from the shapes of its targets. The plan estimates bytes of activations and of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from torch.nn import Embedding, Linear
from transformers import Conv1D, PreTrainedModel

from musicllm.model import adapters
from musicllm.model.anatomy import Anatomy, inspect
from musicllm.model.architecture import skeleton
from musicllm.model.spec import AdapterSpec, ModelSpec


@dataclass(frozen=True)
class Size:
    """Parameter counts; tied matrices count once.

    Attributes:
        num_parameters: of the base.
        num_trainable: all of the base (`full`), or LoRA and the matrices trained beside it.
        num_frozen: not trained. LoRA leaves the whole base frozen, since PEFT trains
            copies of the embeddings and the head, so `num_trainable + num_frozen` can exceed
            `num_parameters`.
        num_hidden: of `num_trainable`, matrices that are neither embeddings nor the head; stacked
            matrices of experts are none.
        num_active: of `num_parameters`, those that a token is multiplied with: of experts, the
            chosen ones.
        num_quantizable: of `num_parameters`, the matrices of linear layers, without the head, which
            bitsandbytes packs. Stacked experts are none.
        largest_matrix: of these, parameters of the largest.
        hidden_shapes: of the matrices in `num_hidden`, and how many there are of each.
        parts: of `num_parameters`: embeddings, attention, mlp, router, norms (all vectors that
            belong to no matrix), head (0 if tied), other; and adapter, the parameters of LoRA and
            of new rows.
    """

    num_parameters: int
    num_trainable: int
    num_frozen: int
    num_hidden: int
    num_active: int
    num_quantizable: int
    largest_matrix: int
    hidden_shapes: Mapping[tuple[int, ...], int]
    parts: Mapping[str, int]


def count(spec: ModelSpec, adapter: AdapterSpec, *, vocab_size: int | None = None) -> Size:
    """Count parameters without weights; takes about a second for 7 billion parameters.

    LoRA on a linear layer has r x (inputs + outputs) parameters (arXiv 2106.09685), and DoRA one
    more per output (arXiv 2402.09353).

    Args:
        spec: the architecture.
        adapter: what is trained.
        vocab_size: tokens, if a tokenizer decides; None for the option's.

    Raises:
        ConfigError: as in `adapters.attach` and `architecture.config_of`.
    """
    model = skeleton(spec, vocab_size=vocab_size)
    anatomy = inspect(model)
    parts = _parts(model, anatomy)
    whole = sum(parts.values())
    packed = [
        matrix.size
        for matrix in anatomy.matrices()
        if not matrix.is_expert and isinstance(model.get_submodule(matrix.path), Linear | Conv1D)
    ]
    shapes = Counter(_trained_shapes(model, anatomy, adapter))
    hidden = sum(prod(shape) * number for shape, number in shapes.items())
    trained, frozen, lora = (whole, 0, 0) if adapter.kind == "full" else (0, whole, 0)
    if adapter.kind == "lora":
        adapters.check_targets(model, adapter)
        targets = adapters.target_matrices(anatomy, adapter)
        lora = hidden + sum(target.num_outputs for target in targets if adapter.use_dora)
        width_of_ends = sum(end.weight.shape[1] for end in adapters.ends_of(model))
        lora += len(adapter.new_rows) * width_of_ends
        if anatomy.head.rpartition(".")[2] in adapter.targets:
            outputs = anatomy.vocab_size
            lora += (adapter.r or 0) * (anatomy.width + outputs) + outputs * adapter.use_dora
        trained = lora + sum(
            parameter.numel()
            for module in adapters.trained_whole(model, adapter)
            for parameter in module.parameters()
        )
    passed_by = sum(matrix.size - matrix.active_size for matrix in anatomy.matrices())
    return Size(
        num_parameters=whole,
        num_trainable=trained,
        num_frozen=frozen,
        num_hidden=hidden,
        num_active=round(whole - passed_by),
        num_quantizable=sum(packed),
        largest_matrix=max(packed, default=0),
        hidden_shapes=shapes,
        parts={**parts, "adapter": lora},
    )


def _trained_shapes(
    model: PreTrainedModel, anatomy: Anatomy, adapter: AdapterSpec
) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of trained matrices that are neither embeddings nor the head."""
    if adapter.kind == "full":
        for path, module in model.named_modules():
            if path != anatomy.head and not isinstance(module, Embedding):
                weights = module.parameters(recurse=False)
                yield from (tuple(w.shape) for w in weights if w.dim() == 2)
    elif adapter.kind == "lora":
        targets = adapters.target_matrices(anatomy, adapter)
        assert adapter.r is not None or not targets, "LoRA without a rank passed the checks"
        for matrix in targets:
            assert adapter.r is not None
            r = adapter.r * matrix.num_experts  # PEFT stacks the factors of experts
            yield from ((r, matrix.num_inputs), (matrix.num_outputs, r))


def _parts(model: PreTrainedModel, anatomy: Anatomy) -> dict[str, int]:
    parts = dict.fromkeys(("embeddings", "attention", "mlp", "router", "norms", "head", "other"), 0)
    of_matrix: dict[str, str] = {matrix.path: matrix.part for matrix in anatomy.matrices()}
    of_matrix |= {anatomy.embeddings: "embeddings", anatomy.head: "head"}
    mixers = {path for layer in anatomy.layers for path in layer.mixers}
    for name, parameter in model.named_parameters():
        module = name.rpartition(".")[0]
        part = of_matrix.get(name) or of_matrix.get(module)
        if part is None and parameter.dim() == 1:
            part = "norms"
        if part is None:
            part = "attention" if any(name.startswith(f"{path}.") for path in mixers) else "other"
        parts[part] += parameter.numel()
    return parts
