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
from transformers import PreTrainedConfig, PreTrainedModel

from musicllm import artifacts
from musicllm.errors import NotAvailableError
from musicllm.model import anatomy, attention
from musicllm.model.isolation import WORDS, Isolation
from musicllm.model.trial import Trial

CODE = (
    "anatomy.py", "attention/kernels.py", "attention/packing.py", "attention/patterns.py",
    "certificate.py", "isolation.py", "shrinking.py", "trial.py",
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
        on_device = Trial(skeleton, max_length=max_length, remote=remote, all_experts=True)
        fault = on_device.compare(
            certificate.isolation, certificate.attention, device, getattr(torch, dtype)
        )
        if fault:
            raise NotAvailableError(
                f"{certificate.model} would be trained as another model than it is, with attention "
                f"{certificate.attention} in {dtype} on {device}: {fault}; another "
                f"hardware.attention may do"
            )
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
        fault = trial.compare(way, on_cpu)
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
