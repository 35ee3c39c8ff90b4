"""What a bench is told, and what it found, as bench.json stores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicllm.bench.measuring import Timing
from musicllm.data.engines import Engine
from musicllm.model.spec import AdapterSpec, ModelSpec

if TYPE_CHECKING:
    from musicllm.bench.eval.task import EvalSettings
    from musicllm.bench.train.task import TrainingSettings


@dataclass(frozen=True)
class BenchSettings:
    """What a bench is told.

    Attributes:
        num_rounds: times that every contestant runs.
        num_documents: texts that are prepared, or conversations that are trained on.
        num_slow_documents: of them for a contestant that is far slower; None for all.
        vocab_size: tokens of the tokenizer that is trained; None for benches without one.
        seed: of the texts.
        engine: makes the engine; picklable.
        work: an empty folder for texts, tokenizers and weights.
        model: the architecture that is measured, in benches of models.
        adapter: likewise.
        max_shard_gb: size of a file of weights that is written, in 10^9 bytes.
        training: how training is measured; None for benches without steps.
        evaluation: how evaluation is measured.
    """

    num_rounds: int
    num_documents: int
    num_slow_documents: int | None
    vocab_size: int | None
    seed: int
    engine: Callable[[], Engine]
    work: Path
    model: ModelSpec
    adapter: AdapterSpec
    max_shard_gb: float
    training: TrainingSettings | None
    evaluation: EvalSettings


@dataclass(frozen=True)
class Findings:
    """What a bench found.

    Attributes:
        ratios: key figures by name, such as `vs_tokenizers_plain`.
        goals: what they are held against: at least, or for a cost at most, this much.
        timings: of the contestants.
        facts: what was worked on and how, for readers of the file.
    """

    ratios: Mapping[str, float]
    goals: Mapping[str, str]
    timings: Mapping[str, Timing] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the content of bench.json, but for the machine and the command."""
        return {
            "ratios": dict(self.ratios),
            "goals": dict(self.goals),
            "medians": {name: timing.rate for name, timing in self.timings.items()},
            "spread": {name: timing.spread for name, timing in self.timings.items()},
            "timings": {name: timing.as_json() for name, timing in self.timings.items()},
            "facts": dict(self.facts),
        }
