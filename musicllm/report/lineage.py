"""The steps that made a model, and what their manifests say of data, licences and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from musicllm.artifacts import Artifact


class Step(NamedTuple):
    """A step on the way to a model.

    Attributes:
        role: in the next step, such as `corpus`.
        artifact: that it made.
    """

    role: str
    artifact: Artifact

    @property
    def recipe(self) -> str:
        """Name of the recipe; the folder's where another program made it."""
        return str(self.artifact.provenance.get("recipe") or self.artifact.path.name)

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration; empty where it is not recorded."""
        config: Mapping[str, Any] = self.artifact.provenance.get("config", {})
        return config

    @property
    def task(self) -> str:
        """What was done; empty where it is not recorded."""
        return str(self.config.get("task", ""))


class Licence(NamedTuple):
    """The licence of a part of a model.

    Attributes:
        name: of a source of data, or `model` for the weights that training began with.
        what: for people.
        text: what the configuration says.
    """

    name: str
    what: str
    text: str


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from.

    Attributes:
        steps: the first one first; the last one made the model.
        absent: inputs that are no artifacts on this machine: other programs' folders, or gone.
    """

    steps: tuple[Step, ...]
    absent: tuple[str, ...]

    @property
    def corpora(self) -> list[Step]:
        """The prepared corpora."""
        return [step for step in self.steps if step.artifact.kind == "corpus"]

    @property
    def trainings(self) -> list[Step]:
        """The trainings."""
        return [step for step in self.steps if step.task == "train"]

    @property
    def base(self) -> Mapping[str, Any] | None:
        """The model of the configuration of the first training; None without a record."""
        for step in self.trainings:
            if "model" not in step.artifact.provenance.get("inputs", {}):
                model: Mapping[str, Any] = step.config["model"]
                return model
        return None

    def licences(self) -> Iterator[Licence]:
        """Yield the licences of the weights that training began with, and of all data."""
        base = self.base
        if base is not None and base["location"] is not None:
            yield Licence("model", f"the base {base['name']}", base["licence"])
        seen: set[tuple[str, str]] = set()
        for step in self.corpora:
            for name, text in step.artifact.facts.get("licences", {}).items():
                if (name, text) not in seen:
                    seen.add((name, text))
                    yield Licence(name, f"the data of {name} ({step.recipe})", text)
