"""Our model of the harness gives what the harness's own `hf` backend gives."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from musicllm.data.settings import Question
from musicllm.errors import InputError
from musicllm.evals.harness.measuring import ask
from musicllm.evals.harness.model import HarnessModel
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.prompts import FORMATS
from musicllm.evals.questions import LabelledQuestion, QuestionSet
from musicllm.inference.scorer.planning import Item
from musicllm.inference.scorer.scorer import Scorer

HINT = "The following are questions about keys.\n\n"
SHOTS = "How many sharps has D?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n" * 3
QUESTIONS = [
    f"{HINT}{SHOTS}How many sharps has {key}?\nA. 1\nB. 2\nC. 3\nD. {number}\nAnswer:"
    for number, key in enumerate(("G", "A", "E major", "B", "F sharp"), 4)
]
PAIRS = [
    *((prompt, f" {letter}") for prompt in QUESTIONS for letter in "ABCD"),
    *((prompt, f" {words}") for prompt in QUESTIONS[:2] for words in ("one sharp", "two", "t")),
    ("", "no context"),
    ("ends with a blank ", "word"),
]


@pytest.fixture(scope="module")
def theirs(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Iterator[object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.models.huggingface import HFLM

        backend = HFLM(pretrained=model.eval(), tokenizer=tokenizer, batch_size=3, device="cpu")
        yield backend


def requests(kind: str, arguments: list[tuple[object, ...]]) -> list[Instance]:
    return [Instance(kind, {}, args, 0) for args in arguments]


@pytest.mark.parametrize("add_bos", [False, True])
def test_likelihoods_are_the_harness_s(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, theirs: object, add_bos: bool
) -> None:
    batch = requests("loglikelihood", PAIRS)
    begun = [(f"<s>{prompt}" if add_bos and prompt else prompt, option) for prompt, option in PAIRS]
    spelled = requests("loglikelihood", begun)  # the tokenizer itself puts nothing before a text
    expected = theirs.loglikelihood(spelled, disable_tqdm=True)  # type: ignore[attr-defined]
    results = HarnessModel(Scorer(model), tokenizer, add_bos=add_bos).loglikelihood(batch)
    for (logprob, greedy), (value, greedy_there) in zip(results, expected, strict=True):
        assert logprob == pytest.approx(value, abs=1e-3)
        assert greedy == greedy_there


def test_rolling_likelihoods_are_the_harness_s(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, theirs: object
) -> None:
    batch = requests("loglikelihood_rolling", [("A short text.",), ("la " * 300,), ("b",)])
    expected = theirs.loglikelihood_rolling(batch, disable_tqdm=True)  # type: ignore[attr-defined]
    results = HarnessModel(Scorer(model), tokenizer).loglikelihood_rolling(batch)
    assert results == pytest.approx(expected, abs=2e-3)


def test_perplexity_mode_scores_whole_prompts_and_chooses_the_same_letter(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    batch = requests("loglikelihood", PAIRS[:20])
    ours = HarnessModel(Scorer(model), tokenizer, whole_prompts=True)
    by_letter = [logprob for logprob, _ in ours.loglikelihood(batch)]
    for start in range(0, 20, 4):
        means = [ours.mean_nll(*pair) for pair in PAIRS[start : start + 4]]
        letters = by_letter[start : start + 4]
        assert means.index(min(means)) == letters.index(max(letters))
    prompt, option = PAIRS[5]
    ids = tokenizer(prompt + option, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.no_grad():
        logprobs = model.eval()(input_ids=ids).logits[0, :-1].log_softmax(-1)
    total = float(logprobs.gather(1, ids[0, 1:, None]).sum())
    assert ours.mean_nll(prompt, option) == pytest.approx(-total / ids.shape[1], abs=1e-5)


def test_what_is_too_long_loses_its_beginning_as_in_the_harness(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, theirs: object
) -> None:
    batch = requests("loglikelihood", [("x" * 600, " A"), ("y" * 512, "z")])
    expected = theirs.loglikelihood(batch, disable_tqdm=True)  # type: ignore[attr-defined]
    results = HarnessModel(Scorer(model), tokenizer).loglikelihood(batch)
    assert [value for value, _ in results] == pytest.approx(
        [value for value, _ in expected], abs=1e-3
    )


def test_answers_end_at_the_harness_s_stops(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    ours = HarnessModel(
        Scorer(model), tokenizer, generate=lambda prompts, _: ["B.\n\nQuestion: C"] * len(prompts)
    )
    batch = requests("generate_until", [("Q:", {"until": ["\n\n", ""]}), ("Q:", {"until": "."})])
    assert ours.generate_until(batch) == ["B.", "B"]


def test_prompts_that_are_answered_in_words_may_be_messages(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    inputs: list[list[int]] = []

    def write(prompts: Sequence[list[int]], _: Sequence[object]) -> list[str]:
        inputs.extend(prompts)
        return ["B"] * len(prompts)

    ours = HarnessModel(
        Scorer(model), tokenizer, generate=write, as_message=lambda text: [7, 7, *map(ord, text)]
    )
    assert ours.generate_until(requests("generate_until", [("Q:", {"until": []})])) == ["B"]
    assert inputs == [[7, 7, 81, 58]]
    assert ours.count_tokens(["Q:"]) == [4]


def test_a_prompt_that_has_its_mark_of_the_beginning_gets_no_second_one(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    ours = HarnessModel(Scorer(model), tokenizer, add_bos=True)
    assert ours.tok_encode("<s>A") == ours.tok_encode("A") == [0, ours.tok_encode("A")[-1]]
    assert ours.count_tokens(["A", "<s>A"]) == [2, 2]
    assert ours.tok_encode("A", add_special_tokens=False) == [ours.tok_encode("A")[-1]]
    assert not math.isnan(ours.loglikelihood(requests("loglikelihood", [("A", "B")]))[0][0])


@pytest.mark.parametrize("add_bos", [False, True])
def test_the_options_of_a_prompt_share_its_tokens(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    add_bos: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = HarnessModel(Scorer(model), tokenizer, add_bos=add_bos)
    contexts: list[list[int]] = []
    monkeypatch.setattr(
        ours,
        "_loglikelihood_tokens",
        lambda requests, **_: contexts.extend(context for _, context, _ in requests),
    )
    ours.loglikelihood(requests("loglikelihood", PAIRS[:8]))
    assert len(contexts) == 8
    assert len({id(context) for context in contexts}) == 2
    assert contexts[0] == ours.tok_encode(QUESTIONS[0]) != contexts[4]


def test_a_larger_vocabulary_than_the_model_s_is_refused(
    tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM
) -> None:
    config = type(model.config)(**(model.config.to_dict() | {"vocab_size": 50}))
    with pytest.raises(InputError, match=r"has tokens up to 98, and the model knows 50; take"):
        HarnessModel(Scorer(LlamaForCausalLM(config)), tokenizer)


def quiz(num: int) -> QuestionSet:
    solved = [
        LabelledQuestion(
            Question("quiz", f"keys/{n}", f"How many sharps has key {n} of the list?{' Why?' * n}",
                     ("one", "two", "three", "four")),
            "ABCD"[n % 4], "keys", "test",
        )
        for n in range(num + 5)
    ]  # fmt: skip
    return QuestionSet(tuple(solved[5:]), {"keys": tuple(solved[:5])})


def how(**changes: Any) -> PromptSettings:
    start = PromptSettings(
        "quiz", "opencompass", "perplexity", 5, True, False, 500, "drop_last_shots", None
    )
    return dataclasses.replace(start, **changes)


def fed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return a list that gets the tokens of everything that is scored."""
    inputs: list[tuple[int, ...]] = []
    score = Scorer.score

    def watched(self: Scorer, items: Sequence[Item], *rest: Any) -> Any:
        inputs.extend(item.ids for item in items)
        return score(self, items, *rest)

    monkeypatch.setattr(Scorer, "score", watched)
    return inputs


def test_long_prompts_of_the_paper_have_the_tokens_of_opencompass(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, form = quiz(12), FORMATS["opencompass"]
    inputs = fed(monkeypatch)
    lm = HarnessModel(Scorer(model), tokenizer, add_bos=True, whole_prompts=True, max_length=500)

    rows, _ = ask(lm, questions, how())

    expected, num_dropped = set(), []
    for solved in questions.questions:
        shots = list(questions.examples["keys"])
        for letter in "ABCD":
            # openicl's PPL inferencer: the last of the examples goes while the prompt is too long
            while True:
                prompt = form.prompt(solved, shots) + form.option(letter)
                ids = tokenizer("<s>" + prompt)["input_ids"]
                if not shots or len(ids) <= 500:
                    break
                shots = shots[:-1]
            expected.add(tuple(ids))
        num_dropped.append(5 - len(shots))
    assert expected <= set(inputs)
    assert [row["num_dropped_shots"] for row in rows] == num_dropped
    assert len({*num_dropped}) > 1


def test_long_prompts_of_the_harness_s_options_are_the_harness_s(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval.models.huggingface import HFLM

    questions = quiz(3)
    settings = how(prompt_format="harness", mode="likelihood", add_bos=False, max_length=200,
                   long_prompts="truncate")  # fmt: skip
    theirs = HFLM(
        pretrained=model.eval(), tokenizer=tokenizer, batch_size=3, device="cpu", max_length=200
    )
    expected, _ = ask(theirs, questions, settings)
    inputs = fed(monkeypatch)

    rows, _ = ask(HarnessModel(Scorer(model), tokenizer, max_length=200), questions, settings)

    assert {len(ids) for ids in inputs} == {201}
    assert [row["num_cut_tokens"] for row in rows] == [row["num_cut_tokens"] for row in expected]
    assert all(row["num_cut_tokens"] > 0 and row["num_shots"] == 5 for row in rows)
    for row, other in zip(rows, expected, strict=True):
        assert row["logliks"] == pytest.approx(other["logliks"], abs=1e-3)
