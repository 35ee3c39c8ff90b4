"""Models for other programs: formats by name, one module of `kinds/` for each.

A format has everything that depends on it: its settings, what it needs to be installed, the files
that it writes, how they are proven equal to the model, and how they are used. Importing a format
imports no torch, since `checks` and `runs` use the formats, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from musicllm.errors import Problem
from musicllm.registry import Registry
from musicllm.schema import ExportConfig

NUMBERS: dict[str, object] = {"dtype": "auto", "max_shard_gb": 2.0, "num_texts": 128}
"""What says nothing, by key: the values of conf/export/default.yaml (tested)."""


@dataclass(frozen=True)
class Texts:
    """Texts of `inputs.texts` as token ids of the model, whole documents or conversations.

    Attributes:
        calibration: of the training split, on which a quantization may fit its scales.
        test: of the test split, on which perplexities are compared.
        requests: user messages of conversations of the test split.
    """

    calibration: Sequence[Sequence[int]]
    test: Sequence[Sequence[int]]
    requests: Sequence[str]


@dataclass(frozen=True)
class Export:
    """What a format is given.

    Attributes:
        source: folder of a whole model; see `checkpoint.local_folder`.
        folder: existing empty folder for the result.
        name: of the model, for files and commands.
        settings: `export` of the configuration.
        ignored_tensors: regular expressions of stored tensors that are no part of the model.
        texts: of `inputs.texts`; None if it is not set.
        accelerator: cpu or gpu, where a quantization may compute.
        seed: of random numbers.
        sampling: settings of `generation` by name, for formats that store them.
    """

    source: Path
    folder: Path
    name: str
    settings: ExportConfig
    ignored_tensors: tuple[str, ...] = ()
    texts: Texts | None = None
    accelerator: str = "cpu"
    seed: int = 0
    sampling: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """What a format has written.

    Attributes:
        rows: for the summary and the model card: label and value.
        facts: for the manifest, as JSON.
        usage: Markdown that tells how to use the files, for the model card.
    """

    rows: Sequence[tuple[str, object]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    usage: str = ""


def size_in_words(num_bytes: int) -> str:
    """Return a size as `1.9 MB` or `13.48 GB`, of 10^6 or 10^9 bytes."""
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


class Exporter(ABC):
    """A format.

    Attributes:
        name: value of `export.format`.
        label: for people.
        kind: of the artifact: `model` if every stage can use it like a trained one, else `export`.
        quantizations: values of `export.quantization`, the first of which is that of null; empty
            for a format that has only one.
        keys: settings of `NUMBERS` that it reads.
        needs_texts: why `inputs.texts` is needed; empty if it is not.
        modules: Python modules that have to be installed.
        extra: of musicllm that installs them.
        library: of the hub's list, for the model card, such as `transformers`.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    kind: ClassVar[str] = "export"
    quantizations: ClassVar[tuple[str, ...]] = ()
    keys: ClassVar[tuple[str, ...]] = ()
    needs_texts: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""
    library: ClassVar[str] = "transformers"

    @abstractmethod
    def export(self, export: Export) -> Exported:
        """Write the files, and prove that they are the model.

        Raises:
            InputError: the model cannot be read.
            NotAvailableError: the format does not have this architecture.
            StageError: what was written is not the model; the text says where it differs.
        """

    def quantization(self, settings: ExportConfig) -> str | None:
        """Return the quantization that the settings choose; None without a choice."""
        return settings.quantization or next(iter(self.quantizations), None)

    def problems(self, settings: ExportConfig) -> Iterator[Problem]:
        """Yield settings that are wrong, or have no effect on this format."""
        chosen, format_ = settings.quantization, f"export.format={self.name}"
        if chosen is not None and chosen not in self.quantizations:
            if self.quantizations:
                rule = f"must be one of {', '.join(self.quantizations)} with {format_}"
                yield Problem("export.quantization", chosen, rule)
            else:
                rule = f"has no effect on {format_}"
                yield Problem("export.quantization", chosen, rule, "write null")
        for key, unset in NUMBERS.items():
            value = getattr(settings, key)
            if key not in self.keys and value != unset:
                rule, fix = f"has no effect on {format_}", f"write {unset}"
                yield Problem(f"export.{key}", value, rule, fix)
        if settings.options:
            rule = f"has no effect on {format_}"
            yield Problem("export.options", settings.options, rule, "write {}")


EXPORTERS: Registry[Exporter] = Registry("export format", "musicllm.model.export.kinds")
