"""A student learns the distributions of a teacher, beside the tokens of the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from musicllm.errors import Problem
from musicllm.train.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from musicllm.data.batches import MicroBatch
    from musicllm.schema import ObjectiveConfig
    from musicllm.train.distillation.targets import Settings
    from musicllm.train.distillation.teachers import Teacher

NEEDED = ("divergence", "temperature", "plain_weight")


class Distillation(Objective):
    """Negative log-likelihood and divergence from a teacher; see `train.distillation.losses`."""

    name = "distillation"
    terms = ("nll", "divergence")
    has_teacher = True

    def loss(self, model: nn.Module, batch: MicroBatch) -> Tensor:
        """Raise: there is no loss without a teacher."""
        del model, batch
        raise AssertionError("a run binds the objective to its teacher")

    def bound(self, settings: ObjectiveConfig, teacher: Teacher | None) -> Objective:
        """See `Objective`."""
        from musicllm.train.distillation.targets import Settings

        assert teacher is not None, "distillation has a teacher"
        assert settings.divergence is not None, "checks refuse a missing divergence"
        assert settings.temperature is not None, "checks refuse a missing temperature"
        assert settings.plain_weight is not None, "checks refuse a missing weight"
        share = settings.teacher_share
        chosen = Settings(
            divergence=settings.divergence,
            teacher_share=0.5 if share is None else share,
            temperature=settings.temperature,
            plain_weight=settings.plain_weight,
        )
        return BoundDistillation(teacher, chosen)

    def words(self, settings: ObjectiveConfig) -> str:
        """See `Objective`."""
        weight = settings.plain_weight or 0.0
        kind = f"{settings.divergence} at temperature {settings.temperature:g}"
        if settings.top_k is not None:
            kind += f" of the teacher's {settings.top_k} most probable tokens and the rest"
        return f"{weight:g} x negative log-likelihood + {1 - weight:g} x {kind}"

    def problems(self, settings: ObjectiveConfig) -> Iterator[Problem]:
        """See `Objective`."""
        for name in NEEDED:
            if getattr(settings, name) is None:
                rule = "must be set when objective.name=distillation"
                yield Problem(f"objective.{name}", "null", rule)
        is_mixed = settings.divergence == "jensen_shannon"
        if is_mixed and settings.teacher_share is None:
            rule = "must be set with objective.divergence=jensen_shannon"
            yield Problem("objective.teacher_share", "null", rule, "write 0.5")
        if not is_mixed and settings.teacher_share is not None:
            rule = f"has no effect on objective.divergence={settings.divergence}"
            yield Problem("objective.teacher_share", settings.teacher_share, rule, "write null")
        if settings.plain_weight == 1:
            rule = "leaves the teacher without an effect"
            fix = "write less, or use objective=sft"
            yield Problem("objective.plain_weight", settings.plain_weight, rule, fix)


@dataclass(frozen=True)
class BoundDistillation(Distillation):
    """Distillation from a teacher.

    Attributes:
        teacher: where its distributions come from.
        settings: of the comparison, and the weights.
    """

    teacher: Teacher
    settings: Settings

    def loss(self, model: nn.Module, batch: MicroBatch) -> Tensor:
        """See `Objective`."""
        return self.loss_and_terms(model, batch)[0]

    def loss_and_terms(self, model: nn.Module, batch: MicroBatch) -> tuple[Tensor, Tensor | None]:
        """See `Objective`; the teacher runs first, when no activations of the student exist."""
        from musicllm.model.adapters import causal_model
        from musicllm.model.head import head_of
        from musicllm.train.distillation.losses import sum_loss
        from musicllm.train.forward import hidden_states
        from musicllm.train.loss import supervised_positions

        positions, tokens = supervised_positions(batch["labels"], batch["position_ids"])
        compare = self.teacher.comparison(batch, positions, self.settings)
        causal = causal_model(model)
        return sum_loss(
            hidden_states(model, batch)[0].index_select(0, positions),
            head_of(causal),
            tokens,
            compare,
            self.settings,
            vocab_size=causal.config.vocab_size,
        )


OBJECTIVES.register(Distillation())
