"""What PEFT is told to adapt, and whether it did.

PEFT takes the ends of names. A name is given as short as it is unambiguous, `q_proj` where every
layer of that name is meant, so that a folder says the same whatever the depth of its base. Experts
are stacked in one tensor, which PEFT adapts by `target_parameters`; in a model with experts it
takes some names of plain layers for theirs, so these are named by their tensors, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from musicllm.errors import NotAvailableError, Problem
from musicllm.model import tensors
from musicllm.model.anatomy import Anatomy, Matrix
from musicllm.model.spec import AdapterSpec

NO_EXPERTS = "write adapter.targets=[attention], or name layers outside the experts' blocks"


@dataclass(frozen=True)
class Targets:
    """What gets LoRA.

    Attributes:
        modules: paths of linear layers.
        parameters: paths of tensors.
        is_transposed: the layers store their weights as [inputs, outputs].
    """

    modules: tuple[str, ...]
    parameters: tuple[str, ...]
    is_transposed: bool


def of_matrices(anatomy: Anatomy, matrices: Sequence[Matrix], *, with_head: bool) -> Targets:
    """Return how PEFT adapts matrices of the decoder layers.

    Args:
        anatomy: of the model.
        matrices: of its layers.
        with_head: adapt the output head as well.
    """
    has_experts = any(matrix.is_expert for matrix in anatomy.matrices())
    modules, parameters = [], []
    for matrix in matrices:
        if matrix.is_expert:
            parameters.append(matrix.path)
        elif has_experts and matrix.part != "attention":
            parameters.append(f"{matrix.path}.weight")
        else:
            modules.append(matrix)
    paths = [matrix.path for matrix in modules] + [anatomy.head] * with_head
    is_transposed = bool(modules) and all(matrix.transposed for matrix in modules)
    return Targets(tuple(paths), tuple(parameters), is_transposed)


def short_names(paths: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the shortest ends of paths that no other name has, in their order.

    Args:
        paths: some of `names`.
        names: of all modules, or of all parameters.
    """
    wanted = list(paths)
    others = {end for name in set(names) - set(wanted) for end in _ends(name)}
    return list(
        dict.fromkeys(
            next((end for end in _ends(path) if end not in others), path) for path in wanted
        )
    )


def problems(model: nn.Module, targets: Targets, spec: AdapterSpec) -> Iterator[Problem]:
    """Yield settings that tensors of experts, or the layers beside them, do not allow."""
    if spec.quantization is not None and targets.parameters:
        rule = (
            f"is for linear layers, and the experts of {type(model).__name__} are stacked in "
            f"tensors such as {targets.parameters[0]}"
        )
        yield Problem("adapter.quantization", spec.quantization, rule, "use adapter=lora_r64")
    if not targets.parameters:
        return
    where = f"{type(model).__name__}'s {targets.parameters[0]}, which is adapted as a tensor"
    if spec.dropout:
        rule = f"cannot act on the input of {where}"
        yield Problem("adapter.dropout", spec.dropout, rule, f"write 0, or {NO_EXPERTS}")
    if spec.use_dora:
        rule = f"is not available for {where}"
        yield Problem("adapter.use_dora", "true", rule, f"write false, or {NO_EXPERTS}")
    if spec.init == "pissa":
        rule = f"is not available for {where}"
        yield Problem("adapter.init", "pissa", rule, f"write zero, or {NO_EXPERTS}")


def refuse_others(adapted: Any, targets: Targets, whole: Iterable[str]) -> None:
    """Make sure that PEFT has adapted what it was told to, and nothing else.

    Args:
        adapted: base with LoRA.
        targets: what has LoRA.
        whole: paths of modules that are trained whole beside it.

    Raises:
        NotAvailableError: it has not; the message names layers.
    """
    from peft.tuners.lora import LoraLayer
    from peft.tuners.lora.layer import ParamWrapper
    from peft.utils import ModulesToSaveWrapper

    actual = set()
    for name, module in adapted.get_base_model().named_modules():
        if isinstance(module, ParamWrapper):
            actual.add(f"{name.replace('.base_layer', '')}.{module.parameter_name}")
        elif isinstance(module, LoraLayer):
            actual.add(name)
        elif isinstance(module, ModulesToSaveWrapper):
            actual.add(f"a copy of {name}")
    expected = {*targets.modules, *targets.parameters, *(f"a copy of {name}" for name in whole)}
    faults = [f"{name} is not trained" for name in expected - actual]
    faults += [f"{name} is trained" for name in actual - expected]
    if faults:
        raise NotAvailableError(
            f"PEFT does not adapt {type(adapted.get_base_model()).__name__} as adapter.targets "
            f"says: {tensors.summarise(faults)}; choose other targets"
        )


def _ends(name: str) -> Iterator[str]:
    """Yield the ends of a dotted name, from the shortest to the whole."""
    parts = name.split(".")
    return (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
