"""The state of a training, gathered by parameter name, and restored.

Weights and the optimizer state of every trained parameter are gathered in the shapes of the model,
whatever the strategy. So a checkpoint does not depend on ranks, ZeRO stages or micro-batches, and a
run may continue with others.

Every process must call these functions, since ZeRO has partitioned the tensors; only rank 0
receives them. Cost: one message per tensor, and the trained weights with their moments in the
memory of rank 0's machine, 12 bytes per parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from musicllm.errors import ArtifactError
from musicllm.launch import ranks
from musicllm.model.adapters import trained
from musicllm.train.zero import ZeroStrategy

OptimizerState = Mapping[str, Mapping[str, Tensor]]
"""Tensors of the optimizer, by parameter and name."""


def gather_weights(trainer: Trainer, model: nn.Module) -> dict[str, Tensor]:
    """Return the trained weights on rank 0; {} on the others."""
    if not isinstance(trainer.strategy, ZeroStrategy):
        return {n: w.detach() for n, w in trained(model).items()} if ranks.is_main() else {}
    from deepspeed.utils import safe_get_full_fp32_param

    whole = ((name, safe_get_full_fp32_param(weight)) for name, weight in trained(model).items())
    return _on_main(whole)


def gather_optimizer(trainer: Trainer, model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return the optimizer's state on rank 0; {} on the others."""
    weights = trained(model)
    if isinstance(trainer.strategy, ZeroStrategy):
        return _gather_zero(trainer.strategy.model.optimizer, weights)
    if not ranks.is_main():
        return {}
    names = {id(weight): name for name, weight in weights.items()}
    state = trainer.optimizers[0].state
    return {names[id(weight)]: dict(tensors) for weight, tensors in state.items()}


def restore_optimizer(trainer: Trainer, model: nn.Module, state: OptimizerState) -> None:
    """Restore the optimizer's state, before the first step.

    Raises:
        ArtifactError: it has parameters that are not trained here.
    """
    weights = trained(model)
    odd = sorted(state.keys() - weights.keys())
    if odd:
        raise ArtifactError(f"the saved optimizer state is of weights not trained here: {odd[:5]}")
    if not state:  # no update was made yet
        return
    if isinstance(trainer.strategy, ZeroStrategy):
        _restore_zero(trainer.strategy.model.optimizer, weights, state)
    else:
        _restore_plain(trainer.optimizers[0], weights, state)


def settle(trainer: Trainer, model: nn.Module) -> None:
    """Gather the trained weights in rank 0's model after the last step with ZeRO 3."""
    if isinstance(trainer.strategy, ZeroStrategy) and trainer.strategy.stage == 3:
        whole = gather_weights(trainer, model)
        weights = trained(model)
        for name, tensor in whole.items():
            weights[name].data = tensor


def _restore_plain(
    optimizer: Optimizer, weights: Mapping[str, nn.Parameter], state: OptimizerState
) -> None:
    names = {id(weight): name for name, weight in weights.items()}
    order = [names[id(weight)] for group in optimizer.param_groups for weight in group["params"]]
    numbered = {number: state[name] for number, name in enumerate(order) if name in state}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": numbered})


def _gather_zero(zero: Any, weights: Mapping[str, nn.Parameter]) -> dict[str, dict[str, Tensor]]:
    from deepspeed.utils import safe_get_full_optimizer_state

    states = [zero.optimizer.state.get(piece) for piece in _pieces(zero)]
    states = [state for state in states if state]
    if not states:
        return {}
    _link(zero)
    gathered = {}
    for name, weight in weights.items():
        moments = ((key, safe_get_full_optimizer_state(weight, key)) for key in _moments(states[0]))
        gathered[name] = {"step": states[0]["step"].cpu().clone(), **_on_main(moments)}
    return gathered if ranks.is_main() else {}


def _restore_zero(zero: Any, weights: Mapping[str, nn.Parameter], state: OptimizerState) -> None:
    from deepspeed.utils import safe_set_full_optimizer_state

    first = next(iter(state.values()))
    step, keys = first["step"], _moments(first)
    for piece in _pieces(zero):
        place = piece.device if zero.optimizer.defaults["fused"] else "cpu"
        moments = {key: torch.zeros_like(piece) for key in keys}
        zero.optimizer.state[piece] = {"step": step.to(place, copy=True), **moments}
    _link(zero)
    for name in weights.keys() & state.keys():
        for key in keys:
            value = state[name][key].to(weights[name].device)
            safe_set_full_optimizer_state(weights[name], value, key)


def _moments(state: Mapping[str, Any]) -> list[str]:
    """Return the names of the tensors with the shape of the parameter, all but `step`."""
    return [key for key in state if key != "step"]


def _link(zero: Any) -> None:
    """Link parameters to their moments, to which stages 1 and 2 keep views.

    DeepSpeed does it once, after the update of the first group, when the others have no moments.
    Private: there is no public call to do it again.
    """
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):
        zero._hp_optimizer_states_linked = False
        zero._lazy_init_hp_params_optimizer_state()


def _pieces(zero: Any) -> list[Tensor]:
    """Return this rank's flat pieces of the trained weights, over which the optimizer runs."""
    if hasattr(zero, "fp32_partitioned_groups_flat"):  # stage 3
        return list(zero.fp32_partitioned_groups_flat)
    return list(zero.single_partition_of_fp32_groups)


def _on_main(tensors: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Iterate over the tensors on every rank, and return copies on the CPU on rank 0."""
    copies = {}
    for name, tensor in tensors:
        if ranks.is_main():
            copies[name] = tensor.detach().to("cpu", copy=True)
    return copies
