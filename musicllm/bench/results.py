"""Settings and results of benches."""

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
    from musicllm.bench.generate.task import WritingSettings
    from musicllm.bench.train.task import TrainingSettings


@dataclass(frozen=True)
class BenchSettings:
    """Settings of a bench.

    Attributes:
        num_rounds: number of runs of each contestant.
        num_documents: texts to prepare, or conversations to train on.
        num_slow_documents: documents for much slower contestants; None for all.
        vocab_size: of the tokenizer to train; None for benches without one.
        seed: of the texts.
        engine: creates the engine; picklable.
        work: an empty folder for texts, tokenizers and weights.
        model: the architecture, in benches of models.
        adapter: likewise.
        max_shard_gb: size of a weight file, in 10^9 bytes.
        training: settings of the training bench; None for benches without steps.
        evaluation: settings of the evaluation bench.
        writing: settings of the bench of writing; None for benches without it.
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
    writing: WritingSettings | None = None


@dataclass(frozen=True)
class BenchResult:
    """The result of a bench.

    Attributes:
        ratios: key figures by name, such as `vs_tokenizers_plain`.
        goals: of the key figures: at least, or for a cost at most, this much.
        timings: of the contestants.
        facts: about the workload, for readers of the file.
    """

    ratios: Mapping[str, float]
    goals: Mapping[str, str]
    timings: Mapping[str, Timing] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the content of bench.json, without machine and command."""
        return {
            "ratios": dict(self.ratios),
            "goals": dict(self.goals),
            "medians": {name: timing.rate for name, timing in self.timings.items()},
            "spread": {name: timing.spread for name, timing in self.timings.items()},
            "timings": {name: timing.as_json() for name, timing in self.timings.items()},
            "facts": dict(self.facts),
        }
