"""The contestants: each loads the model and answers the requests of a task once.

Timed is what a user of the harness sees: from texts to log-likelihoods, including tokenization, not
loading. A short request comes first, so that one-time setup is not timed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM

from musicllm import console
from musicllm.bench.eval.task import Answers, EvalTask
from musicllm.bench.train.stopwatch import peak_bytes
from musicllm.model import base

WARM_UP = (("Question:", " A"),)


def ours(task: EvalTask) -> Answers:
    """Answer with our harness model, as `stage=evaluate` does."""
    from musicllm.evals.harness.model import HarnessModel
    from musicllm.inference.scorer.scorer import Scorer

    _set_up(task)
    trusted = task.model.trust_remote_code
    model = base.load(
        task.location,
        dtype=task.dtype,
        attention=None,
        revision=task.model.revision,
        trust_remote_code=trusted,
    ).to(task.settings.device)
    tokenizer = base.load_tokenizer(task.location, revision=task.model.revision)
    return _timed(task, HarnessModel(Scorer(model), tokenizer, add_bos=False))


def harness(task: EvalTask, batch_size: int) -> Answers:
    """Answer with the `hf` backend of the harness, as its command line does."""
    from lm_eval.models.huggingface import HFLM

    _set_up(task)
    backend = HFLM(
        pretrained=task.location,
        revision=task.model.revision or "main",
        trust_remote_code=task.model.trust_remote_code,
        device=task.settings.device,
        dtype=task.dtype,
        batch_size=batch_size,
        add_bos_token=False,
    )
    return _timed(task, backend)


def instances(requests: Sequence[tuple[str, str]]) -> list[Instance]:
    """Convert requests to instances of the harness."""
    return [
        Instance("loglikelihood", doc={}, arguments=pair, idx=number, metadata=("bench", number, 1))
        for number, pair in enumerate(requests)
    ]


def _set_up(task: EvalTask) -> None:
    """Disable output, and set the number of threads."""
    console.mute()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if task.settings.num_threads is not None:
        torch.set_num_threads(task.settings.num_threads)


def _timed(task: EvalTask, model: TemplateLM) -> Answers:
    model.loglikelihood(instances(WARM_UP), disable_tqdm=True)
    requests = instances(task.requests)
    began = time.perf_counter()
    answers = model.loglikelihood(requests, disable_tqdm=True)
    seconds = time.perf_counter() - began
    return Answers(
        seconds,
        peak_bytes(torch.device(task.settings.device)),
        tuple(float(logprob) for logprob, _ in answers),
    )
