from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from musicllm.data.settings import Question
from musicllm.errors import InputError, StageError
from musicllm.evals.harness.documents import dataset, make_sheets
from musicllm.evals.harness.fitting import Fit, fit_shots
from musicllm.evals.harness.measuring import ask
from musicllm.evals.harness.tasks import make_tasks
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.prompts import FORMATS
from musicllm.evals.questions import LETTERS, LabelledQuestion, QuestionSet

OPTIONS = ("one", "two", "three", "four")


def solved(
    subject: str, number: int, split: str = "test", abc: str | None = None
) -> LabelledQuestion:
    question = Question("mmlu", f"{subject}/{split}/{number}", f"Stem {number}?", OPTIONS, abc)
    return LabelledQuestion(question, LETTERS[number % 4], subject, split)


def quiz(subjects: Sequence[str] = ("astronomy", "virology"), num: int = 3) -> QuestionSet:
    return QuestionSet(
        tuple(solved(subject, number) for subject in subjects for number in range(num)),
        {subject: tuple(solved(subject, n, "dev") for n in range(5)) for subject in subjects},
        flags={"astronomy/test/1": ("blank option",)},
    )


def settings(**changes: Any) -> PromptSettings:
    return PromptSettings(
        **{
            "benchmark": "mmlu",
            "prompt_format": "harness",
            "mode": "likelihood",
            "num_fewshot": 5,
            "add_bos": False,
            "as_chat": False,
            "max_length": None,
            "long_prompts": "drop_first_shots",
            "max_new_tokens": None,
            **changes,
        }
    )


def letters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


class Fake(LM):
    """Prefers options by a table from letters to log-likelihoods; writes what it is told."""

    def __init__(
        self,
        logliks: dict[str, float] | None = None,
        means: dict[str, float] | None = None,
        writes: Callable[[str], str] = lambda _: "",
        max_length: int | None = None,
    ) -> None:
        super().__init__()
        self.logliks = logliks or {"A": -1.0, "B": -3.0, "C": -2.0, "D": -4.0}
        self.means, self.writes, self.max_length = means, writes, max_length
        self.calls: list[Instance] = []

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return letters(texts)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        self.calls += requests
        return [(self.logliks[request.args[1].strip()], False) for request in requests]

    def mean_nll(self, context: str, continuation: str) -> float:
        assert (context, continuation) in {request.args for request in self.calls}
        assert self.means is not None
        return self.means[continuation.strip()]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise AssertionError("nothing asks for it")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        self.calls += requests
        return [self.writes(request.args[0]) for request in requests]


def test_one_task_per_subject_in_groups_by_category() -> None:
    tree = make_tasks(quiz(("astronomy", "virology", "solfège songs")), settings(), letters)

    assert [*tree["tasks"]] == ["mmlu_astronomy", "mmlu_virology", "mmlu_solfège_songs"]
    assert tree["group_map"] == {
        "mmlu_stem": ["mmlu_astronomy"],
        "mmlu_other": ["mmlu_virology"],
        "mmlu": ["mmlu_solfège_songs", "mmlu_stem", "mmlu_other"],
    }


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("num_fewshot", [0, 2, 5])
def test_prompts_are_those_that_the_harness_would_put_together(name: str, num_fewshot: int) -> None:
    mode = "generation" if name == "chain_of_thought" else "likelihood"
    how = settings(
        prompt_format=name, num_fewshot=num_fewshot, mode=mode, max_new_tokens=9, benchmark="m"
    )
    questions = quiz(("astronomy", "reasoning"))

    for task in make_tasks(questions, how, letters)["tasks"].values():
        task.build_all_requests()
        theirs = [task.fewshot_context(doc, num_fewshot) for doc in task.eval_docs]
        ours = [task.instances[place].args[0] for place in range(0, len(task.instances), 4)]
        if mode == "generation":
            ours = [instance.args[0] for instance in task.instances]
        assert ours == theirs
        assert all(text.count("Stem") == num_fewshot + 1 for text in ours)


def test_the_harness_format_is_that_of_its_own_mmlu() -> None:
    folder = Path(lm_eval.__file__).parent / "tasks/mmlu/default"
    questions = quiz(("high_school_us_history",))

    def rows(part: Sequence[LabelledQuestion]) -> Any:
        from datasets import Dataset

        return Dataset.from_list(
            [
                {
                    "question": f" {q.question.stem} ",
                    "choices": list(q.question.options),
                    "answer": LETTERS.index(q.answer),
                }
                for q in part
            ]
        )

    class Theirs(ConfigurableTask):
        def download(self, *_: object, **__: object) -> None:
            (examples,) = questions.examples.values()
            self.dataset = {"test": rows(questions.questions), "dev": rows(examples)}

    config = load_yaml(folder / "mmlu_high_school_us_history.yaml")
    config.pop("tag")
    theirs = Theirs(config=config | {"num_fewshot": 5})
    (ours,) = make_tasks(questions, settings(), letters)["tasks"].values()

    theirs.build_all_requests()
    ours.build_all_requests()
    assert [call.args for call in ours.instances] == [call.args for call in theirs.instances]
    assert ours.task_name == theirs.task_name


def test_the_most_probable_letter_is_chosen() -> None:
    lm = Fake({"A": -2.0, "B": -1.0, "C": -1.0, "D": -3.0})

    rows, results = ask(lm, quiz(), settings())

    assert len(lm.calls) == 6 * 4
    assert [row["question_id"] for row in rows] == [
        f"{subject}/test/{number}" for subject in ("astronomy", "virology") for number in range(3)
    ]
    assert [row["predicted"] for row in rows] == ["B"] * 6
    assert [row["correct"] for row in rows] == [False, True, False] * 2
    prompt_hash = rows[0].pop("prompt_hash")
    assert rows[0] == {
        "task": "mmlu_astronomy",
        "category": "STEM",
        "num_dropped_shots": 0,
        "num_cut_tokens": 0,
        "subject": "astronomy",
        "question_id": "astronomy/test/0",
        "doc_id": 0,
        "num_shots": 5,
        "logliks": {"A": -2.0, "B": -1.0, "C": -1.0, "D": -3.0},
        "mean_nll": None,
        "predicted": "B",
        "predicted_by_letter": "B",
        "gold": "A",
        "correct": False,
        "answer": None,
        "flags": [],
    }
    assert prompt_hash == lm_eval.utils.hash_string(lm.calls[0].args[0])
    assert rows[1]["flags"] == ["blank option"]
    assert results["results"]["mmlu_astronomy"]["acc,none"] == pytest.approx(1 / 3)
    assert results["groups"]["mmlu"]["acc,none"] == pytest.approx(1 / 3)
    assert results["n-shot"]["mmlu_astronomy"] == 5
    assert results["n-samples"]["mmlu_astronomy"] == {"original": 3, "effective": 3}
    assert "samples" not in results
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_in_perplexity_mode_the_whole_prompt_decides() -> None:
    lm = Fake(means={"A": 2.0, "B": 1.5, "C": 1.0, "D": 1.0})

    rows, results = ask(lm, quiz(), settings(mode="perplexity", num_fewshot=0))

    assert {row["predicted"] for row in rows} == {"C"}
    assert {row["predicted_by_letter"] for row in rows} == {"A"}
    assert rows[0]["mean_nll"] == {"A": 2.0, "B": 1.5, "C": 1.0, "D": 1.0}
    assert [row["correct"] for row in rows] == [False, False, True] * 2
    assert results["groups"]["mmlu"]["acc,none"] == pytest.approx(1 / 3)
    assert results["groups"]["mmlu"]["acc_by_letter,none"] == pytest.approx(1 / 3)
    assert results["higher_is_better"]["mmlu_astronomy"] == {"acc": True, "acc_by_letter": True}


def test_written_answers_are_read() -> None:
    lm = Fake(writes=lambda prompt: "The answer is B." if "Stem 1?\n" in prompt[-60:] else "Hm.")
    how = settings(mode="generation", prompt_format="opencompass", num_fewshot=2, max_new_tokens=7)

    rows, results = ask(lm, quiz(), how)

    assert [row["predicted"] for row in rows] == [None, "B", None] * 2
    assert [row["correct"] for row in rows] == [False, True, False] * 2
    assert (rows[1]["answer"], rows[1]["logliks"]) == ("The answer is B.", None)
    assert rows[1]["predicted_by_letter"] is None
    assert results["groups"]["mmlu"]["exact_match,none"] == pytest.approx(1 / 3)
    assert lm.calls[0].args[1] == {
        "until": list(FORMATS["opencompass"].stops),
        "max_gen_toks": 7,
        "do_sample": False,
    }


@pytest.mark.parametrize("mode", ["likelihood", "generation"])
@pytest.mark.parametrize("drop", ["drop_first_shots", "drop_last_shots"])
def test_as_many_examples_are_shown_as_there_is_room_for(mode: str, drop: str) -> None:
    questions = quiz(("astronomy",), 1)
    (question,) = questions.questions
    form, num_new = FORMATS["harness"], 20 if mode == "generation" else 0
    behind = num_new if mode == "generation" else len(form.option("A"))
    examples = questions.examples["astronomy"]
    (sheet,) = make_sheets(questions, "mmlu", "harness", 5)
    for limit in range(180, 600, 3):
        how = settings(
            mode=mode, max_length=limit, max_new_tokens=num_new or None, long_prompts=drop
        )
        shots = list(examples)  # as OpenCompass's PPL inferencer shortens them, or from the front
        while shots and len(form.prompt(question, shots)) + behind > limit:
            shots = shots[:-1] if drop == "drop_last_shots" else shots[1:]
        assert fit_shots(sheet, how, letters) == [Fit(tuple(shots))]

    ((row,), _) = ask(
        Fake(writes=lambda _: ""), questions, dataclasses.replace(how, max_length=300)
    )
    assert row["num_dropped_shots"] == 5 - row["num_shots"] > 0


def test_prompts_are_counted_whole_where_their_parts_do_not_tell() -> None:
    """A tokenizer that joins letters over seams and adds a mark to every text."""
    questions = quiz(("astronomy",), 1)
    (question,) = questions.questions
    (sheet,) = make_sheets(questions, "mmlu", "harness", 5)

    def count(texts: Sequence[str]) -> list[int]:
        return [1 + (len(text) + 1) // 2 for text in texts]

    examples = questions.examples["astronomy"]
    form = FORMATS["harness"]
    for number in range(6):
        exact = count([form.prompt(question, examples[5 - number :]) + " A"])[0]
        fits = [
            fit_shots(sheet, settings(max_length=limit), count)[0] for limit in (exact, exact - 1)
        ]
        fewer = Fit(examples[6 - number :]) if number else None
        assert fits == [Fit(examples[5 - number :]), fewer]


def test_the_models_context_is_a_limit_too() -> None:
    questions = quiz(("astronomy",), 1)

    ((free,), _) = ask(Fake(), questions, settings(max_length=4000))
    ((bound,), _) = ask(Fake(max_length=300), questions, settings(max_length=4000))

    assert free["num_dropped_shots"] == 0
    assert bound["num_dropped_shots"] > 0


def test_long_prompts_stop_where_the_settings_say_so() -> None:
    with pytest.raises(InputError) as error:
        ask(Fake(), quiz(), settings(max_length=300, long_prompts="stop"))

    assert str(error.value) == (
        "question astronomy/test/0 of mmlu, with 5 examples before it, has 375 tokens with its "
        "longest option; there is room for 300 (benchmark.mmlu.max_length, or the model's "
        "context); set benchmark.mmlu.long_prompts=drop_last_shots, or a smaller "
        "benchmark.mmlu.num_fewshot"
    )


def with_a_long_question(num_long: int = 1) -> QuestionSet:
    questions = quiz(("astronomy", "virology"), 3)
    long = [
        dataclasses.replace(q, question=dataclasses.replace(q.question, stem="Why? " * 200))
        for q in questions.questions[1 : 1 + num_long]
    ]
    parts = (questions.questions[0], *long, *questions.questions[1 + num_long :])
    return dataclasses.replace(questions, questions=parts)


@pytest.mark.parametrize("long_prompts", ["drop_last_shots", "drop_first_shots", "skip"])
def test_a_question_that_never_fits_is_left_out_and_the_others_are_asked(long_prompts: str) -> None:
    lm = Fake()

    rows, results = ask(
        lm, with_a_long_question(), settings(max_length=500, long_prompts=long_prompts)
    )

    assert [row["question_id"] for row in rows] == [
        "astronomy/test/0", "astronomy/test/2", *(f"virology/test/{n}" for n in range(3))
    ]  # fmt: skip
    assert {row["num_dropped_shots"] for row in rows} == {0}
    assert results["n-samples"]["mmlu_astronomy"]["original"] == 2
    assert len(lm.calls) == 4 * 5


def test_a_subject_without_a_question_that_fits_has_no_task() -> None:
    rows, results = ask(
        Fake(), with_a_long_question(2), settings(max_length=260, long_prompts="drop_last_shots")
    )

    assert len(rows) == 4
    lost = dataclasses.replace(with_a_long_question(3), flags={})
    short = dataclasses.replace(lost, questions=lost.questions[1:])
    _, results = ask(Fake(), short, settings(max_length=500, long_prompts="skip"))
    assert [*results["results"]] == ["mmlu_virology", "mmlu_other", "mmlu"]


def test_skip_leaves_out_what_examples_make_too_long() -> None:
    with pytest.raises(InputError) as error:
        ask(Fake(), quiz(), settings(max_length=300, long_prompts="skip"))

    assert str(error.value) == (
        "no question of benchmark mmlu fits into the 300 tokens of benchmark.mmlu.max_length, or "
        "of the model's context"
    )


def test_truncate_leaves_the_prompt_whole_and_counts_what_the_model_will_not_see() -> None:
    questions = quiz(("astronomy",), 1)

    ((row,), _) = ask(lm := Fake(), questions, settings(max_length=300, long_prompts="truncate"))

    prompt = FORMATS["harness"].prompt(questions.questions[0], questions.examples["astronomy"])
    assert {request.args[0] for request in lm.calls} == {prompt}
    assert (row["num_dropped_shots"], row["num_shots"]) == (0, 5)
    assert row["num_cut_tokens"] == len(prompt) + len(" A") - 301
    ((row,), _) = ask(lm, questions, settings(max_length=len(prompt) + 1, long_prompts="truncate"))
    assert row["num_cut_tokens"] == 0


def test_a_question_that_never_fits_is_named() -> None:
    how = settings(max_length=100, mode="generation", max_new_tokens=50, long_prompts="stop")
    how = dataclasses.replace(how, num_fewshot=0)

    with pytest.raises(InputError) as error:
        ask(Fake(), quiz(), how)

    assert str(error.value) == (
        "question astronomy/test/0 of mmlu, with 0 examples before it, has 123 tokens and needs 50 "
        "more for the answer; there is room for 100 (benchmark.mmlu.max_length, or the model's "
        "context); set benchmark.mmlu.long_prompts=skip to leave it out"
    )


def test_without_questions_there_is_nothing_to_ask() -> None:
    with pytest.raises(InputError, match="benchmark mmlu has no question to ask"):
        ask(Fake(), QuestionSet((), {}), settings())


def test_likelihoods_that_are_not_numbers_are_refused() -> None:
    lm = Fake({"A": -1.0, "B": float("nan"), "C": -2.0, "D": -4.0})

    with pytest.raises(StageError, match="question astronomy/test/0 likelihoods that are not numb"):
        ask(lm, quiz(), settings())


def test_the_harness_is_quiet_and_its_warnings_become_notes(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr("musicllm.console.note", notes.append)
    logger = logging.getLogger("lm_eval")
    before = logger.handlers[:], logger.level, logger.propagate
    lm = Fake()
    plain = lm.loglikelihood

    def warn(requests: list[Instance]) -> list[tuple[float, bool]]:
        logging.getLogger("lm_eval.evaluator").warning("odd %s", "thing")
        return plain(requests)

    monkeypatch.setattr(lm, "loglikelihood", warn)
    ask(lm, quiz(), settings())

    assert capfd.readouterr() == ("", "")
    assert notes == ["lm_eval: odd thing"]
    assert (logger.handlers, logger.level, logger.propagate) == before


def test_documents_hold_what_the_harness_names() -> None:
    (row,) = dataset(FORMATS["opencompass"], [solved("reasoning", 2, abc="X:1\nK:C\nCDEF|\n")])

    assert row["text"].startswith("Stem 2?\nX:1\n")
    assert (row["target"], row["gold"], row["answer"]) == ("C", 2, "C")
    assert row["options"] == list(OPTIONS)
