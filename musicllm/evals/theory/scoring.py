"""Asking a model the questions of a quiz, in perplexity mode.

The prompt is that of MusicTheoryBench (ChatMusician, arXiv 2402.16153): a hint, the stem with its
score, the options, and `Answer: X`; the letter whose whole prompt the model finds most probable per
token is its choice. The model generates nothing and sees no chat template.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.evals.likelihood import choice_nll
from musicllm.evals.results import Metrics, Outcome, wilson, with_interval
from musicllm.evals.theory.quiz import LETTERS, Question

HINT = (
    "Read the following questions from the four options (A, B, C and D) given in each question. "
    "Choose the best option."
)
CHANCE = 1 / len(LETTERS)


def prompt_of(question: Question, examples: Sequence[Question] = ()) -> str:
    """Return the prompt up to `Answer:`; solved examples stand behind the hint."""
    solved = [f"{_asked(example)} {example.answer}\n\n" for example in examples]
    return "".join([f"{HINT}\n", *solved, _asked(question)])


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    examples: Sequence[Question] = (),
) -> Outcome:
    """Ask every question.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        questions: at least one.
        examples: solved questions that every prompt shows.

    Returns:
        Accuracy with its Wilson interval, also by family and by the likelihood of the letter
        alone; the accuracy of guessing and of always giving the most frequent letter; and one row
        per question.

    Raises:
        InputError: a prompt is longer than the model's context.
    """
    prompts = [prompt_of(question, examples) for question in questions]
    options = [[f" {letter}" for letter in LETTERS]] * len(questions)
    rows: list[dict[str, object]] = []
    for question, score in zip(
        questions, choice_nll(model, tokenizer, prompts, options), strict=True
    ):
        predicted = _least(score.mean_nll)
        by_letter = _least(score.option_nll)
        rows.append(
            {
                **question.as_row(),
                "predicted": predicted,
                "correct": predicted == question.answer,
                "correct_by_letter": by_letter == question.answer,
                "mean_nll": list(score.mean_nll),
                "letter_nll": list(score.option_nll),
            }
        )
    return Outcome(_metrics(questions, rows, len(examples)), predictions=rows)


def _metrics(
    questions: Sequence[Question], rows: list[dict[str, object]], num_examples: int
) -> Metrics:
    correct = [bool(row["correct"]) for row in rows]
    metrics = _accuracy("accuracy", correct)
    for subject in dict.fromkeys(question.subject for question in questions):
        own = [
            right
            for right, question in zip(correct, questions, strict=True)
            if question.subject == subject
        ]
        metrics |= _accuracy(f"accuracy_{subject}", own)
    letters = Counter(question.answer for question in questions)
    return metrics | {
        "accuracy_by_letter": sum(bool(row["correct_by_letter"]) for row in rows) / len(rows),
        "chance": CHANCE,
        "majority_baseline": max(letters.values()) / len(questions),
        "num_questions": len(questions),
        "num_examples": num_examples,
    }


def _accuracy(name: str, correct: list[bool]) -> Metrics:
    right = sum(correct)
    return with_interval(name, right / len(correct), wilson(right, len(correct)))


def _asked(question: Question) -> str:
    score = [question.abc_score] if question.abc_score else []
    options = [f"{letter}. {text}" for letter, text in zip(LETTERS, question.options, strict=True)]
    return "\n".join([question.stem, *score, *options, "Answer:"])


def _least(nll: Sequence[float]) -> str:
    return LETTERS[min(range(len(nll)), key=nll.__getitem__)]
