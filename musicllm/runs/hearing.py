"""A model that hears in a job: its encoder, the features of its corpus, its bridge, its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch

from musicllm import quoting
from musicllm.data.clips import Clip
from musicllm.data.corpus import Corpus
from musicllm.data.features import FeatureStore
from musicllm.data.heard import HeardRows, Places, read_clips
from musicllm.data.records import SPLITS
from musicllm.data.rows import RowStore
from musicllm.errors import ArtifactError, ConfigError, InputError, Problem
from musicllm.job import Job
from musicllm.model.architecture import skeleton
from musicllm.model.audio import bundle
from musicllm.model.audio.bridge import Bridge, bridge_of, shape_of
from musicllm.model.audio.bridges import BRIDGES
from musicllm.model.audio.encoders import ENCODERS, AudioEncoder, EncoderFacts
from musicllm.model.audio.facts import BridgeFacts, FeatureSpec
from musicllm.model.base import seeded
from musicllm.runs.distilling import ROLE as TEACHER
from musicllm.runs.settings import model_spec
from musicllm.runs.stored_teacher import ROLE as TEACHER_LOGITS
from musicllm.runs.stored_teacher import train_rows
from musicllm.schema import AudioConfig, Config

TRAIN, VALIDATION = SPLITS[:2]

ROLE = "features"
"""Among the inputs: what `recipe=mu_llama/features` stored."""


def encoder_facts(audio: AudioConfig) -> EncoderFacts:
    """Return what is known of the configured encoder without its weights.

    Raises:
        InputError: see `EncoderKind.facts`.
    """
    assert audio.encoder is not None, "checks ask for an encoder beside a bridge"
    return ENCODERS[audio.encoder].facts(audio.encoder_config)


def open_encoder(config: Config) -> AudioEncoder:
    """Return the configured encoder with its weights, on the device of the run.

    Raises:
        InputError: its folder is missing, or see `EncoderKind.open`.
    """
    audio = config.audio
    assert audio.encoder is not None, "checks ask for an encoder beside a bridge"
    kind = ENCODERS[audio.encoder]
    location = None
    if kind.needs_weights:
        location = Path(audio.encoder_location or "").expanduser()
        if audio.encoder_location is None or not location.is_dir():
            raise InputError(
                f"audio.encoder_location={audio.encoder_location or 'null'} is not a folder; "
                f"download the weights of the encoder {audio.encoder} and name their folder"
            )
    device = torch.device("cuda" if config.hardware.accelerator == "gpu" else "cpu")
    return kind.open(audio.encoder_config, location, device)


def feature_shape(audio: AudioConfig) -> tuple[int, int]:
    """Return the shape of a clip's features."""
    facts = encoder_facts(audio)
    assert audio.bridge is not None, "a model of text has no features"
    if BRIDGES[audio.bridge].pooling == "layers":
        return (facts.num_layers, facts.width)
    assert audio.num_frames is not None, "checks ask for num_frames"
    return (audio.num_frames, facts.width)


def spec_of(audio: AudioConfig, encoder_fingerprint: str) -> FeatureSpec:
    """Return the spec of the features that the configured bridge takes."""
    assert audio.bridge is not None, "a model of text has no features"
    assert audio.encoder is not None, "checks ask for an encoder beside a bridge"
    pooling = BRIDGES[audio.bridge].pooling
    return FeatureSpec(
        encoder=audio.encoder,
        encoder_fingerprint=encoder_fingerprint,
        window_s=audio.window_s,
        pooling=pooling,
        layer=audio.layer if pooling == "frames" else None,
        num_frames=audio.num_frames if pooling == "frames" else None,
        shape=feature_shape(audio),
    )


def audio_tokens(audio: AudioConfig) -> int:
    """Return the places that a clip fills in its document."""
    if audio.bridge is None:
        return 0
    return BRIDGES[audio.bridge].num_tokens(feature_shape(audio))


def clips_of(corpus: Corpus) -> list[Clip]:
    """Return the clips of all splits of a corpus, each once."""
    clips: dict[str, Clip] = {}
    for split in SPLITS:
        for clip in read_clips(corpus.path / "rows" / split):
            clips.setdefault(clip.key, clip)
    return list(clips.values())


def refuse_misfits(job: Job, corpus: Corpus) -> None:
    """Refuse corpus, features and model that do not belong together, before a model is read.

    Raises:
        ConfigError: with every reason.
        ArtifactError: features of clips are missing.
    """
    if problems := list(_misfits(job, corpus)):
        raise ConfigError(problems)
    if job.config.audio.bridge is not None:
        store = FeatureStore.open(job.input(ROLE))
        for split in (TRAIN, VALIDATION):
            _refuse_lacking(store, corpus, split)


def _refuse_lacking(store: FeatureStore, corpus: Corpus, split: str) -> None:
    folder = corpus.path / "rows" / split
    if lacking := store.lacking([clip.key for clip in read_clips(folder)]):
        rejected = store.facts["num_rejected"]
        reasons = f"; {rejected:,} clips were rejected, see {store.folder}/rejected.jsonl"
        command = quoting.command("recipe=mu_llama/features", f"inputs.corpus={corpus.path}")
        raise ArtifactError(
            f"inputs.features={store.folder} lacks {len(lacking):,} clips of the {split} split of "
            f"{corpus.path}{reasons if rejected else ''}; leave their records out of the data, or "
            f"store the features of this corpus: {command}"
        )


def rows_of(job: Job, corpus: Corpus, split: str) -> RowStore:
    """Return the rows of a split for a training, with what is stored beside them.

    These are features of their clips for a model that hears, else what a teacher said of them.
    `refuse_misfits` has seen that they belong together.
    """
    if job.config.audio.bridge is None:
        return train_rows(job, corpus) if split == TRAIN else corpus.rows(split)
    store = FeatureStore.open(job.input(ROLE))
    return HeardRows(corpus.path / "rows" / split, store, Places.of(corpus.facts))


def give_bridge(job: Job, model: Any) -> None:
    """Attach the configured bridge to a model that has none, with random weights from the seed.

    Raises:
        ConfigError: the model came with a bridge, and the configuration asks for none or another.
        ArtifactError: the bridge was trained on other features.
    """
    audio, bridge = job.config.audio, bridge_of(model)
    if audio.bridge is None:
        if bridge is not None:
            rule = "is a model of text, but inputs.model hears"
            fix = f"write audio=<option> with bridge {bridge.facts.kind}"
            raise ConfigError([Problem("audio.bridge", "null", rule, fix)])
        return
    stored = FeatureSpec.of_json(job.input(ROLE).facts["spec"])
    facts = BridgeFacts(audio.bridge, dict(audio.options), stored.shape, stored.as_json())
    if bridge is None:
        with seeded(job.config.seed):
            bundle.build(model, facts)
        return
    _refuse_other_bridge(bridge, facts)


def _refuse_other_bridge(bridge: Bridge, facts: BridgeFacts) -> None:
    old = bridge.facts
    if (old.kind, dict(old.options)) != (facts.kind, dict(facts.options)):
        rule = f"is not the bridge of inputs.model, {old.kind} with {dict(old.options)}"
        fix = "write the same option and settings of audio"
        raise ConfigError([Problem("audio", f"{facts.kind} with {dict(facts.options)}", rule, fix)])
    trained_on, given = (FeatureSpec.of_json(each.features) for each in (old, facts))
    if trained_on.fingerprint != given.fingerprint:
        raise ArtifactError(
            "the bridge of inputs.model was trained on features of another encoder or of other "
            "settings than inputs.features; store the features again with those of its training"
        )


def _misfits(job: Job, corpus: Corpus) -> Iterator[Problem]:
    """Yield why corpus, features and model do not belong together."""
    audio, has_audio = job.config.audio, "audio" in corpus.facts
    for role in (TEACHER, TEACHER_LOGITS):
        if audio.bridge is not None and role in job.inputs:
            rule = f"gets no audio, and audio.bridge={audio.bridge} does"
            yield Problem(f"inputs.{role}", "set", rule, "leave it out, with objective=sft")
    where = f"inputs.corpus={corpus.path}"
    if audio.bridge is None:
        if has_audio:
            rule = f"is a model of text, but {where} has clips of audio"
            yield Problem("audio.bridge", "null", rule, "choose audio=<option>, such as mu_llama")
        return
    if not has_audio:
        rule = f"needs audio, and no record of {where} has any"
        yield Problem(
            "audio.bridge", audio.bridge, rule, "prepare data with features, or audio=none"
        )
        return
    tokens, places = audio_tokens(audio), Places.of(corpus.facts).number
    if tokens != places:
        rule = f"fills {tokens} places in a document, and {where} was prepared with {places}"
        yield Problem("audio", audio.name, rule, "prepare the corpus again with the same audio")
    if ROLE not in job.inputs:
        fix = f"run recipe=mu_llama/features {where} first"
        yield Problem(f"inputs.{ROLE}", "null", "is missing: a model that hears needs it", fix)
        return
    stored = FeatureSpec.of_json(job.input(ROLE).facts["spec"])
    expected = spec_of(audio, stored.encoder_fingerprint)
    for name in ("encoder", "window_s", "pooling", "layer", "num_frames", "shape"):
        ours, theirs = getattr(expected, name), getattr(stored, name)
        if ours != theirs:
            rule = f"gives {ours}, and inputs.{ROLE}={job.input(ROLE).path} has {theirs}"
            fix = "store the features again, or use the settings that they were stored with"
            yield Problem(f"audio ({name})", audio.name, rule, fix)


def _bridge_words(config: Config, features: tuple[int, int]) -> str:
    """Return kind, parameters and bytes of the bridge, which is counted on no memory."""
    audio = config.audio
    assert audio.bridge is not None, "a model of text has no bridge"
    decoder = shape_of(skeleton(model_spec(config)))
    with torch.device("meta"):
        bridge = BRIDGES[audio.bridge].build(decoder, features, audio.options)
    count = sum(weight.numel() for weight in bridge.parameters())
    if not audio.train_bridge:
        return f"{audio.bridge}, {count:,} parameters, frozen, {4 * count / 1e9:.2f} GB"
    return (
        f"{audio.bridge}, {count:,} parameters, trained: {16 * count / 1e9:.2f} GB with gradients "
        f"and moments, beside the memory below"
    )


def plan_rows(config: Config, corpus: Mapping[str, Any] | None) -> list[tuple[str, object]]:
    """Return what a plan says of hearing; nothing for a model of text.

    Args:
        config: a checked configuration.
        corpus: facts of the prepared corpus, if it is there.
    """
    audio = config.audio
    if audio.bridge is None:
        return []
    facts, shape = encoder_facts(audio), feature_shape(audio)
    size = 4 * prod(shape)
    rows: list[tuple[str, object]] = [
        ("encoder", f"{audio.encoder}, {facts.num_parameters:,} parameters, frozen, "
                    f"{facts.sample_rate:,} Hz, {facts.flops_per_second:.3g} FLOPs a second"),
        ("bridge", _bridge_words(config, shape)),
        ("features", f"{shape[0]} x {shape[1]} a clip, {size:,} bytes"),
    ]  # fmt: skip
    if tokens := audio_tokens(audio):
        rows.append(("places", f"{tokens} tokens of every document with audio"))
    if corpus is not None and "audio" in corpus:
        clips = sum(
            corpus["splits"][split]["clips"] for split in SPLITS
            if "clips" in corpus["splits"][split]
        )  # fmt: skip
        rows.append(("clips", f"{clips:,}, {clips * size / 1e9:.3f} GB of features"))
    return rows
