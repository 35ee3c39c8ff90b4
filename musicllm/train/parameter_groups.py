"""Sorts the trained parameters of a model into groups for optimizers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class ParameterGroups:
    """The trained parameters of a model, each in one group.

    Attributes:
        hidden: matrices that are neither embeddings nor the output head.
        head: the output head, when it is not tied to the embeddings; and tensors of more than two
            dimensions, such as stacked experts, which are no matrices.
        plain: embeddings, norms, biases; without weight decay.
    """

    hidden: list[nn.Parameter]
    head: list[nn.Parameter]
    plain: list[nn.Parameter]


def parameter_groups(model: nn.Module) -> ParameterGroups:
    """Sort the trained parameters of a transformers or PEFT model."""
    inputs: nn.Module = model.get_input_embeddings()  # type: ignore[operator]
    embeddings = {
        id(parameter)
        for module in (*model.modules(), inputs)
        if isinstance(module, nn.Embedding) or module is inputs
        for parameter in module.parameters()
    }
    output: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
    head = {id(parameter) for parameter in output.parameters()} - embeddings
    groups = ParameterGroups([], [], [])
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or id(parameter) in embeddings:
            groups.plain.append(parameter)
        elif id(parameter) in head or parameter.ndim > 2:
            groups.head.append(parameter)
        else:
            groups.hidden.append(parameter)
    return groups
