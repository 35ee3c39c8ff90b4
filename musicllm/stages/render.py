"""Render: the tunes of a corpus become clips of audio, with questions whose answers are known.

Tunes that are finished stay in `work/` of the run folder until all are, so a killed run goes on.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.data.engines import make_engine
from musicllm.data.records import SPLITS
from musicllm.errors import NotAvailableError, StageError
from musicllm.job import Job
from musicllm.music.render.kinds.sound import sampler
from musicllm.theory.listening import KINDS
from musicllm.theory.rendered import TuneOf, TuneRenderer

WORK = "work"
AUDIO = "audio"
SOURCE = "rendered"


def run(job: Job) -> list[tuple[str, object]]:
    """Render the tunes of `inputs.corpus`; each split of it is one here.

    Raises:
        NotAvailableError: nothing here plays sampled instruments.
        StageError: no tune could be rendered.
    """
    if sampler() is None:
        raise NotAvailableError(
            "task=render plays instruments, and neither the program fluidsynth nor the package "
            "tinysoundfont is installed; pip install --no-deps tinysoundfont"
        )
    settings, seed = job.config.rendering, job.config.seed
    corpus = Corpus.open(job.input("corpus").path)
    tunes = [
        tune
        for split in SPLITS
        for tune in _tunes(
            corpus,
            split,
            settings.num_tunes if split == SPLITS[0] else settings.num_held_out_tunes,
            seed,
        )
    ]
    work = job.folder / WORK
    renderer = TuneRenderer(work, settings.num_clips, settings.clip_s, seed)
    engine = make_engine(**vars(job.config.engine))
    made = list(engine.map(renderer, tunes, "rendering", "tune"))
    problems = Counter(facts["problem"] for facts in made if "problem" in facts)
    if not any(facts["records"] for facts in made):
        reason = problems.most_common(1)[0][0] if problems else "the corpus has no tunes"
        raise StageError(f"none of {len(tunes):,} tunes could be rendered: {reason}")
    with job.writing() as (folder, artifact_facts):
        counts = {split: _write(split, made, work, folder) for split in SPLITS}
        engines = sorted({r["engine"] for facts in made for r in facts["records"]})
        artifact_facts.update(
            counts=counts,
            engines=engines,
            problems=dict(problems.most_common(50)),
            num_without=problems.total(),
            metrics={},
        )
    shutil.rmtree(work)
    for problem, count in problems.most_common(3):
        console.note(f"{count:,} tunes are left out: {problem}")
    return [
        *(
            (split, f"{own['clips']:,} clips of {own['tunes']:,} tunes, "
                    f"{own['questions']:,} questions")
            for split, own in counts.items()
        ),
        ("left out", f"{problems.total():,} tunes"),
        ("played by", ", ".join(engines)),
        ("use it", f"data=rendered_audio_qa inputs.rendered={job.folder}"),
    ]  # fmt: skip


def _tunes(corpus: Corpus, split: str, most: int | None, seed: int) -> list[TuneOf]:
    """Return the records of a split that are one tune, or so many drawn of them."""
    tunes = [
        TuneOf(record["id"], split, record["text"])
        for record in corpus.records(split)
        if "text" in record
    ]
    if most is None or len(tunes) <= most:
        return tunes
    drawn = random.Random(f"{seed} {split}").sample(range(len(tunes)), most)
    return [tunes[number] for number in sorted(drawn)]


def _write(split: str, made: list[dict[str, Any]], work: Path, folder: Path) -> dict[str, int]:
    """Write the clips and records of a split, and return their numbers."""
    (folder / AUDIO).mkdir(exist_ok=True)
    tunes, clips, lines = 0, set(), []
    for facts in made:
        if facts["split"] != split or not facts["records"]:
            continue
        tunes += 1
        for record in facts["records"]:
            name = f"{AUDIO}/{facts['folder']}-{record['clip']}"
            if name not in clips:
                os.link(work / facts["folder"] / record["clip"], folder / name)
                clips.add(name)
            lines.append(json.dumps(_record(record, name), ensure_ascii=False) + "\n")
    (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return {"tunes": tunes, "clips": len(clips), "questions": len(lines)}


def _record(record: dict[str, Any], file: str) -> dict[str, Any]:
    assert record["task"] in {kind.name for kind in KINDS}, record["task"]
    return {
        "id": record["id"],
        "source": SOURCE,
        "task": record["task"],
        "conditions": {"choices": record["choices"]},
        "features": [{"kind": "audio", "file": file, "start_s": 0.0, "duration_s": None}],
        "messages": [
            {"role": "user", "content": record["question"]},
            {"role": "assistant", "content": record["answer"]},
        ],
    }
