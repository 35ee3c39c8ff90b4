"""The head of a model card: YAML that the hub reads."""

from __future__ import annotations

from musicllm.report.card.markdown import HUB_ID, quoted
from musicllm.report.lineage import Lineage

HUB_LICENCES = {
    "apache-2.0": "apache-2.0",
    "mit": "mit",
    "cc by-nc 4.0": "cc-by-nc-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0",
    "llama 2 community license": "llama2",
    "llama 3.1 community license": "llama3.1",
    "llama 3.2 community license": "llama3.2",
    "gemma terms of use": "gemma",
}
"""Licences as options name them -> the names that the hub lists."""


def front_matter(
    *, lineage: Lineage, location: str | None, licence: str | None, library: str
) -> str:
    """Return the YAML between two lines of dashes.

    Args:
        lineage: the runs that the model comes from.
        location: of a model that comes from no run.
        licence: likewise.
        library: of the hub.
    """
    lines = [f"library_name: {library}", "pipeline_tag: text-generation"]
    base = lineage.base
    base_location = base["location"] if base is not None else location
    text = licence_of(lineage, location, licence)
    if text is not None:
        listed = HUB_LICENCES.get(text.lower())
        lines += (
            [f"license: {listed}"] if listed else [f"license: other\nlicense_name: {quoted(text)}"]
        )
    if base_location is not None and HUB_ID.fullmatch(base_location):
        lines.append(f"base_model: {base_location}")
    if data := _data_sets(lineage):
        lines += ["datasets:", *(f"- {name}" for name in data)]
    lines += ["tags:", "- music", "- abc-notation", "- musicllm"]
    return "---\n" + "\n".join(lines) + "\n---\n"


def licence_of(lineage: Lineage, location: str | None, licence: str | None) -> str | None:
    """Return the licence of the weights that training began with.

    None if they were random, whose licence is their owner's to choose, or if it is not known.
    """
    base = lineage.base
    if base is not None:
        return base["licence"] if base["location"] is not None else None
    return licence if location is not None else None


def _data_sets(lineage: Lineage) -> list[str]:
    """Return the hub ids of the sources of all corpora."""
    sources = [
        source for step in lineage.corpora for source in step.config["data"]["sources"].values()
    ]
    ids = [source["location"] for source in sources if source["reader"] == "hub"]
    return [name for name in dict.fromkeys(ids) if name and HUB_ID.fullmatch(name)]
