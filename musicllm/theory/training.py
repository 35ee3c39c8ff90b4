"""The training split as conversations, for supervised fine-tuning on music theory.

Half of the records ask with the four options and answer with letter and text, half ask openly.
What is told apart from the test set, and how, is `split`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from musicllm.data.records import Record
from musicllm.theory.question import LETTERS, Question
from musicllm.theory.quiz import train_questions


def training_records(
    num_records: int | None,
    seed: int,
    *,
    families: Sequence[str] = (),
    levels: Sequence[str] = (),
) -> Iterator[Record]:
    """Yield conversations of one question and its answer, each about another question.

    Args:
        num_records: how many; None: all of the training split.
        seed: decides the questions, their order and their options.
        families: keys of `FAMILIES`; none: all.
        levels: of `LEVELS`; none: all.

    Raises:
        InputError: as `make_quiz`.
    """
    questions = train_questions(num_records, seed, families=families, levels=levels)
    for number, question in enumerate(questions):
        asked, answer = _with_options(question) if number % 2 else _open(question)
        yield {
            "id": f"theory/{question.id}",
            "source": "theory",
            "task": question.subject,
            "messages": [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": answer},
            ],
        }


def _open(question: Question) -> tuple[str, str]:
    return _asked(question).rstrip(), question.right


def _with_options(question: Question) -> tuple[str, str]:
    options = [f"{letter}. {text}" for letter, text in zip(LETTERS, question.options, strict=True)]
    return "\n".join([_asked(question), *options]), f"{question.answer}. {question.right}"


def _asked(question: Question) -> str:
    """Return stem and score; a blank line ends a tune, so what follows is not read as music."""
    return f"{question.stem}\n{question.abc_score}\n" if question.abc_score else question.stem
