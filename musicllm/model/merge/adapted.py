"""A base with its adapter, without weights, and where to read each weight.

PEFT adds the adapter to the base on torch's meta device, so every kind of LoRA that PEFT
supports has its own layer class. All names and shapes are compared with the files
before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel, PeftType
from peft.utils.save_and_load import get_peft_model_state_dict
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from musicllm.errors import InputError
from musicllm.model import rows, tensors
from musicllm.model.adapters import ADAPTER_WEIGHTS, NO_PLACE, PREFIX, end_names, quiet_peft
from musicllm.model.checkpoint import Weights
from musicllm.model.merge import nf4
from musicllm.model.merge.bundles import RECOMPUTED, StoredTensors
from musicllm.model.merge.parts import lay_out
from musicllm.model.weights import WeightFiles

WRAPPED = re.compile(r"(\.token_adapter)?\.(base_layer|original_module)(?=\.)")
"""What PEFT inserts into names of weights that it wraps."""


@dataclass(frozen=True)
class Adapted:
    """Base + adapter, built without weights.

    Attributes:
        plain: the base alone, with the vocabulary size of the adapter's embeddings.
        model: the base with layers wrapped by PEFT.
        base: weights of the base by their names in `plain`.
        adapter: trained weights.
        trained: names in `model` -> names in `adapter`.
        in_nf4: names in `plain` of weights that were in 4 bits during training -> whether they are
            transposed.
        dequantize: their dtype before that, or `stored` for that of their files.
    """

    plain: PreTrainedModel
    model: nn.Module
    base: StoredTensors
    adapter: WeightFiles
    trained: Mapping[str, str]
    in_nf4: Mapping[str, bool]
    dequantize: str | None

    @property
    def tied(self) -> Mapping[str, str]:
        """Names of tied tensors of the plain model -> the name of the stored tensor."""
        return tied_names(self.plain)

    def origin(self, name: str) -> str:
        """Return the name in the files of the base of a weight of `model` that was not trained."""
        plain = WRAPPED.sub("", name)
        return self.tied.get(plain, plain)

    def read(self, name: str) -> Tensor:
        """Read a weight of `model` as float32; embeddings of tokens that the base lacks are zero.

        Raises:
            InputError: it contains NaN or infinity.
        """
        if name in self.trained:
            return as_float32(_read(self.adapter, self.trained[name]))
        origin = self.origin(name)
        stored = self.base.read(origin)
        tensors.refuse_not_finite(self.base.weights.folder, [(origin, stored)])
        if origin in self.in_nf4:
            if self.dequantize != "stored":
                stored = stored.to(getattr(torch, str(self.dequantize)))
            stored = nf4.requantized(stored, transposed=self.in_nf4[origin])
        tensor = as_float32(stored)
        shape = self.model.state_dict()[name].shape if may_lack_rows(name) else stored.shape
        return tensor if shape == tensor.shape else _with_rows(tensor, shape[0])


def adapt(
    config: PreTrainedConfig, base: Weights, adapter_path: Path, *, dequantize: str | None
) -> Adapted:
    """Build base and adapter without weights, and compare names and shapes with the files.

    Args:
        config: of the base; its `vocab_size` becomes that of trained embeddings.
        base: weights of the base.
        adapter_path: PEFT folder.
        dequantize: use the base as quantized to nf4 from this dtype, on which the adapter was
            trained, or from that of its files (`stored`); None: the base in full precision.

    Raises:
        InputError: a tensor is missing, unexpected or of another shape; the message names it.
    """
    settings = PeftConfig.from_pretrained(str(adapter_path))
    if settings.peft_type != PeftType.LORA:
        kind = settings.peft_type.value
        raise InputError(f"{adapter_path} is of kind {kind}; only LoRA can be merged")
    settings.inference_mode = True
    adapter = WeightFiles({"": adapter_path / ADAPTER_WEIGHTS})
    plain = _with_vocabulary_of(adapter, config, rows.num_rows_in(settings))
    model = lay_out(plain.config)
    try:
        with quiet_peft(), torch.device("meta"):
            wrapped = PeftModel(model, settings)
    except ValueError as error:
        raise InputError(f"the adapter in {adapter_path} does not fit its base: {error}") from error
    names = {name: name for name in wrapped.state_dict()}
    files = get_peft_model_state_dict(wrapped, state_dict=names, save_embedding_layers=False)
    trained = {name.removeprefix(PREFIX): key for key, name in files.items()}
    # PEFT saves embeddings and head of a resized base without recording it in its settings
    whole = model.state_dict().keys() & set(end_names(plain))
    trained |= {name: PREFIX + name for name in whole if PREFIX + name in adapter.shapes}
    trained |= _shared_rows(wrapped, trained)
    adapted = Adapted(
        plain, model.eval(), StoredTensors(plain, base), adapter, trained,
        nf4.quantized_names(plain) if dequantize else {}, dequantize,
    )  # fmt: skip
    _refuse(f"the adapter in {adapter_path}", _adapter_faults(adapted))
    _refuse(f"the base of {adapter_path}", _base_faults(adapted))
    _refuse_untied_head(adapted)
    return adapted


def may_lack_rows(name: str) -> bool:
    """Return whether a weight may have fewer rows in the base, since the adapter has the others."""
    return ".original_module." in name or ".token_adapter." in name


def tied_names(model: PreTrainedModel) -> Mapping[str, str]:
    """Return the names of tied tensors of a model -> the name of the stored tensor."""
    names: Mapping[str, str] = model.all_tied_weights_keys
    return names


def as_float32(tensor: Tensor) -> Tensor:
    """Return a copy of a memory-mapped tensor, in float32 if it is floating point."""
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)


def _read(files: Weights, name: str) -> Tensor:
    tensor = files.read(name)
    tensors.refuse_not_finite(files.folder, [(name, tensor)])
    return tensor


def _shared_rows(wrapped: PeftModel, trained: Mapping[str, str]) -> dict[str, str]:
    """Return the new rows of a head that is tied to the embeddings -> their name in the adapter."""
    ends = (wrapped.get_input_embeddings(), wrapped.get_output_embeddings())
    inputs, outputs = (
        next(name.removeprefix(PREFIX) for name, module in wrapped.named_modules() if module is end)
        for end in ends
    )
    names = ((name, name.replace(inputs, outputs, 1)) for name in trained)
    leaves = wrapped.state_dict().keys()
    return {
        head: trained[name]
        for name, head in names
        if name.startswith(f"{inputs}.token_adapter.") and head not in trained
        if PREFIX + head in leaves
    }


def _with_vocabulary_of(
    adapter: WeightFiles, config: PreTrainedConfig, num_rows: int
) -> PreTrainedModel:
    """Build the base without weights, with the vocabulary size of trained embeddings.

    Args:
        adapter: trained weights.
        config: of the base; changed in place.
        num_rows: that the base needs for new tokens whose rows alone were trained.
    """
    config.vocab_size = max(config.vocab_size, num_rows)
    plain = lay_out(config)
    for module in (plain.get_input_embeddings(), plain.get_output_embeddings()):
        name = next(name for name, candidate in plain.named_modules() if candidate is module)
        rows, *_ = adapter.shapes.get(f"{PREFIX}{name}.weight", [config.vocab_size])
        if rows != config.vocab_size:
            config.vocab_size = rows
            return lay_out(config)
    return plain


def _with_rows(tensor: Tensor, rows: int) -> Tensor:
    resized = tensor.new_zeros(rows, *tensor.shape[1:])
    num_copied = min(rows, len(tensor))
    resized[:num_copied] = tensor[:num_copied]
    return resized


def _adapter_faults(adapted: Adapted) -> Iterator[str]:
    shapes = {
        adapted.trained[name]: tensor.shape
        for name, tensor in adapted.model.state_dict().items()
        if name in adapted.trained
    }
    return tensors.shape_faults(adapted.adapter.shapes, shapes, NO_PLACE)


def _base_faults(adapted: Adapted) -> Iterator[str]:
    stored = adapted.base.shapes
    plain = adapted.plain
    # private: which tensors of older files a class ignores is written nowhere else
    old = [*(plain._keys_to_ignore_on_load_unexpected or ()), RECOMPUTED.pattern]
    for name in adapted.base.beside:
        if not any(re.search(pattern, name) for pattern in old):
            yield f"{name} is not known to transformers' {type(plain).__name__}"
    yield from (f"{name} cannot be put together from its parts" for name in adapted.base.broken)
    for name, tensor in adapted.model.state_dict().items():
        origin = adapted.origin(name)
        if name in adapted.trained or origin in adapted.base.broken:
            continue
        if origin not in stored:
            yield f"{origin} is missing"
        elif stored[origin] != list(tensor.shape) and not may_lack_rows(name):
            yield f"{origin} has shape {stored[origin]} instead of {list(tensor.shape)}"


def _refuse(what: str, faults: Iterator[str]) -> None:
    if text := tensors.summarise(faults):
        raise InputError(f"{what} does not fit: {text}")


def _refuse_untied_head(adapted: Adapted) -> None:
    """Reject a base whose configuration ties the head, but whose files have two matrices."""
    base = adapted.base
    for name, origin in adapted.tied.items():
        both = name in base.shapes and origin in base.shapes
        if both and not torch.equal(base.read(name), base.read(origin)):
            raise InputError(tensors.untied(base.weights.folder))
