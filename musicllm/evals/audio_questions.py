"""Questions with several answers about clips of audio: which one a model finds most probable.

Each answer is scored as what the assistant says, its end included, behind the question and the
clip. A model of text is asked the same without the clip. Beside the accuracy stand what guessing
reaches, and what the answer reaches that is most frequent among the training records of a kind of
question. Questions about one clip are not independent, so intervals resample clips.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch

from musicllm import artifacts
from musicllm.data.clips import Clip, clip_of
from musicllm.data.encoder import Encoder
from musicllm.data.features import FeatureStore
from musicllm.data.records import Record
from musicllm.data.settings import RowSettings
from musicllm.errors import ArtifactError, InputError
from musicllm.evals.examinee import Examinee
from musicllm.evals.results import Metrics, bootstrap, with_interval
from musicllm.inference.scorer.planning import Item
from musicllm.model.adapters import causal_model
from musicllm.model.audio.bridge import bridge_of
from musicllm.model.audio.facts import FeatureSpec

LONGEST = 1 << 20
"""Tokens of a question with an answer; the model's context is far smaller."""


@dataclass(frozen=True)
class AudioQuestion:
    """A question about a clip.

    Attributes:
        id: of its record.
        kind: of the question, such as `instrument`.
        text: of the question.
        choices: the answers, two or more.
        answer: the right one.
        clip: what it is about.
    """

    id: str
    kind: str
    text: str
    choices: tuple[str, ...]
    answer: str
    clip: Clip


def read_questions(records: Iterable[Record]) -> list[AudioQuestion]:
    """Return the records that are questions with choices about a clip.

    They have `features`, `task`, the kind of question, `conditions.choices`, and two messages.
    """
    questions = []
    for record in records:
        clip = clip_of(record)
        choices = record.get("conditions", {}).get("choices", ())
        if clip is None or len(choices) < 2 or "task" not in record:
            continue
        question, answer = (message["content"] for message in record["messages"][-2:])
        if answer not in choices:
            raise InputError(f"{record['id']}: the answer {answer!r} is none of {list(choices)}")
        questions.append(
            AudioQuestion(record["id"], record["task"], question, tuple(choices), answer, clip)
        )
    return questions


def most_frequent(questions: Iterable[AudioQuestion]) -> dict[str, str]:
    """Return the most frequent answer to each kind of question; of equals the first by name."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for question in questions:
        counts[question.kind][question.answer] += 1
    return {
        kind: min(own, key=lambda answer: (-own[answer], answer)) for kind, own in counts.items()
    }


def answer_all(
    examinee: Examinee, questions: Sequence[AudioQuestion], store: FeatureStore | None
) -> list[str]:
    """Return the answer that the model finds most probable, question by question.

    Cost: a pass over the answers to the questions about a clip, clip after clip.

    Args:
        examinee: the model; one that hears needs the store.
        questions: about clips.
        store: of their features.

    Raises:
        ArtifactError: a model that hears has no features, or those of another encoder or of other
            settings than its bridge was trained on, or the store lacks clips.
    """
    model = examinee.scorer.reader.model
    bridge = bridge_of(model)
    if bridge is not None:
        _refuse_other_features(bridge.facts.features, store, [q.clip.key for q in questions])
    num_places = 0 if bridge is None else bridge.num_tokens
    rows = RowSettings("single", LONGEST, "stop", None, audio_tokens=num_places)
    encoder = Encoder(examinee.tokenizer, rows)
    by_clip: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        by_clip.setdefault(question.clip.key, []).append(number)
    answers = [""] * len(questions)
    for key, numbers in by_clip.items():
        asked = [questions[number] for number in numbers]
        items = _items(encoder, asked)

        def measure(items: list[Item] = items, key: str = key) -> list[float]:
            if bridge is None or store is None:
                return [scored.logprob for scored in examinee.scorer.score(items)]
            features = torch.from_numpy(store.get(key))
            with (
                torch.no_grad(),
                bridge.listening(causal_model(model), features, encoder.first_audio_place),
            ):
                return [scored.logprob for scored in examinee.scorer.score(items)]

        texts = [[q.id, q.text, *q.choices] for q in asked]
        logprobs = iter(examinee.memoize(f"clip-{key}-{_name(texts)}", measure))
        for number, question in zip(numbers, asked, strict=True):
            own = [next(logprobs) for _ in question.choices]
            answers[number] = question.choices[int(np.argmax(own))]
    return answers


def measure(
    questions: Sequence[AudioQuestion],
    answers: Sequence[str],
    usual: Mapping[str, str],
    seed: int,
) -> tuple[Metrics, list[dict[str, object]]]:
    """Return accuracies with intervals over clips, and a row for every question.

    Args:
        questions: that were asked.
        answers: of the model.
        usual: `most_frequent` of the training records.
        seed: of the resampling.
    """
    rows: list[dict[str, object]] = [
        {
            "item_id": question.id,
            "subject": question.kind,
            "clip": question.clip.key,
            "question": question.text,
            "answer": question.answer,
            "prediction": answer,
            "correct": answer == question.answer,
            "chance": 1 / len(question.choices),
            "most_frequent": usual.get(question.kind) == question.answer,
        }
        for question, answer in zip(questions, answers, strict=True)
    ]
    metrics = _of(rows, "", seed)
    for kind in sorted({question.kind for question in questions}):
        own = [row for row in rows if row["subject"] == kind]
        metrics |= _of(own, f"_{kind}", seed)
    return metrics | {"num_questions": len(rows)}, rows


def compare(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    """Return how much more often the model is right than the baseline, with an interval over clips.

    Args:
        before: rows of the baseline.
        after: rows of the model.
        seed: of the resampling.
    """
    old = {row["item_id"]: row for row in before}
    pairs = [(old[row["item_id"]], row) for row in after if row["item_id"] in old]
    if not pairs:
        return {}
    gains = [float(new["correct"]) - float(was["correct"]) for was, new in pairs]
    low, high = _clustered(gains, [new["clip"] for _, new in pairs], seed)
    return {
        "num_questions": len(pairs),
        "baseline": fmean(float(was["correct"]) for was, _ in pairs),
        "model": fmean(float(new["correct"]) for _, new in pairs),
        "difference": fmean(gains),
        "low": low,
        "high": high,
    }


def _of(rows: Sequence[Mapping[str, Any]], suffix: str, seed: int) -> Metrics:
    right = [float(row["correct"]) for row in rows]
    interval = _clustered(right, [row["clip"] for row in rows], seed)
    return with_interval(f"accuracy{suffix}", fmean(right), interval) | {
        f"chance{suffix}": fmean(row["chance"] for row in rows),
        f"most_frequent{suffix}": fmean(float(row["most_frequent"]) for row in rows),
    }


def _clustered(values: Sequence[float], clusters: Sequence[str], seed: int) -> tuple[float, float]:
    """Return the percentile interval of a mean when whole clusters are resampled."""
    sums: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        own = sums.setdefault(cluster, [0.0, 0.0])
        own[0] += value
        own[1] += 1
    totals, counts = zip(*sums.values(), strict=True)
    return bootstrap(totals, seed, counts)


def _items(encoder: Encoder, questions: Sequence[AudioQuestion]) -> list[Item]:
    """Return every choice of every question as what the assistant answers."""
    records: list[Record] = [
        {
            "id": question.id,
            "source": question.kind,
            "features": [question.clip.as_json()],
            "messages": [
                {"role": "user", "content": question.text},
                {"role": "assistant", "content": choice},
            ],
        }
        for question in questions
        for choice in question.choices
    ]
    encoded = encoder.encode(records)
    if encoded.drops:
        drop = encoded.drops[0]
        raise InputError(f"{drop.place} {drop.reason}: {drop.detail}")
    documents = encoded.documents
    items = []
    for begin, end in zip(documents.offsets, documents.offsets[1:], strict=False):
        ids = tuple(documents.input_ids[begin:end].tolist())
        items.append(Item(ids, int(np.argmax(documents.supervised[begin:end]))))
    return items


def _refuse_other_features(
    trained_on: Mapping[str, Any], store: FeatureStore | None, keys: Sequence[str]
) -> None:
    if store is None:
        raise ArtifactError(
            "the model hears, and inputs.features is not set; write the features of the corpus: "
            "inputs.features=mu_llama/features"
        )
    ours, theirs = (FeatureSpec.of_json(s) for s in (trained_on, store.facts["spec"]))
    if ours.fingerprint != theirs.fingerprint:
        raise ArtifactError(
            f"inputs.features={store.folder} are of another encoder or of other settings than the "
            f"bridge of the model was trained on; store them again with those of its training"
        )
    if lacking := store.lacking(keys):
        raise ArtifactError(
            f"inputs.features={store.folder} lacks {len(set(lacking)):,} clips of these questions"
        )


def _name(texts: list[list[str]]) -> str:
    return artifacts.fingerprint(texts)
