"""A proof, before the first step, that training computes a model's own function on its documents.

The very class, remote code included, is shrunk (`shrinking`), given random weights, and run twice
through `isolation.decode`, which is what training runs: on documents in one row with the attention
of the run, and on each document alone with `eager` attention, as its authors wrote it. Hidden
states and all gradients must be equal. Documents are longer than windows and chunks. Takes about a
second; what passed is remembered by a hash of configuration, code and versions.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from musicllm import artifacts
from musicllm.errors import NotAvailableError
from musicllm.model import anatomy, attention, isolation, shrinking, tracing
from musicllm.model.base import seeded
from musicllm.model.isolation import WORDS, Isolation

LENGTHS = (19, 1, 27, 5, 12)
"""Of the documents, in tokens: below and above the small window, and a single token."""

TOLERANCES = {torch.float32: (1e-3, 1e-2), torch.bfloat16: (5e-2, 0.3), torch.float16: (2e-2, 0.1)}
"""Dtype -> largest relative error of the hidden states of a document, and of a gradient."""

CODE = (
    "anatomy.py", "attention/kernels.py", "attention/packing.py", "attention/patterns.py",
    "certificate.py", "isolation.py", "shrinking.py",
)  # fmt: skip
"""Files of this folder that decide what passes."""


@dataclass(frozen=True)
class Certificate:
    """How a model computes its own function on a row of documents.

    Attributes:
        model: name of the class.
        isolation: how documents go through it.
        attention: as registered in transformers.
        reason: why documents go one by one; empty if they are packed.
    """

    model: str
    isolation: Isolation
    attention: str
    reason: str = ""

    def as_text(self) -> str:
        """Return one line for people."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"{WORDS[self.isolation]}, attention {self.attention}{reason}"


def certify(
    skeleton: PreTrainedModel,
    choices: Sequence[str],
    *,
    max_length: int,
    cache: Path,
    remote: bool = False,
    device: str = "cpu",
    dtype: str = "float32",
) -> Certificate:
    """Return the first way in which a class computes its own function.

    Documents packed with the first attention are tried first, unless a layer carries a state, then
    one by one with each.

    Args:
        skeleton: the text decoder of the run, on any device, such as meta.
        choices: attentions, as registered in transformers; the first is that of the run.
        max_length: longest document of the run, in tokens.
        cache: folder for certificates, which can be deleted.
        remote: its class comes with the model.
        device: of the run; what runs on a GPU is tried on the CPU first.
        dtype: of the computation on a GPU.

    Raises:
        NotAvailableError: there is none; the message says which layer differs, and how.
    """
    attention.register()
    facts = _identity(skeleton, choices, max_length, device, dtype)
    record = cache.expanduser() / "certificates" / f"{artifacts.fingerprint(facts)}.json"
    with suppress(OSError, ValueError, TypeError):
        return Certificate(**json.loads(record.read_text(encoding="utf-8"))["certificate"])
    trial = Trial(skeleton, max_length=max_length, remote=remote)
    certificate = _first(trial, choices, anatomy.inspect(skeleton).stateful)
    if device != "cpu":
        trial.compare(
            certificate.isolation, certificate.attention, device, getattr(torch, dtype)
        ).refuse()
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        artifacts.write_json(record, {"certificate": asdict(certificate), "of": facts})
    return certificate


def _first(trial: Trial, choices: Sequence[str], stateful: Sequence[str]) -> Certificate:
    """Return the first way that passes on the CPU."""
    ways: list[tuple[Isolation, str]] = [("one_by_one", name) for name in choices]
    if not stateful:
        ways.insert(0, ("packed", choices[0]))
    faults: list[str] = []
    for way, name in ways:
        on_cpu = attention.NAME if name in attention.ALL else name
        fault = trial.compare(way, on_cpu).fault
        if not fault:
            state = f"{stateful[0]} convolves or carries a state" if stateful else ""
            return Certificate(trial.name, way, name, next(iter(faults), state))
        faults.append(fault)
    listing = "\n".join(
        f"  {WORDS[way]}, {name}: {fault}" for (way, name), fault in zip(ways, faults, strict=True)
    )
    raise NotAvailableError(
        f"{trial.name} would be trained as another model than it is, so it is not trained:\n"
        f"{listing}"
    )


@dataclass(frozen=True)
class Comparison:
    """What differs between a run on a row and the documents alone; an empty fault if nothing."""

    model: str
    fault: str

    def refuse(self) -> None:
        """Raise NotAvailableError if there is a fault."""
        if self.fault:
            raise NotAvailableError(f"{self.model} cannot be trained: {self.fault}")


class Trial:
    """A small model of a class with random weights, and its documents.

    Attributes:
        name: of the class.
        documents: int64 [1, N] and where each begins, int32 [documents + 1].
    """

    def __init__(self, skeleton: PreTrainedModel, *, max_length: int, remote: bool) -> None:
        """Shrink the class, and run its documents alone.

        Raises:
            NotAvailableError: even the documents alone do not run.
        """
        self.name = type(skeleton).__name__
        self._remote = remote
        ends = torch.tensor((0, *LENGTHS)).cumsum(0)
        generator = torch.Generator().manual_seed(0)
        low, high = shrinking.SPECIAL_IDS, shrinking.VOCAB_SIZE
        self.tokens = torch.randint(low, high, (1, int(ends[-1])), generator=generator)
        self.positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
        self.ends = ends.int()
        problems = []
        for widths in (True, False):
            try:
                self.config = shrinking.shrunk(skeleton, max_length=max_length, widths=widths)
                self.reference = self._build("eager")
                shrinking.compare(skeleton, self.reference)
                self._alone = self._run(self.reference, "one_by_one")
            except Exception as error:  # noqa: BLE001 - whatever code of a model raises
                problems.append(_first_line(error))
            else:
                return
        raise NotAvailableError(
            f"{self.name} does not run in a small size, so that it cannot be told whether it is "
            f"trained as it is: {'; '.join(dict.fromkeys(problems))}"
        )

    def compare(
        self,
        way: Isolation,
        name: str,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Comparison:
        """Compare the documents in a row with each alone."""
        try:
            model = self._build(name, device, dtype)
            ours = self._run(model, way)
        except Exception as error:  # noqa: BLE001 - whatever code of a model raises
            return Comparison(self.name, f"the class does not run so: {_first_line(error)}")
        return Comparison(self.name, self._difference(model, way, ours, TOLERANCES[dtype]))

    def _build(
        self, name: str, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> PreTrainedModel:
        """Build the small model with an attention, in training mode, always with equal weights."""
        options: dict[str, Any] = {"trust_remote_code": True} if self._remote else {}
        config = type(self.config).from_dict(self.config.to_dict())
        config.name_or_path = self.config.name_or_path
        with seeded(0):
            model = AutoModelForCausalLM.from_config(
                config,
                dtype=torch.float32,
                attn_implementation=attention.implementation(name),
                **options,
            )
            _randomize(model)
        return model.to(device, dtype).train()

    def _run(self, model: PreTrainedModel, way: Isolation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return hidden states, [N, D], and the gradients of a linear function of them."""
        isolation.choose(model, way)
        hidden = self._decode(model)
        weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
        model.zero_grad()
        torch.autograd.backward((hidden * weights).sum())
        gradients = {
            name: weight.grad.float().cpu()
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }
        return hidden[0].detach(), gradients

    def _decode(self, model: PreTrainedModel) -> Tensor:
        tokens, positions, ends = (
            tensor.to(model.device) for tensor in (self.tokens, self.positions, self.ends)
        )
        return isolation.decode(model, {"input_ids": tokens}, positions, ends).float().cpu()

    def _difference(
        self,
        model: PreTrainedModel,
        way: Isolation,
        ours: tuple[Tensor, dict[str, Tensor]],
        tolerances: tuple[float, float],
    ) -> str:
        """Return what differs, in words."""
        errors = [
            _error(mine, theirs)
            for mine, theirs in zip(
                ours[0].split_with_sizes(LENGTHS),
                self._alone[0].split_with_sizes(LENGTHS),
                strict=True,
            )
        ]
        wrong = [not error <= tolerances[0] for error in errors]
        if any(wrong):
            layer = self._first_layer(model, way, tolerances[0])
            what = (
                "computes something else than it does on each document alone"
                if wrong[0] or way == "one_by_one"
                else "lets documents see those before them"
            )
            return f"{layer} {what} (relative error {max(errors):.1%})"
        floor = max((float(g.norm()) for g in self._alone[1].values()), default=0.0) / 100
        for name, theirs in self._alone[1].items():
            mine = ours[1].get(name)
            if mine is None or not _error(mine, theirs, floor) <= tolerances[1]:
                return f"the gradient of {name} differs from that of each document alone"
        return ""

    def _first_layer(self, model: PreTrainedModel, way: Isolation, tolerance: float) -> str:
        """Return the first module, in the order of computation, whose output differs."""
        isolation.choose(self.reference, "one_by_one")
        isolation.choose(model, way)
        with torch.no_grad():
            alone = tracing.outputs(
                self.reference, lambda: self._decode(self.reference), num_passes=len(LENGTHS)
            )
            num_passes = 1 if way == "packed" else len(LENGTHS)
            together = tracing.outputs(model, lambda: self._decode(model), num_passes=num_passes)
        for path, theirs in alone.items():
            mine = together.get(path)
            if mine is None or mine.shape != theirs.shape or mine.shape[:2] != self.tokens.shape:
                continue
            if not _error(mine, theirs) <= tolerance:
                return tracing.place_of(model, path)
        return "a layer"


def _randomize(model: nn.Module) -> None:
    """Give random weights of a size that lets every part of a layer matter."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=weight.shape[-1] ** -0.5)
            elif weight.dim() == 1:
                weight.nan_to_num_(0.0, 0.0, 0.0).add_(torch.randn(weight.shape), alpha=0.2)


def _error(mine: Tensor, theirs: Tensor, floor: float = 0.0) -> float:
    """Return the norm of the difference by that of the reference, or by a floor."""
    scale = max(float(theirs.norm()), floor, 1e-12)
    return float((mine.float() - theirs.float()).norm()) / scale


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    sentence = text.partition(". ")[0]
    return f"{type(error).__name__}: {sentence[:300]}"


def _identity(
    skeleton: PreTrainedModel, choices: Sequence[str], max_length: int, device: str, dtype: str
) -> dict[str, Any]:
    """Return everything that a certificate depends on."""
    config: PreTrainedConfig = skeleton.config
    place = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return {
        "class": f"{type(skeleton).__module__}.{type(skeleton).__qualname__}",
        "config": json.loads(config.to_json_string(use_diff=False)),
        "choices": list(choices),
        "max_length": max_length,
        "device": [place, dtype],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "code": {path.name: artifacts.checksum(path) for path in _code(skeleton)},
    }


def _code(skeleton: PreTrainedModel) -> Iterator[Path]:
    """Yield the files whose code a certificate is about."""
    source = inspect.getsourcefile(type(skeleton))
    if source is not None:
        yield Path(source)
    for name in CODE:
        yield Path(__file__).parent / name
