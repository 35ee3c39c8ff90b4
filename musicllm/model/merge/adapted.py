"""A base and its adapter without their weights, and where each weight is to be read.

PEFT lays the adapter out over the base on torch's meta device, so every kind of LoRA that PEFT
knows has its own layer with its own arithmetic. All names and shapes are compared with the files
before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel, PeftType
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from peft.utils.save_and_load import get_peft_model_state_dict
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from musicllm.errors import InputError
from musicllm.model import tensors
from musicllm.model.adapters import ADAPTER_WEIGHTS, NO_PLACE, PREFIX, end_names, quiet_peft
from musicllm.model.checkpoint import Checkpoint
from musicllm.model.merge import nf4
from musicllm.model.merge.parts import lay_out

WRAPPED = re.compile(r"\.(base_layer|original_module)(?=\.)")
"""What PEFT puts into the name of a weight that it trains beside or instead of."""


@dataclass(frozen=True)
class Adapted:
    """Base + adapter, laid out without weights.

    Attributes:
        plain: the base alone, with as many tokens as the adapter's embeddings have.
        model: a base whose layers PEFT has wrapped.
        base: its weights.
        adapter: what was trained.
        trained: names in `model` -> names in `adapter`.
        in_nf4: names in `plain` of what the adapter saw in 4 bits.
    """

    plain: PreTrainedModel
    model: nn.Module
    base: Checkpoint
    adapter: Checkpoint
    trained: Mapping[str, str]
    in_nf4: frozenset[str]

    @property
    def tied(self) -> Mapping[str, str]:
        """Names of the plain model that are another's tensor, and that other name."""
        return tied_names(self.plain)

    def origin(self, name: str) -> str:
        """Return the name in the base's files of a weight of `model` that was not trained."""
        plain = WRAPPED.sub("", name)
        return self.tied.get(plain, plain)

    def read(self, name: str) -> Tensor:
        """Read a weight of `model` as float32; an embedding of a token new to the base is zero.

        Raises:
            InputError: it holds NaN or infinity.
        """
        if name in self.trained:
            return as_float32(_read(self.adapter, self.trained[name]))
        origin = self.origin(name)
        stored = _read(self.base, origin)
        tensor = as_float32(nf4.there_and_back(stored) if origin in self.in_nf4 else stored)
        wanted = (
            self.model.state_dict()[name].shape if ".original_module." in name else stored.shape
        )
        return tensor if wanted == tensor.shape else _with_rows(tensor, wanted[0])


def adapt(
    config: PreTrainedConfig, base: Checkpoint, adapter_path: Path, *, dequantize: bool
) -> Adapted:
    """Lay out base and adapter, and compare names and shapes with both.

    Args:
        config: of the base; its `vocab_size` becomes that of trained embeddings.
        base: its weights.
        adapter_path: PEFT folder.
        dequantize: the adapter was trained over the base in nf4, and that base is wanted.

    Raises:
        InputError: a tensor is missing, has another shape, or has no place; the text names it.
    """
    settings = PeftConfig.from_pretrained(str(adapter_path))
    if settings.peft_type != PeftType.LORA:
        kind = settings.peft_type.value
        raise InputError(f"{adapter_path} is of kind {kind}; only LoRA can be merged")
    settings.inference_mode = True
    adapter = Checkpoint({"": adapter_path / ADAPTER_WEIGHTS})
    plain = _with_vocabulary_of(adapter, config)
    model = lay_out(plain.config)
    with quiet_peft(), torch.device("meta"):
        wrapped = PeftModel(model, settings)
    names = {name: name for name in wrapped.state_dict()}
    files = get_peft_model_state_dict(wrapped, state_dict=names, save_embedding_layers=False)
    trained = {name.removeprefix(PREFIX): key for key, name in files.items()}
    # PEFT saves whole ends of a resized base without saying so in its settings
    whole = model.state_dict().keys() & set(end_names(plain))
    trained |= {name: PREFIX + name for name in whole if PREFIX + name in adapter.shapes}
    adapted = Adapted(
        plain, model.eval(), base, adapter, trained,
        frozenset(nf4.quantized_names(plain) if dequantize else ()),
    )  # fmt: skip
    _refuse(f"the adapter in {adapter_path}", _adapter_faults(adapted))
    _refuse(f"the base of {adapter_path}", _base_faults(adapted))
    _refuse_untied_head(adapted, base.folder)
    return adapted


def is_adapted(part: nn.Module) -> bool:
    """Return whether PEFT has wrapped a part."""
    return isinstance(part, (BaseTunerLayer, AuxiliaryTrainingWrapper))


def tied_names(model: PreTrainedModel) -> Mapping[str, str]:
    """Return names of a model that are another's tensor, and that other name."""
    names: Mapping[str, str] = model.all_tied_weights_keys
    return names


def as_float32(tensor: Tensor) -> Tensor:
    """Return a copy of what is mapped from a file, float32 where it has a fraction."""
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)


def _read(files: Checkpoint, name: str) -> Tensor:
    tensor = files.read(name)
    tensors.refuse_not_finite(files.folder, [(name, tensor)])
    return tensor


def _with_vocabulary_of(adapter: Checkpoint, config: PreTrainedConfig) -> PreTrainedModel:
    """Lay out the base, with as many tokens as trained embeddings have."""
    plain = lay_out(config)
    for module in (plain.get_input_embeddings(), plain.get_output_embeddings()):
        name = next(name for name, found in plain.named_modules() if found is module)
        rows, *_ = adapter.shapes.get(f"{PREFIX}{name}.weight", [config.vocab_size])
        if rows != config.vocab_size:
            config.vocab_size = rows
            return lay_out(config)
    return plain


def _with_rows(tensor: Tensor, rows: int) -> Tensor:
    resized = tensor.new_zeros(rows, *tensor.shape[1:])
    kept = min(rows, len(tensor))
    resized[:kept] = tensor[:kept]
    return resized


def _adapter_faults(adapted: Adapted) -> Iterator[str]:
    shapes = {
        adapted.trained[name]: tensor.shape
        for name, tensor in adapted.model.state_dict().items()
        if name in adapted.trained
    }
    return tensors.shape_faults(adapted.adapter.shapes, shapes, NO_PLACE)


def _base_faults(adapted: Adapted) -> Iterator[str]:
    found = adapted.base.shapes
    plain = adapted.plain
    known = plain.state_dict().keys()
    old = [*(plain._keys_to_ignore_on_load_unexpected or ()), r"rotary_emb\.inv_freq"]
    for name in found.keys() - known:
        if not any(re.search(pattern, name) for pattern in old):
            yield f"{name} is not known to transformers' {type(plain).__name__}"
    for name, tensor in adapted.model.state_dict().items():
        origin = adapted.origin(name)
        if name in adapted.trained:
            continue
        if origin not in found:
            yield f"{origin} is missing"
        elif found[origin] != list(tensor.shape) and ".original_module." not in name:
            yield f"{origin} has shape {found[origin]} instead of {list(tensor.shape)}"


def _refuse(what: str, faults: Iterator[str]) -> None:
    if text := tensors.summed_up(faults):
        raise InputError(f"{what} does not fit: {text}")


def _refuse_untied_head(adapted: Adapted, base_path: Path) -> None:
    """Refuse a base whose head is tied by its configuration and another matrix in its files."""
    base = adapted.base
    for name, origin in adapted.tied.items():
        both = name in base.shapes and origin in base.shapes
        if both and not torch.equal(base.read(name), base.read(origin)):
            raise InputError(tensors.untied(base_path))
