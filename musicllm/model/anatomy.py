"""What a decoder is made of, by inspection of any causal language model.

The parts of a model are recognised by what they are, not by the names of one family: embeddings
and head by transformers' accessors, the decoder layers as the list of blocks in the decoder, and in
each layer the modules that mix tokens (attention, convolution, state) and the rest. The model may
lie on the meta device, be quantized, or have code of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from transformers import Conv1D, PreTrainedModel

from musicllm.errors import NotAvailableError
from musicllm.model.direct import layers_read_by

Part = Literal["attention", "mlp", "router"]

ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
"""In the name of a class or a module: it mixes tokens by attention."""

STATEFUL = re.compile(
    r"mamba|conv|delta|recurrent|rwkv|ssm|lightning|linear_?att|kda|retention|lstm", re.IGNORECASE
)
"""In the name of a class or a module: it mixes tokens by convolution or a state, which attention's
document boundaries do not reach."""

ROUTER = re.compile(r"(^|\.)(gate|shared_expert_gate)($|\.)|router", re.IGNORECASE)
"""In the name of a module beside experts: it chooses or weighs them."""

EXPERT = re.compile(r"(^|\.)experts\.(\d+)\.")
"""In the name of a module: it belongs to one of several experts."""

EXPERTS_PER_TOKEN = ("num_experts_per_tok", "moe_topk", "moe_k", "moe_top_k", "top_k_experts")
"""Keys of configurations for the number of experts that a token passes."""


@dataclass(frozen=True)
class Matrix:
    """A matrix of weights that tokens are multiplied with.

    Attributes:
        path: of the module, such as `model.layers.0.self_attn.q_proj`; of experts, whose matrices
            are one tensor, of that parameter.
        part: attention, mlp or router. What mixes tokens by convolution or state counts as
            attention.
        num_inputs: input features.
        num_outputs: output features.
        transposed: the weight is [inputs, outputs], as in Conv1D of GPT-2.
        has_bias: it adds a vector.
        num_experts: matrices of this shape in the parameter; 1 of a plain layer.
        is_adaptable: LoRA on it has an effect: no kernel of the module above reads its weight.
        share: share of the tokens that each matrix is multiplied with: k / E of E experts of which
            a token passes k, else 1.
    """

    path: str
    part: Part
    num_inputs: int
    num_outputs: int
    transposed: bool = False
    has_bias: bool = False
    num_experts: int = 1
    share: float = 1.0
    is_adaptable: bool = True

    @property
    def name(self) -> str:
        """Last part of the path, such as `q_proj`."""
        return self.path.rpartition(".")[2]

    @property
    def is_expert(self) -> bool:
        """Whether it is a parameter that stacks the matrices of experts."""
        return self.num_experts > 1

    @property
    def size(self) -> int:
        """Number of weights, without the bias."""
        return self.num_inputs * self.num_outputs * self.num_experts

    @property
    def active_size(self) -> float:
        """Number of weights that a token is multiplied with, averaged over tokens."""
        return self.size * self.share


@dataclass(frozen=True)
class LayerAnatomy:
    """A decoder layer.

    Attributes:
        path: of the module, such as `model.layers.0`.
        kind: equal for layers of the same modules, shapes and attention.
        matrices: in the order of the modules.
        mixers: paths of the modules that mix tokens.
        stateful: those of `mixers` that convolve or carry a state.
    """

    path: str
    kind: str
    matrices: tuple[Matrix, ...]
    mixers: tuple[str, ...]
    stateful: tuple[str, ...]


@dataclass(frozen=True)
class Anatomy:
    """A causal language model.

    Attributes:
        width: features of the residual stream, which the head multiplies.
        vocab_size: rows of the embeddings.
        tied: the head is the embedding matrix.
        embeddings: path of the input embeddings.
        head: path of the output head.
        decoder: path of the decoder, without the head.
        layers: from the bottom to the top.
    """

    width: int
    vocab_size: int
    tied: bool
    embeddings: str
    head: str
    decoder: str
    layers: tuple[LayerAnatomy, ...]

    def matrices(self, *parts: Part) -> list[Matrix]:
        """Return the matrices of all layers, or those of the parts."""
        return [
            matrix
            for layer in self.layers
            for matrix in layer.matrices
            if not parts or matrix.part in parts
        ]

    @property
    def stateful(self) -> tuple[str, ...]:
        """Paths of all modules that convolve or carry a state."""
        return tuple(path for layer in self.layers for path in layer.stateful)


def inspect(model: Any) -> Anatomy:
    """Return the anatomy of a model; reads no weights.

    Raises:
        NotAvailableError: no decoder layers are recognised, or there is no head.
    """
    paths = {module: name for name, module in model.named_modules()}
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or embeddings is None:
        raise NotAvailableError(f"{type(model).__name__} has no embeddings or no output head")
    decoder = decoder_of(model)
    blocks = _blocks(model, decoder)
    return Anatomy(
        width=int(head.weight.shape[-1]) if hasattr(head, "weight") else model.config.hidden_size,
        vocab_size=embeddings.num_embeddings,
        tied=head.weight is embeddings.weight or ties(model.config),
        embeddings=paths[embeddings],
        head=paths[head],
        decoder=paths[decoder],
        layers=tuple(_layer(paths[block], block, model) for block in blocks),
    )


def ties(config: Any) -> bool:
    """Return whether the head is to be the embeddings; a class of its own may not say."""
    return bool(getattr(config, "tie_word_embeddings", False))


def decoder_of(model: Any) -> nn.Module:
    """Return the decoder: from token ids to the hidden states that the head multiplies."""
    decoder, embeddings = model.get_decoder(), model.get_input_embeddings()
    if decoder is model:  # Llama 4, whose head and decoder have another prefix
        decoder = next(child for child in model.children() if embeddings in set(child.modules()))
    assert isinstance(decoder, nn.Module), f"{type(model).__name__} has no decoder"
    return decoder


def _blocks(model: PreTrainedModel, decoder: nn.Module) -> list[nn.Module]:
    """Return the decoder layers: the list in the decoder with most parameters."""
    lists = [module for module in decoder.modules() if isinstance(module, nn.ModuleList)]
    nested = {inner for outer in lists for inner in outer.modules() if inner is not outer}
    lists = [module for module in lists if module not in nested and len(module)]
    if not lists:
        raise NotAvailableError(f"{type(model).__name__} has no list of decoder layers")
    largest: nn.ModuleList = max(lists, key=_num_parameters)
    return list(largest)


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _layer(path: str, block: nn.Module, model: PreTrainedModel) -> LayerAnatomy:
    family = type(model.config).__name__.removesuffix("Config").removesuffix("Text")
    mixers = {
        name: f"{name} {type(module).__name__.removeprefix(family)}"
        for name, module in block.named_children()
        if _mixes(f"{name} {type(module).__name__.removeprefix(family)}", module)
    }
    stateful = [
        name
        for name, words in mixers.items()
        if STATEFUL.search(words) or _convolves(block.get_submodule(name))
    ]
    matrices = tuple(_matrices(path, block, tuple(mixers), model.config))
    shapes = [
        (matrix.path.removeprefix(path), matrix.num_inputs, matrix.num_outputs, matrix.num_experts)
        for matrix in matrices
    ]
    modes = [_mode(block.get_submodule(name)) for name in mixers]
    return LayerAnatomy(
        path,
        f"{type(block).__name__} {sorted(mixers.values())} {modes} {shapes}",
        matrices,
        tuple(f"{path}.{name}" for name in mixers),
        tuple(f"{path}.{name}" for name in stateful),
    )


def _mixes(words: str, module: nn.Module) -> bool:
    """Return whether a child of a layer mixes tokens; norms and dropout beside attention do not."""
    if "norm" in words.lower() or next(module.parameters(), None) is None:
        return False
    named = ATTENTION.search(words) or STATEFUL.search(words)
    return bool(named) or _convolves(module)


def _convolves(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv1d) for part in module.modules())


def _mode(mixer: nn.Module) -> tuple[object, ...]:
    """Return what makes mixers of one class compute differently: windows, positions, chunks."""
    keys = ("sliding_window", "use_rope", "is_local", "attention_chunk_size", "is_causal")
    return tuple(getattr(mixer, key, None) for key in keys)


def _matrices(
    path: str, block: nn.Module, mixers: tuple[str, ...], config: Any
) -> Iterator[Matrix]:
    names = [name for name, _ in block.named_modules()]
    has_experts = any(name.endswith("experts") for name in names)
    num_experts = len({match[2] for name in names if (match := EXPERT.search(name))})
    for name, module in block.named_modules():
        full = f"{path}.{name}"
        part: Part = "mlp"
        if name.split(".")[0] in mixers:
            part = "attention"
        elif has_experts and ROUTER.search(name):
            part = "router"
        weight = getattr(module, "weight", None)
        share = 1.0
        if EXPERT.search(name):
            share = min(1.0, (_experts_per_token(config) or num_experts) / num_experts)
        above, _, child = name.rpartition(".")
        free = child not in layers_read_by(block.get_submodule(above))
        if isinstance(module, nn.Linear):
            bias = module.bias is not None
            inputs, outputs = module.in_features, module.out_features
            yield Matrix(full, part, inputs, outputs, has_bias=bias, share=share, is_adaptable=free)
        elif isinstance(module, Conv1D):
            inputs, outputs = module.weight.shape
            yield Matrix(full, part, inputs, outputs, transposed=True, has_bias=True, share=share)
        elif part == "router" and isinstance(weight, nn.Parameter) and weight.dim() == 2:
            yield Matrix(full, part, weight.shape[1], weight.shape[0])
        elif part == "mlp":
            yield from _experts(full, module, config)


def _experts(path: str, module: nn.Module, config: Any) -> Iterator[Matrix]:
    """Yield the parameters of a module that stack one matrix for every expert."""
    transposed = bool(getattr(module, "is_transposed", False))
    for name, weight in module.named_parameters(recurse=False):
        if weight.dim() != 3:
            continue
        count, rows, columns = weight.shape
        inputs, outputs = (rows, columns) if transposed else (columns, rows)
        active = min(count, _experts_per_token(config) or count)
        yield Matrix(
            f"{path}.{name}", "mlp", inputs, outputs,
            transposed=transposed, num_experts=count, share=active / count,
        )  # fmt: skip


def _experts_per_token(config: Any) -> int | None:
    """Return the number of experts that a token passes, if the configuration says so."""
    numbers = (getattr(config, key, None) for key in EXPERTS_PER_TOKEN)
    return next((number for number in numbers if isinstance(number, int)), None)
