"""Which weights are trained: LoRA or DoRA with whole matrices beside it, all of them, or none.

PEFT does the work; this module refuses what PEFT would do silently or wrongly, and knows which
tensors a checkpoint must hold. It does not load the base (`base`) or fold adapters in (`merge`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from musicllm.errors import ArtifactError, ConfigError, Problem
from musicllm.model import tensors
from musicllm.model.base import seeded
from musicllm.model.checkpoint import Checkpoint
from musicllm.model.spec import AdapterSpec

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What PEFT puts before the names of the base."""

NO_PLACE = "belongs to no matrix of the base"


def attach(model: PreTrainedModel, spec: AdapterSpec, *, seed: int) -> PeftModel | PreTrainedModel:
    """Mark what is trained, and add LoRA where it is asked for; the outputs stay as they were.

    With LoRA every trained tensor is float32 whatever the base is, since updates are smaller than
    the steps of bfloat16; a bfloat16 base with trained embeddings therefore needs autocast. With
    tied embeddings, training the embeddings or the head trains the one matrix that is both.

    Args:
        model: the base; changed in place.
        spec: what to train.
        seed: of LoRA's random half; torch's global random state is left as it was.

    Raises:
        ConfigError: a target is not there, is tied, or would be trained twice.
    """
    if spec.kind != "lora":
        assert spec.kind in ("full", "none"), f"adapter kind {spec.kind!r} passed the checks"
        return model.requires_grad_(spec.kind == "full")
    check_targets(model, spec)
    if spec.quantization is not None:
        _prepare_quantized(model)
    from peft import get_peft_model

    with seeded(seed, model.device), quiet_peft():
        adapted: PeftModel = get_peft_model(model, _lora_config(model, spec))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            assert not parameter.any(), f"{name} is not zero: training would start elsewhere"
    return adapted


def causal_model(model: nn.Module) -> Any:
    """Return the transformers model, which PEFT has changed from within."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return what is trained, by name; tied matrices appear once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


@torch.no_grad()
def load_trained(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into the model.

    Raises:
        ArtifactError: names or shapes differ from what this model trains.
    """
    expected = trained(model)
    stored = {name: tensor.shape for name, tensor in state.items()}
    wanted = {name: tensor.shape for name, tensor in expected.items()}
    if text := tensors.summed_up(tensors.shape_faults(stored, wanted, "is not trained here")):
        raise ArtifactError(f"saved weights do not fit this model and adapter: {text}")
    for name, tensor in expected.items():
        tensor.copy_(state[name])


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write a plain PEFT folder: LoRA and the matrices trained beside it, as safetensors.

    A base with a folder of its own is remembered by its absolute path or hub id.
    """
    # "auto" would look at the hub for the base's vocabulary; what was trained is saved anyway
    model.save_pretrained(str(folder), save_embedding_layers=False)


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Put a saved adapter on its base, not to be trained further.

    Where embeddings and head were trained with more rows than the base has, it gets as many.

    Args:
        model: the base, on its device; changed in place.
        folder: what `save_adapter` wrote, or a plain PEFT folder.

    Raises:
        InputError: a file is missing or damaged, or holds NaN or infinity.
        ArtifactError: its tensors are not those that this adapter has on this base; the text names
            them.
    """
    from peft import PeftConfig, PeftModel
    from peft.auto import MODEL_TYPE_TO_PEFT_MODEL_MAPPING
    from peft.utils.save_and_load import get_peft_model_state_dict

    stored = Checkpoint({"": folder / ADAPTER_WEIGHTS})
    tensors.refuse_not_finite(folder, ((name, stored.read(name)) for name in stored.shapes))
    _take_rows(model, stored)
    ends = {f"{PREFIX}{name}": list(model.get_parameter(name).shape) for name in end_names(model)}
    with quiet_peft():
        settings = PeftConfig.from_pretrained(str(folder))
        settings.inference_mode = True
        kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(settings.task_type, PeftModel)
        try:
            adapted: PeftModel = kind(model, settings)
        except ValueError as error:
            raise ArtifactError(f"the adapter {folder} does not fit its base: {error}") from error
        state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        expected = {name: list(tensor.shape) for name, tensor in state.items()}
        # PEFT saves whole ends of a resized base without saying so in its settings
        expected |= {name: shape for name, shape in ends.items() if name in stored.shapes}
        faults = tensors.shape_faults(stored.shapes, expected, NO_PLACE)
        if text := tensors.summed_up(faults):
            raise ArtifactError(f"the adapter {folder} does not fit its base: {text}")
        adapted.load_adapter(str(folder), "default", is_trainable=False)
    return adapted.eval()


def end_names(model: PreTrainedModel) -> list[str]:
    """Return the names of the embeddings' weight and the head's; of tied ones, the embeddings'."""
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if any(module is end for end in ends[: 1 if is_tied(model) else 2])
    ]


def _take_rows(model: PreTrainedModel, stored: Checkpoint) -> None:
    """Give the base as many rows as trained ends have, where both are in the adapter."""
    wanted = {stored.shapes.get(f"{PREFIX}{name}", [0])[0] for name in end_names(model)}
    rows = next(iter(wanted))
    if len(wanted) == 1 and rows not in (0, model.get_input_embeddings().num_embeddings):
        model.resize_token_embeddings(rows, mean_resizing=False)  # the adapter has all of them


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Hide the warning about an attribute name that PEFT 0.21 uses and transformers 5 renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        yield


def is_tied(model: PreTrainedModel) -> bool:
    """Return whether the output head is the embedding matrix."""
    return bool(model.config.tie_word_embeddings)


def trained_whole(model: PreTrainedModel, spec: AdapterSpec) -> list[nn.Module]:
    """Return the modules whose own weights LoRA's run trains: the embeddings, the head, or both.

    A tied pair is one matrix, and the embeddings stand for it.
    """
    tied = is_tied(model)
    chosen: list[nn.Module] = []
    if spec.train_embeddings or (spec.train_output_head and tied):
        chosen.append(model.get_input_embeddings())
    if spec.train_output_head and not tied:
        chosen.append(model.get_output_embeddings())
    return chosen


def check_targets(model: PreTrainedModel, spec: AdapterSpec) -> None:
    """Refuse targets of LoRA that are not there, are tied, or would be trained twice.

    Raises:
        ConfigError: with one problem for every such target.
    """
    linear = {
        name.split(".")[-1]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    head = _name_of(model, model.get_output_embeddings())
    ends = {head, _name_of(model, model.get_input_embeddings())}
    problems = []
    for target in spec.target_modules:
        if target in ends and is_tied(model):
            rule = "is tied to the other end of the model: merging would add its LoRA twice"
            fix = "leave it out, or train it whole with adapter.train_embeddings=true"
        elif target not in linear:
            rule, fix = "is no linear layer of this model", f"there are {', '.join(sorted(linear))}"
        elif target == head and spec.train_output_head:
            rule = "would be trained twice: by LoRA and whole"
            fix = "leave it out, or write adapter.train_output_head=false"
        else:
            continue
        problems.append(Problem("adapter.targets", target, rule, fix))
    if problems:
        raise ConfigError(problems)


def _lora_config(model: PreTrainedModel, spec: AdapterSpec) -> Any:
    from peft import LoraConfig

    whole = {_name_of(model, module) for module in trained_whole(model, spec)}
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(spec.target_modules),
        modules_to_save=sorted(whole) or None,
        use_dora=spec.use_dora,
        ensure_weight_tying=bool(whole) and is_tied(model),
    )


def _name_of(model: nn.Module, wanted: nn.Module) -> str:
    """Return the last part of a module's name, as PEFT wants it."""
    names = (name for name, module in model.named_modules() if module is wanted)
    return str(next(names)).split(".")[-1]


def _prepare_quantized(model: PreTrainedModel) -> None:
    from musicllm.model.quantization import require_nf4

    require_nf4()
    assert getattr(model, "is_loaded_in_4bit", False), "load the base with quantization='nf4' first"
    from peft import prepare_model_for_kbit_training

    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
