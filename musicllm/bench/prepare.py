"""Speed of preparing a corpus, compared with the bare tokenizer and with a published script.

All contestants use the same texts and vocabulary, and give the same tokens; the slow
ones process only the first texts. Rates are in these tokens per second, so that a ratio of rates
is also one of texts, whatever a contestant removes as a duplicate.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.bench import contestants, texts, vocabulary
from musicllm.bench.measuring import Contestant, measure
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.data.engines.local import num_cores
from musicllm.errors import InputError

GOALS = {
    "vs_tokenizers_plain": "at least 0.7",
    "vs_tokenizers_full": "at least 0.35",
    "vs_slow_loop": "at least 10",
    "vs_slow_loop_all_cores": "none; the published script starts 64 processes",
    "abc_checks_per_s_per_core": "at least 2,000",
}

TRAINING_TEXTS = 5_000
"""Texts to train the vocabulary on."""

COMPARED_TEXTS = 200
"""Texts on which the slow and the fast tokenizer must agree."""

ABC_REPEATS = 2
"""Passes over the books per measurement of `abc_checks`."""


def run(settings: BenchSettings) -> BenchResult:
    """Run the bench; takes some minutes.

    Raises:
        InputError: no vocabulary size is configured.
        NotAvailableError: the package sentencepiece is not installed.
        StageError: the slow and the fast tokenizer disagree, or a contestant died.
    """
    if settings.vocab_size is None:
        raise InputError("bench.vocab_size=null, but bench prepare trains a tokenizer; give 32000")
    files = _Files(settings)
    facts = files.make(settings.vocab_size)
    timings = measure(_contestants(settings, files, facts), settings.num_rounds)
    rate = {name: timing.rate for name, timing in timings.items()}
    ratios = {
        "vs_tokenizers_plain": rate["ours, plain"] / rate["bare tokenizers"],
        "vs_tokenizers_full": rate["ours, everything on"] / rate["bare tokenizers"],
        "vs_slow_loop": rate["ours, plain"] / rate["slow loop"],
        "vs_slow_loop_all_cores": rate["ours, plain"] / rate["slow loop, all cores"],
        "abc_checks_per_s_per_core": rate["abc checks"],
    }
    return BenchResult(ratios, GOALS, timings, facts)


def _contestants(
    settings: BenchSettings, files: _Files, facts: dict[str, Any]
) -> dict[str, Contestant]:
    inputs = (files.texts, files.tokenizer)
    slow_inputs = (files.slow_texts, files.tokenizer)
    cores = num_cores()
    tokens, slow_tokens = facts["tokens"], facts["slow_tokens"]
    plain = partial(contestants.ours, *inputs, settings.engine, None)
    full = partial(contestants.ours, *inputs, settings.engine, files.questions)
    return {
        "bare tokenizers": Contestant(
            partial(contestants.bare_tokenizers, *inputs), tokens, "tokens"
        ),
        "ours, plain": Contestant(plain, tokens, "tokens"),
        "ours, everything on": Contestant(full, tokens, "tokens"),
        "slow loop": Contestant(
            partial(contestants.slow_loop, *slow_inputs, None), slow_tokens, "tokens"
        ),
        "slow loop, all cores": Contestant(
            partial(contestants.slow_loop, *slow_inputs, cores), slow_tokens, "tokens"
        ),
        "abc checks": Contestant(
            partial(contestants.abc_checks, ABC_REPEATS), ABC_REPEATS * facts["tunes"], "tunes"
        ),
    }


class _Files:
    """The input files of the contestants, written before they start."""

    def __init__(self, settings: BenchSettings) -> None:
        self._settings = settings
        self.texts: Path = settings.work / "texts.jsonl"
        self.slow_texts: Path = settings.work / "slow_texts.jsonl"
        self.questions: Path = settings.work / "questions.jsonl"
        self.tokenizer: Path = settings.work / "tokenizer"

    def make(self, vocab_size: int) -> dict[str, Any]:
        """Write all files and return facts about them."""
        settings = self._settings
        num_slow = settings.num_slow_documents or settings.num_documents
        console.say("writing texts, training a tokenizer")
        texts.write_jsonl(self.texts, settings.num_documents, settings.seed)
        texts.write_jsonl(self.slow_texts, num_slow, settings.seed)
        texts.write_questions(self.questions, settings.seed)
        lines = texts.read_jsonl(self.texts)
        vocabulary.train(lines[:TRAINING_TEXTS], vocab_size, self.tokenizer)
        vocabulary.compare(self.tokenizer, lines[:COMPARED_TEXTS])
        lengths = vocabulary.lengths(self.tokenizer, lines)
        return {
            "documents": len(lines),
            "tokens": sum(lengths),
            "slow_documents": num_slow,
            "slow_tokens": sum(lengths[:num_slow]),
            "bytes": self.texts.stat().st_size,
            "tunes": sum(1 for _ in texts.printed_tunes()),
            "questions": texts.NUM_QUESTIONS,
            "vocab_size": vocab_size,
        }
