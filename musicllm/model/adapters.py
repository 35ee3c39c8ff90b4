"""Adapters: training LoRA or DoRA with whole matrices beside it, all weights, or none.

Built on PEFT; this module rejects what PEFT would do silently or wrongly, and knows which
tensors a checkpoint must contain. `base` loads the base model, `merge` merges adapters.
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

from musicllm.errors import ArtifactError, ConfigError, NotAvailableError, Problem
from musicllm.model import pissa, rows, targets, tensors
from musicllm.model.anatomy import Anatomy, Matrix, inspect, ties
from musicllm.model.audio import bundle
from musicllm.model.base import seeded
from musicllm.model.spec import AdapterSpec
from musicllm.model.targets import Targets
from musicllm.model.weights import WeightFiles

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Prefix that PEFT adds to the names of the base."""

TIED_BY_PEFT = "embed_tokens"
"""Name of the embeddings whose copy PEFT ties to the head, and of no others."""

NO_PLACE = "belongs to no matrix of the base"


def attach(
    model: PreTrainedModel,
    spec: AdapterSpec,
    *,
    seed: int,
    run: Path | None = None,
    writes: bool = True,
) -> PeftModel | PreTrainedModel:
    """Set which parameters are trained, and add LoRA if requested; the outputs do not change.

    With LoRA every trained tensor is float32 whatever the dtype of the base, since updates are
    smaller than the precision of bfloat16; a bfloat16 base with trained embeddings therefore needs
    autocast. With tied embeddings, training the embeddings or the head trains the shared matrix.

    Args:
        model: the base; modified in place.
        spec: what to train.
        seed: of LoRA's random initialisation; torch's global random state is not changed.
        run: folder where the start of PiSSA is kept; needed for `spec.init` pissa only.
        writes: whether this process writes the start.

    Raises:
        ConfigError: a target does not exist, is tied, or would be trained twice.
    """
    if spec.kind != "lora":
        assert spec.kind in ("full", "none"), f"adapter kind {spec.kind!r} passed the checks"
        return model.requires_grad_(spec.kind == "full")
    check_targets(model, spec)
    if spec.new_rows:
        rows.refuse_misfits(model, spec.new_rows)
    if spec.quantization is not None:
        _prepare_quantized(model)
    with seeded(seed, model.device):
        adapted = wrap(model, spec)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            assert not parameter.any(), f"{name} is not zero: training would start elsewhere"
    if spec.init == "pissa":
        assert run is not None, "PiSSA without a folder for its start"
        with seeded(seed, model.device):
            pissa.start(adapted, run / pissa.FILE, write=writes)
    return adapted


def wrap(model: PreTrainedModel, spec: AdapterSpec) -> PeftModel:
    """Add LoRA to a model on any device, also on `meta`; what is trained is float32.

    Raises:
        NotAvailableError: PEFT does not adapt exactly the targets.
    """
    from peft import get_peft_model

    anatomy = inspect(model)
    goals, whole = _targets(anatomy, spec), _ends_trained_whole(anatomy, spec)
    try:
        with quiet_peft():
            adapted: PeftModel = get_peft_model(model, _lora_config(model, goals, whole, spec))
    except ValueError as error:
        raise NotAvailableError(f"PEFT cannot adapt {type(model).__name__}: {error}") from error
    tied = [anatomy.head] if whole and anatomy.tied else []
    targets.refuse_others(adapted, goals, [*whole, *tied])
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def causal_model(model: nn.Module) -> Any:
    """Return the transformers model, unwrapped from PEFT."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained parameters by name; tied matrices appear once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


@torch.no_grad()
def load_trained(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into the model.

    Raises:
        ArtifactError: names or shapes differ from the trained parameters of this model.
    """
    expected = trained(model)
    stored = {name: tensor.shape for name, tensor in state.items()}
    shapes = {name: tensor.shape for name, tensor in expected.items()}
    if text := tensors.summarise(tensors.shape_faults(stored, shapes, "is not trained here")):
        raise ArtifactError(f"saved weights do not fit this model and adapter: {text}")
    for name, tensor in expected.items():
        tensor.copy_(state[name])


def save_adapter(model: PeftModel, folder: Path, *, run: Path | None = None) -> None:
    """Write a PEFT folder: LoRA and the matrices trained beside it, as safetensors.

    It refers to its base by absolute path or hub id, and fits this base as it was loaded.

    Args:
        model: base with adapter.
        folder: for the adapter.
        run: folder with the start of PiSSA, if the adapter started so.
    """
    # "auto" would query the hub for the base's vocabulary; trained embeddings are saved anyway
    model.save_pretrained(str(folder), save_embedding_layers=False)
    if run is not None and (run / pissa.FILE).is_file():
        pissa.as_lora(folder, run / pissa.FILE)


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Load a saved adapter onto its base, for inference.

    If embeddings and head were trained with more rows than the base has, the base is resized.

    Args:
        model: the base, on its device; modified in place.
        folder: a PEFT folder, such as written by `save_adapter`.

    Raises:
        InputError: a file is missing or damaged, or contains NaN or infinity.
        ArtifactError: its tensors do not match this adapter on this base; the message names
            them.
    """
    from peft import PeftConfig, PeftModel
    from peft.auto import MODEL_TYPE_TO_PEFT_MODEL_MAPPING
    from peft.utils.save_and_load import get_peft_model_state_dict

    stored = WeightFiles({"": folder / ADAPTER_WEIGHTS})
    tensors.refuse_not_finite(folder, ((name, stored.read(name)) for name in stored.shapes))
    settings = PeftConfig.from_pretrained(str(folder))
    settings.inference_mode = True
    _take_rows(model, stored, settings)
    ends = {f"{PREFIX}{name}": list(model.get_parameter(name).shape) for name in end_names(model)}
    with quiet_peft():
        kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(settings.task_type, PeftModel)
        try:
            adapted: PeftModel = kind(model, settings)
        except ValueError as error:
            raise ArtifactError(f"the adapter {folder} does not fit its base: {error}") from error
        state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        expected = {name: list(tensor.shape) for name, tensor in state.items()}
        # PEFT saves embeddings and head of a resized base without recording it in its settings
        expected |= {name: shape for name, shape in ends.items() if name in stored.shapes}
        faults = tensors.shape_faults(stored.shapes, expected, NO_PLACE)
        if text := tensors.summarise(faults):
            raise ArtifactError(f"the adapter {folder} does not fit its base: {text}")
        adapted.load_adapter(str(folder), "default", is_trainable=False)
    rows.put_into_base(adapted)
    if bundle.is_in(folder):
        bundle.load(causal_model(adapted), folder)
    return adapted.eval()


def end_names(model: PreTrainedModel) -> list[str]:
    """Return the weight names of embeddings and head; if they are tied, only of the embeddings."""
    ends = ends_of(model)
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if any(module is end for end in ends)
    ]


def _take_rows(model: PreTrainedModel, stored: WeightFiles, settings: PeftConfig) -> None:
    """Resize the base to the rows of embeddings and head that the adapter trained.

    Those are all rows, if the adapter has both matrices, or the new ones.
    """
    num_rows = model.get_input_embeddings().num_embeddings
    sizes = {stored.shapes.get(f"{PREFIX}{name}", [0])[0] for name in end_names(model)}
    whole = next(iter(sizes))
    if len(sizes) == 1 and whole not in (0, num_rows):
        model.resize_token_embeddings(whole, mean_resizing=False)  # the adapter replaces all rows
    elif rows.num_rows_in(settings) > num_rows:  # the adapter replaces all rows that are added
        model.resize_token_embeddings(rows.num_rows_in(settings), mean_resizing=False)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Suppress warnings about what PEFT 0.21 corrects by itself, and what transformers 5 renamed.

    Matrices that are stored as [inputs, outputs] are not so in 4 bits; PEFT looks at each layer.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        yield


def is_tied(model: PreTrainedModel) -> bool:
    """Return whether the output head shares the embedding matrix."""
    return ties(model.config)


def trained_whole(model: PreTrainedModel, spec: AdapterSpec) -> list[nn.Module]:
    """Return the modules that are trained whole beside LoRA: the embeddings, the head, or both.

    A tied pair is represented by the embeddings.
    """
    tied = is_tied(model)
    modules: list[nn.Module] = []
    if spec.train_embeddings or (spec.train_output_head and tied):
        modules.append(model.get_input_embeddings())
    if spec.train_output_head and not tied:
        modules.append(model.get_output_embeddings())
    return modules


def target_matrices(anatomy: Anatomy, spec: AdapterSpec) -> list[Matrix]:
    """Return the matrices of the decoder layers that get LoRA, by part, name or path.

    A part means those of its matrices on which LoRA has an effect; see `musicllm.model.direct`.
    """
    goals = set(spec.targets)
    return [
        matrix
        for matrix in anatomy.matrices()
        if {matrix.path, matrix.name} & goals
        or (matrix.part in goals and matrix.part != "router" and matrix.is_adaptable)
    ]


def check_targets(model: PreTrainedModel, spec: AdapterSpec) -> None:
    """Reject targets of LoRA that do not exist, are tied, or would be trained twice or in vain.

    Raises:
        ConfigError: with a problem for every such target, and for settings that they do not allow.
    """
    anatomy = inspect(model)
    matrices = anatomy.matrices()
    linear = {matrix.name for matrix in matrices}
    head, embeddings = _last(anatomy.head), _last(anatomy.embeddings)
    known = {part for matrix in matrices for part in (matrix.part, matrix.name, matrix.path)}
    fixed = {name for m in matrices if not m.is_adaptable for name in (m.name, m.path)}
    routers = {name for m in matrices if m.part == "router" for name in (m.name, m.path, m.part)}
    problems = []
    for target in spec.targets:
        if target in (head, embeddings) and anatomy.tied:
            rule = "is tied to the other end of the model: merging would add its LoRA twice"
            fix = "leave it out, or train it whole with adapter.train_embeddings=true"
        elif target not in known | {head}:
            rule = "is no linear layer of this model"
            parts = sorted({matrix.part for matrix in matrices} - {"router"})
            fix = f"there are {', '.join([*parts, *sorted((linear - routers) | {head})])}"
        elif target == head and spec.train_output_head:
            rule = "would be trained twice: by LoRA and whole"
            fix = "leave it out, or write adapter.train_output_head=false"
        elif target == head and spec.new_rows:
            rule = "would be trained twice: by LoRA and in its new rows"
            fix = f"leave it out, or write {rows.KEY}=false"
        elif target in routers:
            rule = "chooses experts and is not adapted"
            fix = "leave it out"
        elif target in fixed:
            rule = f"is read by {type(model).__name__}'s kernels past LoRA, which had no effect"
            fix = f"there are {', '.join(sorted(linear - fixed - routers))}"
        else:
            continue
        problems.append(Problem("adapter.targets", target, rule, fix))
    problems += targets.problems(model, _targets(anatomy, spec), spec)
    if _ends_trained_whole(anatomy, spec) and anatomy.tied and embeddings != TIED_BY_PEFT:
        rule = f"trains tied embeddings, which PEFT keeps tied only if they are {TIED_BY_PEFT}"
        fix = (
            f"those of {type(model).__name__} are {embeddings}: write adapter.train_embeddings="
            f"false and adapter.train_output_head=false, or adapter=full"
        )
        problems.append(Problem("adapter.train_embeddings", spec.train_embeddings, rule, fix))
    if problems:
        raise ConfigError(problems)


def _targets(anatomy: Anatomy, spec: AdapterSpec) -> Targets:
    with_head = _last(anatomy.head) in spec.targets
    return targets.of_matrices(anatomy, target_matrices(anatomy, spec), with_head=with_head)


def _ends_trained_whole(anatomy: Anatomy, spec: AdapterSpec) -> list[str]:
    """Return the paths of the modules of `trained_whole`."""
    ends = []
    if spec.train_embeddings or (spec.train_output_head and anatomy.tied):
        ends.append(anatomy.embeddings)
    if spec.train_output_head and not anatomy.tied:
        ends.append(anatomy.head)
    return ends


def _lora_config(
    model: PreTrainedModel, goals: Targets, whole: list[str], spec: AdapterSpec
) -> Any:
    from peft import LoraConfig
    from peft.utils.constants import DUMMY_TARGET_MODULES

    names = [name for name, _ in model.named_modules() if name]
    tensor_names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    modules = targets.short_names(goals.modules, names)
    new_rows = {_name_of(model, module): list(spec.new_rows) for module in ends_of(model)}
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.r or 1,  # without targets there is no LoRA, but PEFT wants a rank
        lora_alpha=spec.alpha or 1,
        use_rslora=spec.scaling == "rslora",
        lora_dropout=spec.dropout or 0.0,
        target_modules=modules if modules or goals.parameters else DUMMY_TARGET_MODULES,
        target_parameters=targets.short_names(goals.parameters, tensor_names) or None,
        modules_to_save=sorted(_last(end) for end in whole) or None,
        trainable_token_indices=new_rows if spec.new_rows else None,
        use_dora=spec.use_dora,
        fan_in_fan_out=goals.is_transposed,
        ensure_weight_tying=bool(whole) and is_tied(model),
    )


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def ends_of(model: PreTrainedModel) -> list[Any]:
    """Return embeddings and head; if they are tied, only the embeddings."""
    ends: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    return ends[: 1 if is_tied(model) else 2]


def _name_of(model: nn.Module, module: nn.Module) -> str:
    """Return the last part of a module's name, as PEFT expects it."""
    names = (name for name, candidate in model.named_modules() if candidate is module)
    return str(next(names)).split(".")[-1]


def _prepare_quantized(model: PreTrainedModel) -> None:
    assert getattr(model, "is_loaded_in_4bit", False), "load the base with quantization='nf4' first"
    from peft import prepare_model_for_kbit_training

    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
