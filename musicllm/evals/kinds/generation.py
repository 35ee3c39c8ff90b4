"""Tunes that a model writes on request, and people's tunes measured in the same way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from musicllm import console
from musicllm.errors import InputError, Problem
from musicllm.evals.kind import BENCHMARK_KINDS, BenchmarkKind
from musicllm.schema import BenchmarkConfig

if TYPE_CHECKING:
    from musicllm.evals.examinee import Examinee
    from musicllm.evals.materials import Materials
    from musicllm.evals.requests import Request
    from musicllm.evals.results import BenchmarkResult

BATCH_SIZE = 32
"""Tunes that are sampled together."""


class Generation(BenchmarkKind):
    """Validity, adherence and novelty of tunes. The baseline need not know how to chat."""

    name = "generation"
    headline = "bars_fitting"
    keys = ("subjects",)
    counted = "num_tunes"
    items = "requests"
    items_in_plan = "tunes"
    measures_baseline = False

    def missing_inputs(
        self, spec: BenchmarkConfig, inputs: frozenset[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield the instructions, where there are no held-out tunes either."""
        if not inputs & {"corpus", "instructions"}:
            yield "instructions", f"benchmark {spec.name} takes its requests from there"

    def problems_in_training(self, spec: BenchmarkConfig) -> Iterator[Problem]:
        """Yield that samples are written by another callback."""
        rule = "writes tunes, which callbacks.samples_every_steps does during training"
        yield Problem(f"benchmark.{spec.name}", self.name, rule, "leave it out")

    def read(self, materials: Materials, spec: BenchmarkConfig) -> list[Request]:
        """Return requests for tunes: made of held-out ones by `subjects`, or instructions.

        Raises:
            ConfigError: the benchmark names no split.
            InputError: there is none in this split.
        """
        make = _of_tunes if spec.subjects else _of_instructions
        requests, limit = make(materials, spec), spec.num_questions
        if limit is not None and len(requests) < limit:
            console.note(f"{spec.name}: {len(requests)} prompts instead of {limit} exist")
        return requests

    def measure(self, examinee: Examinee, spec: BenchmarkConfig) -> BenchmarkResult:
        """Let the model answer every request."""
        from musicllm.evals import generation

        materials = examinee.materials
        requests = self.material(materials, spec)
        messages = [request.messages for request in requests]
        completions = examinee.answer(messages, materials.sampling, BATCH_SIZE)
        texts = [completion.text for completion in completions]
        finished = [completion.finished for completion in completions]
        return generation.measure(requests, texts, finished, materials.copy_index, materials.seed)

    def measure_reference(self, materials: Materials, spec: BenchmarkConfig) -> BenchmarkResult:
        """Measure the tunes of people from which the requests were made."""
        from musicllm.evals import generation

        requests = self.material(materials, spec)
        texts, finished = [request.reference for request in requests], [True] * len(requests)
        return generation.measure(requests, texts, finished, materials.copy_index, materials.seed)


def _of_tunes(materials: Materials, spec: BenchmarkConfig) -> list[Request]:
    from musicllm.evals.generation import make_requests
    from musicllm.evals.requests import find_tune

    role = "corpus" if "corpus" in materials.inputs else "instructions"
    tunes = dict.fromkeys(
        record["text"] if "text" in record else find_tune(record["messages"][-1]["content"])
        for record in materials.corpus(role).records(materials.split(spec))
    )
    return make_requests(list(tunes), spec.subjects, spec.num_questions, materials.seed)


def _of_instructions(materials: Materials, spec: BenchmarkConfig) -> list[Request]:
    from musicllm.evals.generation import request_of
    from musicllm.evals.requests import asks_for_tune

    corpus = materials.corpus("instructions")
    records = [record for record in corpus.records(materials.split(spec)) if asks_for_tune(record)]
    if not records:
        raise InputError(
            f"{corpus.path} has no requests for tunes in its {spec.split} split; "
            f"benchmark {spec.name} needs them: write "
            f"inputs.instructions=<an instruction corpus>, or requests made from tunes: "
            f"benchmark.{spec.name}.subjects=[metadata,chords,motif,form,first_bars]"
        )
    number = min(len(records), spec.num_questions or len(records))
    return [request_of(record) for record in random.Random(materials.seed).sample(records, number)]


KIND = BENCHMARK_KINDS.register(Generation())
