"""The runs that a model comes from, as the manifests on this machine tell it.

Every artifact records its inputs. They are followed from the model back to the first corpus; what
is no longer on this machine is named, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from musicllm import artifacts
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.report.lineage import Lineage, Step


def lineage_of(model: Artifact) -> Lineage:
    """Return the steps that made a model, the first one first; each once."""
    steps: dict[str, Step] = {}
    absent: list[str] = []
    for step in _walk("model", model, absent):
        steps.setdefault(step.artifact.fingerprint, step)
    return Lineage(tuple(steps.values()), tuple(dict.fromkeys(absent)))


def _walk(role: str, artifact: Artifact, absent: list[str]) -> Iterator[Step]:
    """Yield the steps behind an artifact, and then its own."""
    inputs = artifact.provenance.get("inputs", {})
    for name, record in inputs.items():
        path = artifacts.locate_input(artifact, record)
        try:
            above = artifacts.read(Path(path))
        except ArtifactError:  # a plain folder of another program, or gone
            absent.append(path)
        else:
            if above.fingerprint == record["fingerprint"]:
                yield from _walk(name, above, absent)
            else:
                absent.append(path)
    base = artifact.facts.get("base")
    if isinstance(base, dict) and "model" not in inputs and base.get("absolute"):
        absent.append(str(base["location"]))
    yield Step(role, artifact)
