"""Counts the parameters of a model, in total and trained, before any weight exists.

The model is built on torch's meta device: shapes only, without memory or download. LoRA is
counted from the shapes of its targets. The plan estimates bytes of activations and of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedModel

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
        num_hidden: of `num_trainable`, matrices that are neither embeddings nor the head.
        parts: of `num_parameters`: embeddings, attention, mlp, router, norms (all vectors that
            belong to no matrix), head (0 if tied), other; and adapter, the parameters of LoRA and
            of new rows.
    """

    num_parameters: int
    num_trainable: int
    num_frozen: int
    num_hidden: int
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
    if adapter.kind != "lora":
        trained = whole if adapter.kind == "full" else 0
        matrices = parts["attention"] + parts["mlp"] if trained else 0
        return Size(whole, trained, whole - trained, matrices, {**parts, "adapter": 0})
    adapters.check_targets(model, adapter)
    targets = adapters.target_matrices(anatomy, adapter)
    assert adapter.r is not None or not targets, "LoRA without a rank passed the checks"
    matrices = (adapter.r or 0) * sum(
        target.num_experts * (target.num_inputs + target.num_outputs) for target in targets
    )
    lora = matrices + sum(target.num_outputs for target in targets if adapter.use_dora)
    copies = sum(
        parameter.numel()
        for module in adapters.trained_whole(model, adapter)
        for parameter in module.parameters()
    )
    new = len(adapter.new_rows) * sum(end.weight.shape[1] for end in adapters.ends_of(model))
    return Size(whole, lora + new + copies, whole, matrices, {**parts, "adapter": lora + new})


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
