"""Prompts, letter by letter: the harness's from its own templates, the others as published."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2
import pytest
from omegaconf import OmegaConf

from musicllm.data.settings import Question
from musicllm.evals.categories import MMLU_SUBJECTS
from musicllm.evals.prompts import FORMATS
from musicllm.evals.questions import LabelledQuestion

SCORE = "L:1/4\nM:4/4\nK:D\n [FGBd]4 |] %1"
CHOOSE = (
    "Read the following questions from the four options (A, B, C and D) given in each question. "
    "Choose the best option.\n"
)


def solved(
    stem: str = "Which?", answer: str = "B", subject: str = "virology", **more: Any
) -> LabelledQuestion:
    question = Question("b", "id", stem, ("w", " x", "y ", "z"), more.pop("abc", None))
    return LabelledQuestion(question, answer, subject, "test", **more)


def of_harness(name: str) -> dict[str, Any]:
    """Return a file of the harness's own tasks."""
    spec = find_spec("lm_eval")
    assert spec is not None
    file = Path(str(spec.origin)).parent / "tasks/mmlu/default" / name
    return dict(OmegaConf.load(file).items())


def test_the_harness_format_is_that_of_its_own_task() -> None:
    task = of_harness("_default_template_yaml")
    text = jinja2.Environment(keep_trailing_newline=True).from_string(task["doc_to_text"])
    target, solutions = solved("  What, \n now? \n"), [solved("One?", "A"), solved("Two? ", "D")]

    def rendered(example: LabelledQuestion) -> str:
        return text.render(question=example.question.stem, choices=example.question.options)

    shots = [f"{rendered(example)} {example.answer}\n\n" for example in solutions]
    form = FORMATS["harness"]
    for subject in MMLU_SUBJECTS:
        described = of_harness(f"mmlu_{subject}.yaml")
        assert form.hint(subject) == described["description"]
    assert form.prompt(target, solutions) == "".join(
        [form.hint("virology"), *shots, rendered(target)]
    )
    assert [form.option(letter) for letter in task["doc_to_choice"]] == [" A", " B", " C", " D"]


def test_opencompass_asks_mmlu_with_two_blanks() -> None:
    target = solved(" Which? ", subject="high_school_physics")

    assert FORMATS["opencompass"].prompt(target, [solved("One?", "C")]) == (
        "The following are multiple choice questions (with answers) about  high school physics."
        "\n\nOne?\nA. w\nB.  x\nC. y \nD. z\nAnswer: C\n\n"
        " Which? \nA. w\nB.  x\nC. y \nD. z\nAnswer:"
    )


def test_opencompass_asks_musictheorybench_with_its_score_behind_the_stem() -> None:
    stem = "Use the example below to answer the question that follows. Which chord is it? "
    target = solved(stem, subject="reasoning", abc=SCORE)

    assert FORMATS["opencompass"].prompt(target) == (
        f"{CHOOSE}Which chord is it?\n{SCORE}\nA. w\nB.  x\nC. y \nD. z\nAnswer:"
    )


def test_without_a_score_the_stem_stays_as_it_is() -> None:
    stem = "Use the example below to answer the question that follows. Which chord?"

    assert FORMATS["opencompass"].question(solved(stem)).startswith(f"{stem}\nA. w")


def test_role_play_says_who_answers() -> None:
    plain = FORMATS["opencompass"].prompt(solved(subject="knowledge"))
    played = FORMATS["role_play"].prompt(solved(subject="knowledge"))

    assert played.startswith("You are a musicologist")
    assert played.endswith(plain)


def test_chain_of_thought_thinks_and_shows_why() -> None:
    form = FORMATS["chain_of_thought"]
    shots = [solved("One?", "C", analysis="It has a D."), solved("Two?", "A")]

    prompt = form.prompt(solved("Three?", subject="knowledge"), shots)

    step = "Answer: Let's think step by step."
    assert f"D. z\n{step} It has a D. The answer is C.\n\nTwo?" in prompt
    assert f"D. z\n{step} The answer is A.\n\nThree?" in prompt
    assert prompt.startswith(
        f'{CHOOSE.rstrip()} Think first, then end with "The answer is" and the letter of your '
        "choice.\n\nOne?"
    )
    assert prompt.endswith(f"D. z\n{step}")
    assert form.stops == (f"\n{step}",)


@pytest.mark.parametrize("name", FORMATS)
def test_every_prompt_shows_score_options_and_cue(name: str) -> None:
    form, target = FORMATS[name], solved(subject="knowledge", abc=SCORE)

    prompt = form.prompt(target, [target])

    assert prompt.count(SCORE) == 2
    assert prompt.endswith(form.text(target))
    assert form.text(target).endswith(form.cue)
    assert form.shot(target) == form.text(target) + form.delimiter + form.target(target)
    assert all(prompt.count(f"\n{letter}. ") == 2 for letter in "ABCD")


def test_the_harness_format_names_what_music_is_asked() -> None:
    hint = "The following are multiple choice questions (with answers) about music reasoning.\n\n"

    assert FORMATS["harness"].hint("reasoning") == hint
