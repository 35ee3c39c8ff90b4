"""Peak memory of preparing a corpus, and of one ten times the size.

Everything is enabled: checks, all kinds of deduplication, decontamination. The memory of all
processes is sampled from outside, ten times a second; shared memory counts once (proportional set
size, where available).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import psutil

from musicllm import console
from musicllm.bench import contestants, texts, vocabulary
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.errors import InputError

TIMES = 10
INTERVAL_S = 0.1

GOALS = {"peak_memory_10x": "at most 1.2"}


@dataclass
class Peak:
    """Peak memory.

    Attributes:
        together: of all processes at one time, in bytes.
        largest: of one process, in bytes.
    """

    together: int = 0
    largest: int = 0

    def sample(self) -> None:
        """Sample the memory of all child processes."""
        sizes = [_size(process) for process in psutil.Process().children(recursive=True)]
        self.together = max(self.together, sum(sizes))
        self.largest = max([self.largest, *sizes])


def run(settings: BenchSettings) -> BenchResult:
    """Prepare `num_documents` texts and TIMES as many in every round; the highest peaks count.

    Raises:
        InputError: no vocabulary size is configured.
    """
    if settings.vocab_size is None:
        raise InputError("bench.vocab_size=null, but bench memory trains a tokenizer; give 32000")
    tokenizer, questions = settings.work / "tokenizer", settings.work / "questions.jsonl"
    console.say("writing texts, training a tokenizer")
    few = settings.num_documents
    files = {number: settings.work / f"{number}.jsonl" for number in (few, TIMES * few)}
    for number, file in files.items():
        texts.write_jsonl(file, number, settings.seed)
    texts.write_questions(questions, settings.seed)
    vocabulary.train(texts.read_jsonl(files[few]), settings.vocab_size, tokenizer)
    peaks = {number: Peak() for number in files}
    with console.progress("measuring", settings.num_rounds * len(files), "run") as advance:
        for _ in range(settings.num_rounds):
            for number, file in files.items():
                watch(
                    partial(contestants.ours, file, tokenizer, settings.engine, questions),
                    peaks[number],
                )
                advance(note=f"{number:,} documents")
    together = {number: peak.together for number, peak in peaks.items()}
    return BenchResult(
        {"peak_memory_10x": together[TIMES * few] / together[few]},
        GOALS,
        facts={
            f"{number} documents": {
                "bytes": files[number].stat().st_size,
                "peak_of_all_processes_mb": round(peak.together / 1e6, 1),
                "peak_of_largest_process_mb": round(peak.largest / 1e6, 1),
            }
            for number, peak in peaks.items()
        },
    )


def watch(function: Callable[[], object], peak: Peak) -> None:
    """Run a function in a fresh process, sampling the memory of it and its children."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        running = pool.submit(function)
        while not running.done():
            peak.sample()
            wait([running], timeout=INTERVAL_S)
        running.result()


def _size(process: psutil.Process) -> int:
    """Return the proportional memory of a process in bytes; 0 if it has ended."""
    try:
        memory = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(memory, "pss", memory.rss))
