"""Private names of other libraries: each stands in one module, and exists in the installed version.

An upgrade that renames one fails here in seconds, not in the middle of a training.
"""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parent.parent / "musicllm"


def _of_transformers(name: str) -> bool:
    from transformers import PretrainedConfig, PreTrainedModel

    return hasattr(PreTrainedModel, name) or hasattr(PretrainedConfig, name)


def _of_cached_file(name: str) -> bool:
    from transformers.utils.hub import cached_files

    return name in inspect.signature(cached_files).parameters


def _of_torch_module(name: str) -> bool:
    return hasattr(nn.Linear(1, 1), name)


def _of_mkldnn(name: str) -> bool:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch is built without oneDNN")
    return hasattr(torch.ops.mkldnn, name)


def _of_lightning(name: str) -> bool:
    from lightning.pytorch.strategies import DeepSpeedStrategy

    return hasattr(DeepSpeedStrategy, name)


def _of_deepspeed(name: str) -> bool:
    module = pytest.importorskip("deepspeed.runtime.zero.stage_1_and_2")
    return name in inspect.getsource(module.DeepSpeedZeroOptimizer)


def _of_torch(name: str) -> bool:
    return find_spec(f"torch.{name}") is not None


def _of_trees(name: str) -> bool:
    return find_spec(f"torch.utils.{name}") is not None


def _of_storage(name: str) -> bool:
    return hasattr(torch.ones(1).untyped_storage(), name)


NAMES: dict[str, tuple[str, Callable[[str], bool]]] = {
    "_init_weights": ("model/merge/parts.py", _of_transformers),
    "_keys_to_ignore_on_load_unexpected": ("model/merge/adapted.py", _of_transformers),
    "_raise_exceptions_for_missing_entries": ("model/legacy.py", _of_cached_file),
    "_compiled_call_impl": ("train/between_steps.py", _of_torch_module),
    "_forward_hooks": ("train/fused.py", _of_torch_module),
    "_forward_pre_hooks": ("train/fused.py", _of_torch_module),
    "_backward_hooks": ("train/fused.py", _of_torch_module),
    "_backward_pre_hooks": ("train/fused.py", _of_torch_module),
    "_subclasses": ("model/trace/tracing.py", _of_torch),
    "_pytree": ("model/trace/trees.py", _of_trees),
    "_python_dispatch": ("model/trace/recorder.py", _of_trees),
    "_cdata": ("model/trace/recorder.py", _of_storage),
    "_linear_pointwise": ("inference/scorer/products.py", _of_mkldnn),
    "_init_deepspeed_distributed": ("train/zero.py", _of_lightning),
    "_setup_model_and_optimizer": ("train/zero.py", _of_lightning),
    "_lazy_init_hp_params_optimizer_state": ("train/state.py", _of_deepspeed),
    "_hp_optimizer_states_linked": ("train/state.py", _of_deepspeed),
}
"""Name -> module that uses it and says why, and whether it exists."""

PUBLIC = {"_replace", "_asdict", "_fields", "_exit"}
"""Names of the standard library that are documented."""


@pytest.mark.parametrize("name", NAMES)
def test_a_private_name_exists(name: str) -> None:
    assert NAMES[name][1](name), f"{name} is gone; look at musicllm/{NAMES[name][0]}"


def _definitions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == f"self.{node.attr}":
            yield from [node.attr] * isinstance(node.ctx, ast.Store)


def _uses(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("musicllm"):
            yield from (*(node.module or "").split("."), *(alias.name for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.Constant) and node.value in NAMES:
            yield str(node.value)  # of a `getattr` or `hasattr`
        elif isinstance(node, ast.FunctionDef) and node.name in NAMES:
            yield node.name  # overrides the library's


def test_every_private_name_is_listed_and_stands_in_one_module() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}
    own = {name for tree in trees.values() for name in _definitions(tree)} - set(NAMES) | PUBLIC
    places: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        for name in _uses(tree):
            if name.startswith("_") and not name.startswith("__") and name not in own:
                places[name].add(path.relative_to(ROOT).as_posix())
    assert places == {name: {place} for name, (place, _) in NAMES.items()}
