"""What a question looks like to a model: the one home of the texts around it.

A format is a handful of plain functions from questions to text; nothing is tokenized, counted or
asked here. A prompt is

    hint, shots (each a question, the cue and its answer, followed by the separator), question, cue

and an option is `delimiter + letter` behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from musicllm.evals.categories import category_of
from musicllm.evals.questions import LETTERS, LabelledQuestion

REDUNDANT = "Use the example below to answer the question that follows."
"""Taken out where the score follows the question, as the benchmark's own loader does."""


@dataclass(frozen=True)
class PromptFormat:
    """How a question is put.

    Attributes:
        hint: subject -> what stands before everything, with its line breaks.
        question: the question, its score and its options.
        cue: what follows a question, with the line break before it; the answer comes next.
        target: what an example shows as its answer, behind the delimiter.
        separator: between an example and what follows it.
        delimiter: between the cue and a letter.
        stops: strings at which a written answer ends, because the model has begun to ask itself.
    """

    hint: Callable[[str], str]
    question: Callable[[LabelledQuestion], str]
    cue: str
    target: Callable[[LabelledQuestion], str]
    separator: str = "\n\n"
    delimiter: str = " "
    stops: tuple[str, ...] = ()

    def text(self, solved: LabelledQuestion) -> str:
        """Return a question with its cue."""
        return self.question(solved) + self.cue

    def shot(self, solved: LabelledQuestion) -> str:
        """Return a solved example, without the separator behind it."""
        return self.text(solved) + self.delimiter + self.target(solved)

    def prompt(self, solved: LabelledQuestion, shots: Sequence[LabelledQuestion] = ()) -> str:
        """Return the whole prompt up to the cue, with the examples in their order."""
        examples = [self.shot(shot) + self.separator for shot in shots]
        return "".join([self.hint(solved.subject), *examples, self.text(solved)])

    def option(self, letter: str) -> str:
        """Return what is scored behind a prompt."""
        return self.delimiter + letter


_MUSIC = {"knowledge": "music knowledge", "reasoning": "music reasoning"}
_CHOOSE = (
    "Read the following questions from the four options (A, B, C and D) given in each question. "
    "Choose the best option.\n"
)
_ROLE = (
    "You are a musicologist who has taught music theory, harmony and analysis for many years and "
    "who reads scores in ABC notation fluently. "
)
_LETTER_CUE = "\nAnswer:"
_THINK_CUE = "\nAnswer: Let's think step by step."
"""Of arXiv 2205.11916."""


def _about(subject: str) -> str:
    return _MUSIC.get(subject, subject.replace("_", " "))


def _harness_hint(subject: str) -> str:
    return (
        f"The following are multiple choice questions (with answers) about {_about(subject)}.\n\n"
    )


def _opencompass_hint(subject: str) -> str:
    if category_of(subject) is None:
        return _CHOOSE
    return (
        f"The following are multiple choice questions (with answers) about  {_about(subject)}.\n\n"
    )


def _role_hint(_subject: str) -> str:
    return _ROLE + _CHOOSE


def _thinking_hint(subject: str) -> str:
    hint = _opencompass_hint(subject).rstrip()
    return f'{hint} Think first, then end with "The answer is" and the letter of your choice.\n\n'


def _stem(solved: LabelledQuestion) -> str:
    question = solved.question
    if not question.abc:
        return question.stem
    return f"{question.stem.replace(REDUNDANT, '').strip()}\n{question.abc}"


def _with_options(stem: str, solved: LabelledQuestion) -> str:
    options = zip(LETTERS, solved.question.options, strict=True)
    return "\n".join([stem, *(f"{letter}. {text}" for letter, text in options)])


def _plain(solved: LabelledQuestion) -> str:
    return _with_options(_stem(solved), solved)


def _stripped(solved: LabelledQuestion) -> str:
    return _with_options(_stem(solved).strip(), solved)


def _letter(solved: LabelledQuestion) -> str:
    return solved.answer


def _reasoned(solved: LabelledQuestion) -> str:
    analysis = f"{solved.analysis} " if solved.analysis else ""
    return f"{analysis}The answer is {solved.answer}."


FORMATS: dict[str, PromptFormat] = {
    # lm-evaluation-harness, tasks/mmlu/default
    "harness": PromptFormat(_harness_hint, _stripped, _LETTER_CUE, _letter),
    # OpenCompass as ChatMusician's authors configured it: two hints, MMLU's with two blanks
    "opencompass": PromptFormat(_opencompass_hint, _plain, _LETTER_CUE, _letter),
    # made here, after table 3 of arXiv 2402.16153, which prints no wording
    "role_play": PromptFormat(_role_hint, _plain, _LETTER_CUE, _letter),
    "chain_of_thought": PromptFormat(
        _thinking_hint, _plain, _THINK_CUE, _reasoned, stops=(_THINK_CUE,)
    ),
}
"""Name -> format; what `benchmark.<name>.prompt_format` may say."""
