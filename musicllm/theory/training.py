"""The training split as conversations, for supervised fine-tuning on music theory.

Half of the records have the four options, and an answer with letter and text; half are open
questions. `split` keeps them disjoint from the test set.
"""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.data.records import Record
from musicllm.theory.question import LETTERS, TheoryQuestion
from musicllm.theory.quiz import make_quiz


def training_records(num_records: int | None, seed: int) -> Iterator[Record]:
    """Yield conversations of one question and its answer, without duplicates.

    Args:
        num_records: number of records; None for the whole training split.
        seed: of the questions, their order and their options.

    Raises:
        InputError: there are fewer questions.
    """
    questions, _ = make_quiz(num_records, seed, split="train")
    for number, question in enumerate(questions):
        prompt, answer = _prompt(question), question.right
        if number % 2:
            options = zip(LETTERS, question.options, strict=True)
            prompt = "\n".join([prompt, *(f"{letter}. {text}" for letter, text in options)])
            answer = f"{question.answer}. {answer}"
        else:
            prompt = prompt.rstrip()
        yield {
            "id": f"theory/{question.id}",
            "source": "theory",
            "task": question.subject,
            "messages": [
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": answer},
            ],
        }


def _prompt(question: TheoryQuestion) -> str:
    """Return stem and score; a blank line ends the tune, so following text is not music."""
    return f"{question.stem}\n{question.abc_score}\n" if question.abc_score else question.stem
