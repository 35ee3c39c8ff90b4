"""Which examples a prompt has room for. Counts tokens; no model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from musicllm.errors import InputError
from musicllm.evals.harness.documents import Sheet
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.questions import LETTERS, LabelledQuestion

CountTokens = Callable[[Sequence[str]], list[int]]
"""Texts -> tokens that each of them has for the model, with its marks."""

SLACK = 4
"""Tokens per part of a prompt by which parts counted apart may miss the count of the whole: marks
that each part gets, and tokens that reach over a seam."""


class Fit(NamedTuple):
    """What stands before a question.

    Attributes:
        shots: the examples, in order.
        num_cut_tokens: that the prompt loses at its beginning.
    """

    shots: tuple[LabelledQuestion, ...]
    num_cut_tokens: int = 0


def fit_shots(
    sheet: Sheet, settings: PromptSettings, count_tokens: CountTokens
) -> list[Fit | None]:
    """Return, per question, the examples that stand before it; None: it is left out.

    Parts are counted once; a whole prompt only where their sum is too near the limit to tell.
    OpenCompass leaves out the last example as long as a prompt is too long (`drop_last_shots`);
    lm-evaluation-harness feeds the last tokens of a prompt, however it begins (`truncate`).

    Args:
        sheet: of one subject.
        settings: the limit, and what to do about a prompt that is longer.
        count_tokens: of texts.

    Raises:
        InputError: a prompt is too long and `long_prompts=stop`; names the question.
    """
    if settings.max_length is None:
        return [Fit(sheet.examples)] * len(sheet.questions)
    form, num_shots = sheet.format, len(sheet.examples)
    shots = [form.shot(shot) + form.separator for shot in sheet.examples]
    texts = [_with_option(form.text(solved), settings, sheet)[0] for solved in sheet.questions]
    hint, *counts = count_tokens([sheet.hint, *shots, *texts])
    if settings.long_prompts == "drop_first_shots":
        choices = [sheet.examples[number:] for number in range(num_shots + 1)]
    elif settings.long_prompts == "drop_last_shots":
        choices = [sheet.examples[:number] for number in range(num_shots, -1, -1)]
    else:
        choices = [sheet.examples]
    of_shot = dict(zip(map(id, sheet.examples), counts[:num_shots], strict=True))
    before = [hint + sum(of_shot[id(shot)] for shot in examples) for examples in choices]
    return [
        _fit(
            sheet,
            solved,
            choices,
            [length + text for length in before],
            settings=settings,
            count_tokens=count_tokens,
        )
        for solved, text in zip(sheet.questions, counts[num_shots:], strict=True)
    ]


def _fit(
    sheet: Sheet,
    solved: LabelledQuestion,
    choices: Sequence[tuple[LabelledQuestion, ...]],
    estimates: Sequence[int],
    *,
    settings: PromptSettings,
    count_tokens: CountTokens,
) -> Fit | None:
    """Return the first choice of examples that leaves the prompt within the limit."""
    room = _room(settings)
    for examples, estimate in zip(choices, estimates, strict=True):
        length = estimate
        if abs(length - room) <= SLACK * (len(examples) + 2):
            length = _length(sheet, solved, examples, settings, count_tokens)
        if length <= room:
            return Fit(examples)
    examples = choices[-1]
    if settings.long_prompts == "truncate":
        length = _length(sheet, solved, examples, settings, count_tokens)
        return Fit(examples, max(0, length - room))
    if settings.long_prompts == "stop":
        length = _length(sheet, solved, examples, settings, count_tokens)
        raise _too_long(solved, len(examples), length, settings)
    return None


def _room(settings: PromptSettings) -> int:
    """Return how many tokens a prompt may have, with its option where one is scored."""
    assert settings.max_length is not None, "without a limit everything fits"
    if settings.long_prompts == "truncate":
        return settings.max_length + 1  # the harness does not count the last token: it is not fed
    answer_tokens = settings.max_new_tokens if settings.mode == "generation" else 0
    return settings.max_length - (answer_tokens or 0)


def _with_option(text: str, settings: PromptSettings, sheet: Sheet) -> list[str]:
    if settings.mode == "generation":
        return [text]
    return [text + sheet.format.option(letter) for letter in LETTERS]


def _length(
    sheet: Sheet,
    solved: LabelledQuestion,
    examples: Sequence[LabelledQuestion],
    settings: PromptSettings,
    count_tokens: CountTokens,
) -> int:
    prompt = sheet.format.prompt(solved, examples)
    return max(count_tokens(_with_option(prompt, settings, sheet)))


def _too_long(
    solved: LabelledQuestion, num_shots: int, length: int, settings: PromptSettings
) -> InputError:
    key = f"benchmark.{settings.benchmark}"
    if settings.mode == "generation":
        counted = f"and needs {settings.max_new_tokens} more for the answer"
    else:
        counted = "with its longest option"
    fix = f"set {key}.long_prompts=skip to leave it out"
    if num_shots:
        fix = f"set {key}.long_prompts=drop_last_shots, or a smaller {key}.num_fewshot"
    return InputError(
        f"question {solved.question.id} of {settings.benchmark}, with {num_shots} examples before "
        f"it, has {length:,} tokens {counted}; there is room for {settings.max_length:,} "
        f"({key}.max_length, or the model's context); {fix}"
    )
