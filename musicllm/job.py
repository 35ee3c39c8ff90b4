"""What a stage is given, and how what it makes is identified.

A job is a configuration bound to its run folder `runs/<recipe>/<fingerprint-or-name>/` and to
the artifacts that it reads. Its fingerprint covers the settings that change the result and the
fingerprints of its inputs, not where it runs or who watches; so the same command finds its own
folder again, continues there, and does nothing when the artifact is complete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from musicllm import artifacts, facts
from musicllm.artifacts import Artifact
from musicllm.command import NO_WORDS, Command
from musicllm.contents import Contents
from musicllm.errors import ArtifactError, StageError
from musicllm.runs.view import view_of, whole
from musicllm.schema import Config


@dataclass(frozen=True)
class Job:
    """A configuration, its run folder and its inputs.

    Attributes:
        config: a view of what the stage declares; see `runs.view`.
        recipe: name of the recipe, such as `quickstart/sft`.
        folder: the run folder.
        kind: kind of artifact that the stage makes; empty if it makes none.
        fingerprint: of the settings that matter and the inputs.
        inputs: artifacts by role, such as `corpus` and `model`.
        local: what the user's own files held when the job was bound, by the names of settings.
        run_facts: see `facts.of_this_run`; what runs a job gathers them before the work.
        decides: task, version, settings and inputs that the fingerprint covers.
        command: its words; a pipeline passes them on.
        earlier: fingerprints of this training when it was to be shorter; see `runs.names`.
    """

    config: Config
    recipe: str
    folder: Path
    kind: str
    fingerprint: str
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    local: Mapping[tuple[str, ...], Contents] = field(default_factory=dict)
    run_facts: Mapping[str, Any] | None = None
    decides: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()
    command: Command = NO_WORDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", view_of(self.config))

    @property
    def artifact_path(self) -> Path:
        """Folder of the artifact that the stage makes."""
        return self.folder / "artifact"

    def existing(self) -> Artifact | None:
        """Return the complete artifact of this very job, or None."""
        if not self.kind:
            return None
        try:
            artifact = artifacts.read(self.artifact_path, self.kind)
        except ArtifactError:
            return None
        identity = self.identity(artifact.facts.get("chosen", {}))
        return artifact if artifact.fingerprint == identity else None

    def identity(self, choices: Mapping[str, object]) -> str:
        """Return the fingerprint of the result.

        Args:
            choices: what the stage decides by itself and what changes its result, such as a number
                of steps that the machine's speed allows; empty where settings decide everything.
        """
        if not choices:
            return self.fingerprint
        return artifacts.fingerprint([self.fingerprint, dict(choices)])

    def input(self, role: str) -> Artifact:
        """Return an input.

        Raises:
            ArtifactError: the recipe names none for this role.
        """
        if role not in self.inputs:
            raise ArtifactError(
                f"inputs.{role} is not set: {self.recipe} needs a {role}; "
                f"write inputs.{role}=<recipe name or folder of a finished run>"
            )
        return self.inputs[role]

    @contextmanager
    def writing(
        self, choices: Mapping[str, object] = MappingProxyType({})
    ) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Make the artifact; see `artifacts.writing`, and `identity` for `choices`."""
        with artifacts.writing(
            self.artifact_path, self.kind, self.identity(choices), self.provenance()
        ) as (folder, facts):
            if choices:
                facts["chosen"] = dict(choices)
            yield folder, facts

    def refuse_changed_files(self) -> None:
        """Refuse what was made of files that changed meanwhile, since nobody knows which bytes.

        Cost: one look at every file; those that were touched are read again.

        Raises:
            StageError: with the first such file.
        """
        for key, local in self.local.items():
            if changed := local.changed():
                more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
                raise StageError(
                    f"{local.files[changed[0]]}{more} of {'.'.join(key)} changed while "
                    f"{self.recipe} read it, so nothing is kept; run the same command again"
                )

    def provenance(self) -> dict[str, Any]:
        """Return what is needed to make the artifact again."""
        return {
            "recipe": self.recipe,
            "config": public(self.config),
            "inputs": {
                role: {
                    "path": str(artifact.path),
                    "fingerprint": artifact.fingerprint,
                    **artifacts.places(artifact.path, self.artifact_path),
                }
                for role, artifact in self.inputs.items()
            },
            **(facts.of_this_run() if self.run_facts is None else self.run_facts),
        }

    def agreement(self) -> dict[str, str]:
        """Return what must be equal in all processes of a run, by its name in messages."""
        return {
            "the settings": artifacts.fingerprint(public(self.config)),
            "the inputs": self.fingerprint,
            "the code of musicllm": code_fingerprint(),
            "the installed packages": artifacts.fingerprint(facts.installed_versions()),
        }


def public(config: Config) -> dict[str, Any]:
    """Return the configuration as JSON; it holds no secrets, since no setting may (`checks`)."""
    return dataclasses.asdict(whole(config))


def code_fingerprint() -> str:
    """Fingerprint the source files of this package as they lie on the disk; takes some ms."""
    root = Path(__file__).parent
    return artifacts.fingerprint(
        {str(file.relative_to(root)): file.read_text("utf-8") for file in root.rglob("*.py")}
    )
