"""How many examples a prompt has room for. Counts tokens; builds no task and asks nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from musicllm.errors import InputError
from musicllm.evals.ask import AskSettings
from musicllm.evals.harness.documents import Sheet
from musicllm.evals.questions import LETTERS, Solved

CountTokens = Callable[[Sequence[str]], list[int]]
"""Texts -> tokens that each of them has for the model, with its marks."""

SLACK = 4
"""Tokens per part of a prompt by which parts counted apart may miss the count of the whole: marks
that each part gets, and tokens that reach over a seam."""


def fit_shots(sheet: Sheet, settings: AskSettings, count_tokens: CountTokens) -> list[int]:
    """Return, per question, how many of the last examples stand before it.

    Parts are counted once; a whole prompt only where their sum is too near the limit to tell.

    Args:
        sheet: of one subject.
        settings: the limit, and what to do about a prompt that is longer.
        count_tokens: of texts.

    Raises:
        InputError: a prompt is too long without any example, or with all of them where
            `long_prompts=stop`; names the question.
    """
    num_shots = len(sheet.examples)
    if settings.max_length is None:
        return [num_shots] * len(sheet.questions)
    form = sheet.format
    shots = [form.shot(shot) + form.separator for shot in sheet.examples]
    texts = [_with_option(form.text(solved), sheet, settings)[0] for solved in sheet.questions]
    hint, *counts = count_tokens([sheet.hint, *shots, *texts])
    before = [hint + sum(counts[num_shots - shown : num_shots]) for shown in range(num_shots + 1)]
    return [
        _fit(sheet, solved, [each + text for each in before], settings, count_tokens)
        for solved, text in zip(sheet.questions, counts[num_shots:], strict=True)
    ]


def _fit(
    sheet: Sheet,
    solved: Solved,
    estimates: list[int],
    settings: AskSettings,
    count_tokens: CountTokens,
) -> int:
    """Return the largest number of examples that leaves the prompt within the limit."""
    room = _room(settings)
    for shown in reversed(range(len(estimates))):
        slack = SLACK * (shown + 2)
        length = estimates[shown]
        if abs(length - room) <= slack:
            length = _length(sheet, solved, shown, settings, count_tokens)
        if length <= room:
            return shown
        if shown == 0 or settings.long_prompts == "stop":
            length = _length(sheet, solved, shown, settings, count_tokens)
            raise _too_long(solved, shown, length, settings)
    raise AssertionError("a prompt without examples fits or is refused")


def _room(settings: AskSettings) -> int:
    """Return how many tokens a prompt may have, with its option where one is scored."""
    assert settings.max_length is not None, "without a limit everything fits"
    written = settings.max_new_tokens if settings.mode == "generation" else 0
    return settings.max_length - (written or 0)


def _with_option(text: str, sheet: Sheet, settings: AskSettings) -> list[str]:
    if settings.mode == "generation":
        return [text]
    return [text + sheet.format.option(letter) for letter in LETTERS]


def _length(
    sheet: Sheet, solved: Solved, shown: int, settings: AskSettings, count_tokens: CountTokens
) -> int:
    return max(count_tokens(_with_option(sheet.prompt(solved, shown), sheet, settings)))


def _too_long(solved: Solved, shown: int, length: int, settings: AskSettings) -> InputError:
    key = f"benchmark.{settings.benchmark}"
    if settings.mode == "generation":
        counted = f"and needs {settings.max_new_tokens} more for the answer"
    else:
        counted = "with its longest option"
    fix = f"choose a greater {key}.max_length if the model's context is longer"
    if shown:
        fix = f"set {key}.long_prompts=drop_shots, or a smaller {key}.num_fewshot"
    return InputError(
        f"question {solved.question.id} of {settings.benchmark}, with {shown} examples before it, "
        f"has {length:,} tokens {counted}; there is room for {settings.max_length:,} "
        f"({key}.max_length, or the model's context); {fix}"
    )
