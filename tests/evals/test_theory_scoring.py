from __future__ import annotations

import pytest
import torch

from musicllm.evals import theory
from musicllm.evals.theory.scoring import HINT, prompt_of

QUESTION = theory.Question(
    "Which?", "X:1\nK:C\nC", ("one", "two", "three", "four"), "B", "chords", "easy"
)


def test_prompt() -> None:
    asked = "Which?\nX:1\nK:C\nC\nA. one\nB. two\nC. three\nD. four\nAnswer:"
    assert prompt_of(QUESTION) == f"{HINT}\n{asked}"
    assert prompt_of(QUESTION, [QUESTION]) == f"{HINT}\n{asked} B\n\n{asked}"


def test_model_that_always_says_c(model, tokenizer) -> None:
    questions, _ = theory.make_quiz(84, seed=0)
    constant = ConstantModel(model, tokenizer.convert_tokens_to_ids("C"))
    outcome = theory.measure(constant, tokenizer, questions)
    assert {row["predicted"] for row in outcome.predictions} == {"C"}
    assert outcome.metrics["accuracy"] == 0.25 == outcome.metrics["majority_baseline"]
    assert outcome.metrics["accuracy_by_letter"] == 0.25
    assert outcome.metrics["accuracy_low"] < 0.25 < outcome.metrics["accuracy_high"]
    by_family = [outcome.metrics[f"accuracy_{family}"] for family in theory.FAMILIES]
    assert sum(by_family) / len(by_family) == pytest.approx(0.25)
    assert outcome.metrics["num_questions"] == 84


class ConstantModel(torch.nn.Module):
    """Prefers one token everywhere."""

    def __init__(self, model, token: int) -> None:
        super().__init__()
        self.config, self.token, self.device = model.config, token, torch.device("cpu")

    def forward(self, input_ids, past_key_values, use_cache):
        logits = torch.zeros(*input_ids.shape, self.config.vocab_size)
        logits[..., self.token] = 5.0
        return type("Output", (), {"logits": logits})
