"""The type, unit and meaning of every setting: one dataclass per group of `conf/`.

There are no values here; `conf/` is the only home of defaults. `musicllm.config` checks a
composed configuration against these classes and turns it into instances of them, which are
read-only. `X | None` marks a setting that may be `null`.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.schema.data import (
    DataConfig,
    DuplicatesConfig,
    EngineConfig,
    InspectConfig,
    InstructionsConfig,
    MixConfig,
    MusicConfig,
    SourceConfig,
    TemplateConfig,
)
from musicllm.schema.jobs import (
    LauncherConfig,
    PathsConfig,
    SweepConfig,
)
from musicllm.schema.training import (
    AdapterConfig,
    HardwareConfig,
    MergeConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    StrategyConfig,
    TrainingConfig,
)
from musicllm.schema.watching import (
    BenchConfig,
    BenchmarkConfig,
    CallbacksConfig,
    GenerationConfig,
    LoggerConfig,
)

__all__ = [
    "AdapterConfig",
    "BenchConfig",
    "BenchmarkConfig",
    "CallbacksConfig",
    "Config",
    "DataConfig",
    "DuplicatesConfig",
    "EngineConfig",
    "GenerationConfig",
    "HardwareConfig",
    "InspectConfig",
    "InstructionsConfig",
    "LauncherConfig",
    "LoggerConfig",
    "MergeConfig",
    "MixConfig",
    "ModelConfig",
    "MusicConfig",
    "OptimizerConfig",
    "PathsConfig",
    "ScheduleConfig",
    "SourceConfig",
    "StrategyConfig",
    "SweepConfig",
    "TemplateConfig",
    "TrainingConfig",
]


@dataclass(frozen=True)
class Config:
    """Everything that a stage may ask."""

    task: str  # what the recipe is for: a stage
    stage: str  # what to do now: task, or plan
    description: str  # one line, shown in the list of recipes
    source: str  # paper or code that the settings come from
    name: str | None  # of the run folder; null: the fingerprint
    seed: int  # of everything random
    inputs: dict[str, str]  # artifacts by role: a recipe's name or a folder
    allow_other_base: bool  # put inputs.adapter on an inputs.model that is not its own base
    steps: list[str]  # recipes, when task=pipeline
    runs: list[str]  # evaluations, when task=compare: recipes' names or folders
    extensions: list[str]  # Python files, or folders of them, that register the user's own kinds
    trusted_packages: list[str]  # whose classes a _target_ may name, beside Lightning and ours
    paths: PathsConfig
    data: DataConfig
    engine: EngineConfig
    model: ModelConfig
    adapter: AdapterConfig
    template: TemplateConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    hardware: HardwareConfig
    strategy: StrategyConfig
    logger: dict[str, LoggerConfig]
    callbacks: CallbacksConfig
    benchmark: dict[str, BenchmarkConfig]
    generation: GenerationConfig
    inspect: InspectConfig
    bench: BenchConfig
    merge: MergeConfig
    sweep: SweepConfig
    launcher: LauncherConfig
