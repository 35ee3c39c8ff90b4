"""Questions about clips: what is asked, what guessing reaches, and intervals over clips."""

from __future__ import annotations

import pytest

from musicllm.data.clips import Clip
from musicllm.errors import InputError
from musicllm.evals import audio_questions
from musicllm.evals.audio_questions import AudioQuestion


def question(number: int, kind: str, answer: str, choices: tuple[str, ...]) -> AudioQuestion:
    clip = Clip(f"{number // 2}.wav", 0.0, None, f"{number // 2:064d}")
    return AudioQuestion(str(number), kind, f"Which {kind}?", choices, answer, clip)


QUESTIONS = [
    *(question(n, "height", "high" if n % 4 else "low", ("high", "low")) for n in range(8)),
    *(question(n, "colour", "red", ("red", "green", "blue", "black")) for n in range(8, 12)),
]


def test_accuracies_stand_beside_chance_and_the_most_frequent_answer() -> None:
    usual = audio_questions.most_frequent(QUESTIONS)
    assert usual == {"height": "high", "colour": "red"}
    answers = ["high"] * 8 + ["red", "red", "green", "red"]
    metrics, rows = audio_questions.measure(QUESTIONS, answers, usual, seed=1)
    assert metrics["accuracy_height"] == 6 / 8
    assert metrics["accuracy_colour"] == 3 / 4
    assert metrics["accuracy"] == 9 / 12
    assert metrics["chance"] == pytest.approx((8 * 0.5 + 4 * 0.25) / 12)
    assert metrics["chance_colour"] == 0.25
    assert metrics["most_frequent_height"] == 6 / 8
    assert metrics["num_questions"] == 12
    assert metrics["accuracy_low"] <= 0.75 <= metrics["accuracy_high"]
    assert rows[10]["prediction"] == "green"


def test_intervals_resample_clips() -> None:
    """A clip whose questions are all right or all wrong counts as one, not as many."""
    alone, _ = audio_questions.measure(
        [question(2 * n, "height", "high", ("high", "low")) for n in range(40)],
        ["high", "low"] * 20, {}, seed=1,
    )  # fmt: skip
    together, _ = audio_questions.measure(
        [question(n, "height", "high", ("high", "low")) for n in range(40)],
        [answer for answer in ["high", "low"] * 10 for _ in range(2)], {}, seed=1,
    )  # fmt: skip
    assert alone["accuracy"] == together["accuracy"] == 0.5
    widths = [m["accuracy_high"] - m["accuracy_low"] for m in (alone, together)]  # type: ignore[operator]
    assert widths[1] > 1.2 * widths[0]


def test_the_gain_over_the_baseline_has_an_interval() -> None:
    rows = [
        audio_questions.measure(QUESTIONS, answers, {}, seed=1)[1]
        for answers in (["low"] * 8 + ["red"] * 4, ["high"] * 8 + ["red"] * 4)
    ]
    gain = audio_questions.compare(*rows, seed=1)
    assert gain["difference"] == pytest.approx(4 / 12)
    assert gain["baseline"] == pytest.approx(6 / 12)
    assert gain["low"] < gain["difference"] < gain["high"]
    assert audio_questions.compare([], rows[0], seed=1) == {}


def test_records_that_are_questions_are_read() -> None:
    clip = Clip("a.wav", 0.0, None, "0" * 64).as_json()
    messages = [{"role": "user", "content": "High?"}, {"role": "assistant", "content": "high"}]
    record = {"id": "1", "source": "s", "task": "height", "messages": messages,
              "features": [clip], "conditions": {"choices": ["high", "low"]}}  # fmt: skip
    (read,) = audio_questions.read_questions([record, {**record, "features": []}])
    assert (read.kind, read.answer, read.text) == ("height", "high", "High?")
    with pytest.raises(InputError, match="the answer 'high' is none of"):
        audio_questions.read_questions([{**record, "conditions": {"choices": ["up", "down"]}}])
