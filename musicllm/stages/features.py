"""Features: the encoder hears every clip of a corpus once, and what it says is stored.

Shards are written into `partial/` of the run folder as they are finished: a killed run loses at
most a minute, and the same command continues with the other clips.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from musicllm import artifacts, console
from musicllm.data.clips import Clip
from musicllm.data.corpus import Corpus
from musicllm.data.features import KIND, REJECTED, FeatureWriter
from musicllm.errors import ArtifactError, StageError
from musicllm.facts import installed_versions
from musicllm.files import audio as audio_files
from musicllm.files.misfit import Misfit
from musicllm.job import Job, code_fingerprint
from musicllm.model.audio.encoders import AudioEncoder
from musicllm.model.audio.encoding import Features, features_of
from musicllm.model.audio.facts import FeatureSpec
from musicllm.runs.hearing import clips_of, open_encoder, spec_of

PARTIAL = "partial"
CHANGED = "names audio that changed"
TOO_LONG = "is longer than audio.max_clip_s"


def run(job: Job) -> list[tuple[str, object]]:
    """Encode the clips of `inputs.corpus` that are not stored yet.

    Cost: that of the encoder in seconds of audio, and a read of every file for its checksum. A clip
    that cannot be encoded is listed in `rejected.jsonl` with its reason.

    Raises:
        ArtifactError: the corpus has no audio.
        StageError: no clip could be encoded.
    """
    corpus = Corpus.open(job.input("corpus").path)
    clips = clips_of(corpus)
    if not clips:
        raise ArtifactError(
            f"inputs.corpus={corpus.path} has no audio: no record names any in `features`"
        )
    encoder = open_encoder(job.config)
    spec = spec_of(job.config.audio, encoder.fingerprint)
    writer = FeatureWriter(job.folder / PARTIAL, spec.shape, _identity(spec))
    missing = [clip for clip in clips if clip.key not in writer.keys]
    if len(missing) < len(clips):
        console.say(f"{len(clips) - len(missing):,} of {len(clips):,} clips are there already")
    rejected: list[tuple[Clip, Misfit]] = []
    with console.progress("encoding", len(missing), "clip") as advance:
        for clip in missing:
            try:
                features = _encoded(clip, encoder, spec, job.config.audio.max_clip_s)
                writer.add(clip.key, features)
            except Misfit as misfit:
                rejected.append((clip, misfit))
            advance(1)
    num_stored = len(clips) - len(rejected)
    if not num_stored:
        raise StageError(
            f"none of {len(clips):,} clips could be encoded; the first {rejected[0][1].reason}: "
            f"{rejected[0][1].detail}"
        )
    with job.writing() as (folder, facts):
        size = writer.finish(folder / "shards")
        lines = [
            json.dumps(clip.as_json() | {"reason": misfit.reason, "detail": misfit.detail})
            for clip, misfit in rejected
        ]
        (folder / REJECTED).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        facts.update(
            spec=spec.as_json(),
            num_clips=num_stored,
            num_rejected=len(rejected),
            num_bytes=size,
            metrics={},
        )
    shutil.rmtree(job.folder / PARTIAL)
    return [
        ("encoder", f"{spec.encoder}, {encoder.facts.num_parameters:,} parameters"),
        ("clips", f"{num_stored:,}"),
        *_rejections(rejected),
        ("features", f"{spec.shape[0]} x {spec.shape[1]} a clip, {spec.pooling}"),
        ("size", f"{size / 1e6:.1f} MB"),
        ("use it", f"inputs.{KIND}={job.folder} in a recipe that trains"),
    ]


def _encoded(clip: Clip, encoder: AudioEncoder, spec: FeatureSpec, max_clip_s: float) -> Features:
    """Return the features of a clip.

    Raises:
        Misfit: its file is missing, changed or cannot be read, or the clip is silent, too short or
            too long.
    """
    path = Path(clip.file)
    sound = audio_files.probe(path)
    try:
        sha256 = artifacts.checksum(path)
    except OSError as error:
        raise Misfit(audio_files.UNREADABLE, f"{path}: {error}") from None
    if sha256 != clip.sha256:
        raise Misfit(CHANGED, f"{path} has another content than when the corpus was prepared")
    length = min(sound.duration_s - clip.start_s, clip.duration_s or float("inf"))
    if length > max_clip_s:
        raise Misfit(TOO_LONG, f"{path}: {length:.1f} s, at most {max_clip_s:g} s")
    windows = audio_files.windows(
        path,
        encoder.facts.sample_rate,
        window_s=spec.window_s,
        start_s=clip.start_s,
        duration_s=clip.duration_s,
    )
    return features_of(encoder, spec, windows)


def _rejections(rejected: list[tuple[Clip, Misfit]]) -> list[tuple[str, object]]:
    counts: dict[str, int] = {}
    for _, misfit in rejected:
        counts[misfit.reason] = counts.get(misfit.reason, 0) + 1
    if not counts:
        return []
    text = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    return [("rejected", f"{len(rejected):,}: {text}; see {REJECTED}")]


def _identity(spec: FeatureSpec) -> str:
    """Return what stored features depend on: also what may have changed since they were."""
    return artifacts.fingerprint([spec.fingerprint, code_fingerprint(), installed_versions()])
