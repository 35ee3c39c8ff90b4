"""The sections of a model card in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.report.card import evaluations, making, writing
from musicllm.report.card.head import front_matter, licence_of
from musicllm.report.card.markdown import cell, public_place, table
from musicllm.report.lineage import Lineage


@dataclass(frozen=True)
class CardInputs:
    """What a card is written from.

    Attributes:
        name: of the model.
        label: of the format.
        library: of the hub, that loads it.
        rows: what the export says of the files.
        usage: Markdown that tells how to use them.
        architecture: content of config.json.
        has_template: whether the tokenizer has a chat template.
        lineage: the runs that the model comes from.
        location: hub id or folder, of a model that comes from no run.
        licence: of a model that comes from no run; None if it is not known.
        overridden: names of licences that are overridden.
        evaluation: of this model, or None.
        tunes: that this model wrote, or None.
        facts_of_run: versions, commit and command of the export.
    """

    name: str
    label: str
    library: str
    rows: Sequence[tuple[str, object]]
    usage: str
    architecture: Mapping[str, Any]
    has_template: bool
    lineage: Lineage
    location: str | None
    licence: str | None
    overridden: Sequence[str]
    evaluation: Artifact | None
    tunes: Artifact | None
    facts_of_run: Mapping[str, Any]


def model_card(inputs: CardInputs, example: writing.Example | None) -> str:
    """Return the card.

    Args:
        inputs: see there.
        example: a tune of `inputs.tunes`, with the names of its files beside the card.

    Raises:
        ArtifactError: a file of the evaluation or of the tunes is missing or damaged.
    """
    sections = [
        front_matter(
            lineage=inputs.lineage,
            location=inputs.location,
            licence=inputs.licence,
            library=inputs.library,
        ),
        f"# {cell(inputs.name)}\n",
        _summary(inputs),
        f"## Use\n\n{inputs.usage}",
        writing.prompts_section(inputs.tunes),
        writing.example_section(example),
        making.training_section(inputs.lineage),
        making.data_section(inputs.lineage),
        evaluations.results_section(inputs.evaluation),
        evaluations.memorisation_section(inputs.evaluation),
        making.licence_section(inputs.lineage, inputs.licence, inputs.overridden),
        making.provenance_section(inputs.lineage, inputs.facts_of_run),
        _not_known(inputs, example),
    ]
    return "\n".join(section for section in sections if section)


def _summary(inputs: CardInputs) -> str:
    kind = inputs.architecture.get("model_type", "unknown type")
    rows = [("format", inputs.label), ("architecture", kind), *inputs.rows]
    template = "a chat template" if inputs.has_template else "no chat template: it continues texts"
    rows.append(("prompts", template))
    text = "A language model that was trained on music, written by musicllm"
    if not inputs.lineage.trainings:
        text = "A language model, written by musicllm"
    return f"{text}.\n\n{table(('', 'value'), rows)}"


def _not_known(inputs: CardInputs, example: writing.Example | None) -> str:
    """Return the section of what this card does not say."""
    lines = [*_missing(inputs, example)]
    if not lines:
        return ""
    return "## What this card does not say\n\n" + "".join(f"- {cell(line)}\n" for line in lines)


def _missing(inputs: CardInputs, example: writing.Example | None) -> Iterator[str]:
    lineage = inputs.lineage
    if not lineage.trainings:
        yield "how the model was trained: no run of musicllm is recorded for it"
    elif not lineage.corpora:
        yield "what it was trained on: its corpora are no longer on the machine of the export"
    for path in lineage.absent:
        yield (
            f"what is behind {public_place(path)}: at the export it was not there, or no run of "
            f"musicllm's"
        )
    if licence_of(lineage, inputs.location, inputs.licence) is None:
        yield "under which licence it is, which its owner decides: write it into the head (license)"
    if inputs.evaluation is None:
        yield "how good it is: the export named no evaluation (inputs.evaluation)"
    elif not evaluations.memorisation_section(inputs.evaluation):
        yield "how much it copies its training data: the evaluation did not measure it"
    if inputs.tunes is None:
        yield "which prompts work: the export named no tunes (inputs.tunes)"
    elif example is None:
        yield "an example: none of the tunes of inputs.tunes parses with all bars fitting"
