"""Artifacts as runs leave them, for model cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.artifacts import Artifact

SOURCES = {
    "books": {"reader": "books", "location": None, "licence": "MIT", "citation": "a book"},
    "tunes": {"reader": "hub", "location": "someone/tunes", "licence": "see its card",
              "citation": "arXiv 1"},
}  # fmt: skip

TRAINING = {
    "task": "train",
    "seed": 1234,
    "model": {"name": "base", "location": "someone/base", "revision": None,
              "licence": "Apache-2.0"},
    "adapter": {"kind": "lora", "name": "lora_r64", "r": 64, "alpha": 16.0,
                "targets": ["attention"], "quantization": "nf4"},
    "optimizer": {"name": "adamw", "lr": 1e-4, "weight_decay": 0.1},
    "schedule": {"name": "cosine", "warmup_fraction": 0.05},
    "training": {"gradient_clip": 1.0},
    "data": {"max_length": 512},
    "hardware": {"num_nodes": 1, "devices_per_node": 2, "device": "A100", "precision": "bf16"},
}  # fmt: skip


def write(
    folder: Path, kind: str, config: Any, facts: Any, files: dict[str, str], **inputs: Artifact
) -> Artifact:
    """Write an artifact with a provenance; its identity is its folder's name."""
    path = folder / "artifact"
    recorded = {
        role: {
            "path": str(artifact.path),
            "fingerprint": artifact.fingerprint,
            **artifacts.places(artifact.path, path),
        }
        for role, artifact in inputs.items()
    }
    provenance = {"recipe": f"music/{folder.name}", "config": config, "inputs": recorded}
    with artifacts.writing(path, kind, f"id-{folder.name}", provenance) as (target, kept):
        kept.update(facts)
        for name, text in files.items():
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).write_text(text)
    return artifacts.read(path)


def chain(
    folder: Path,
    licence: str = "MIT",
    *,
    base_licence: str = "Apache-2.0",
    location: str | None = "someone/base",
) -> Artifact:
    """Return a merged model with a corpus, a training and a plan behind it."""
    model = {"location": location, "licence": base_licence}
    sources = SOURCES | {"books": SOURCES["books"] | {"licence": licence}}
    corpus = write(
        folder / "prepare",
        "corpus",
        {"task": "prepare", "data": {"sources": sources}},
        {
            "licences": {name: source["licence"] for name, source in sources.items()},
            "read": {"books": 40, "tunes": 60},
            "dropped": {"books": {"is a duplicate": 3}},
            "mix": [{"part": "books", "documents": 37, "tokens": 4000, "share_tokens": 0.4}],
            "contamination": {"questions": 372, "removed": 2},
        },
        {},
    )
    training = TRAINING | {"model": TRAINING["model"] | model}
    metrics = {"metrics": {"train_loss": 1.5, "validation_loss": 1.75}}
    adapter = write(folder / "sft", "adapter", training, metrics, {}, corpus=corpus)
    artifacts.write_json(folder / "sft" / "plan.json", {"num_steps": 100, "rows_per_step": 8})
    artifacts.write_json(folder / "sft" / "summary.json", {"seconds": 3700.0})
    return write(folder / "merge", "model", {"task": "merge"}, {}, {}, adapter=adapter)


def evaluation(folder: Path, model: Artifact, **metrics: Any) -> Artifact:
    """Return an evaluation of tunes, with what people wrote beside it."""
    values = {"bars_fitting": 0.82, "bars_fitting_low": 0.7, "bars_fitting_high": 0.9,
              "num_tunes": 48, **metrics}  # fmt: skip
    content = {
        "models": {
            "model": {"generation": values},
            "reference": {"generation": {"bars_fitting": 0.99, "copy_share": 0.2}},
        },
        "benchmarks": {
            "generation": {"kind": "generation", "licence": "as the corpus", "complete": True,
                           "num_available": None, "num_questions": 48}
        },
    }  # fmt: skip
    files = {"results.json": json.dumps(content)}
    return write(folder / "evaluate", "evaluation", {}, {}, files, model=model)


def answer(prompt: str, num_bars: int, num_fitting: int, *files: str) -> dict[str, Any]:
    """Return a line of generations.jsonl with one tune."""
    abc = f"X:1\nL:1/8\nM:4/4\nK:D\n{' | '.join(['DEFGABcd'] * num_bars)} |]\n"
    tune = {"abc": abc, "title": "Reel", "parses": num_bars > 0, "num_bars": num_bars,
            "num_bars_fitting": num_fitting, "files": list(files)}  # fmt: skip
    return {"prompt": prompt, "tunes": [tune]}


def tunes(
    folder: Path, model: Artifact, *lines: dict[str, Any], grammar: str | None = None
) -> Artifact:
    """Return written tunes; every file that a line names exists."""
    files = {
        f"tunes/{name}": name for line in lines for tune in line["tunes"] for name in tune["files"]
    }
    files["generations.jsonl"] = "".join(json.dumps(line) + "\n" for line in lines)
    config = {"generation": {"grammar": grammar}}
    return write(folder / "generate", "tunes", config, {}, files, model=model)
