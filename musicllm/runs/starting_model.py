"""The model from which a training starts: random, loaded, or loaded and adapted.

Attention and dtypes are chosen here, from the settings and what the device supports.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm import artifacts, console
from musicllm.data import extension
from musicllm.data.corpus import Corpus
from musicllm.errors import ArtifactError, ConfigError, Problem
from musicllm.job import Job
from musicllm.launch import ranks
from musicllm.model import adapters, base, isolation, packaged, router, rows
from musicllm.model.anatomy import ties
from musicllm.model.architecture import config_of, dropouts, skeleton
from musicllm.model.attention import choose, needs_of
from musicllm.model.audio.bridge import bridge_of
from musicllm.runs import hearing
from musicllm.runs.certifying import certified
from musicllm.runs.settings import adapter_spec, compute_dtype, model_spec
from musicllm.runs.vocabulary import refuse_lacking_rows, refuse_untrained_rows
from musicllm.schema import Config
from musicllm.train.capabilities import probe, refuse_precision
from musicllm.train.compiling import compile_layers

POSITIONS = "max_position_embeddings"
"""Longest context, as transformers names it for every class that has one."""


def starting_model(job: Job, corpus: Corpus) -> nn.Module:
    """Return the model that is trained, its adapter attached.

    Raises:
        ConfigError: the device does not support the precision or the attention, dimensions differ
            from those of the weights, or the model has no rows for some tokens of the corpus.
        ArtifactError: the model has another tokenizer than the corpus, or shorter rows.
        NotAvailableError: the model would be trained as another one than it is.
    """
    config = job.config
    _refuse_longer_rows(corpus, config)
    location = _location(job)
    certificate = certified(config, _attention(config), corpus.facts["max_length"])
    if certificate.isolation == "one_by_one" and config.strategy.zero_stage == 3:
        rule = f"gathers weights in step, and documents go through {certificate.model} one by one"
        raise ConfigError([Problem("strategy", config.strategy.name, rule, "use zero2")])
    spec = adapter_spec(config, corpus.facts)
    if location is None:
        model = _random(config, corpus, certificate.attention)
    else:
        pieces = _new_tokens(corpus, location, config.model.revision)
        tied = ties(config_of(model_spec(config)))
        refuse_untrained_rows(config, pieces, location, tied=tied)
        if config.adapter.train_new_tokens:
            spec = dataclasses.replace(spec, new_rows=range(min(pieces), max(pieces) + 1))
        model = _load(config, location, certificate.attention)
        _give_rows(model, config, corpus, pieces)
    isolation.choose(model, certificate.isolation)
    hearing.give_bridge(job, model)
    if bridge_of(model) is not None and certificate.isolation == "one_by_one":
        rule = f"is a class whose documents go one by one: {certificate.model}"
        fix = "choose a model that is packed (docs/MODELS.md)"
        raise ConfigError([Problem("audio.bridge", config.audio.bridge, rule, fix)])
    _follow_routers(model, config)
    if config.training.activation_checkpointing:
        _refuse_checkpointing(model)
        model.activation_checkpointing_enable({"use_reentrant": False})
    adapted: nn.Module = adapters.attach(
        model, spec, seed=config.seed, run=job.folder, writes=ranks.is_main()
    )
    if (bridge := bridge_of(adapted)) is not None:
        bridge.requires_grad_(config.audio.train_bridge)
    if config.training.compile:
        compile_layers(adapted)
    return adapted


def _follow_routers(model: PreTrainedModel, config: Config) -> None:
    """Train with the router loss that `model.config` asks for.

    Raises:
        NotAvailableError: the class has none.
        ConfigError: router logits cannot be recorded in compiled layers.
    """
    router.follow(model, config_of(model_spec(config)))
    if config.training.compile and router.router_loss_of(model) is not None:
        rule = "compiles layers, whose router logits (model.config.output_router_logits) are lost"
        fix = "write false for one of both"
        raise ConfigError([Problem("training.compile", "true", rule, fix)])


def _refuse_checkpointing(model: PreTrainedModel) -> None:
    if not model.supports_gradient_checkpointing:
        key, rule = "training.activation_checkpointing", "is not supported by"
        raise ConfigError([Problem(key, "true", f"{rule} {type(model).__name__}", "write false")])


def _attention(config: Config) -> str:
    able = probe(config.hardware.accelerator)
    refuse_precision(config.hardware.precision, able)
    return choose(
        config.hardware.attention,
        config.hardware.accelerator,
        needs_of(skeleton(model_spec(config))),
        dtype=compute_dtype(config),
        lacking=able.lacking,
    )


def _location(job: Job) -> str | None:
    """Return the folder or hub id of the weights to start from, or None for random ones."""
    if "model" in job.inputs:
        return str(job.input("model").path)
    location = job.config.model.location
    return None if location is None else packaged.find(location, Path(job.config.paths.cache))


def _random(config: Config, corpus: Corpus, attention: str) -> PreTrainedModel:
    model = base.build(model_spec(config), seed=config.seed, attention=attention)
    base.adopt_special_tokens(model, base.load_tokenizer(corpus.tokenizer_path))
    return model


def _load(config: Config, location: str, attention: str) -> PreTrainedModel:
    """Load weights: trained ones in float32, frozen ones in the compute dtype."""
    spec = dataclasses.replace(model_spec(config), location=location)
    base.check_architecture(spec)
    return base.load(
        location,
        dtype="float32" if config.adapter.kind == "full" else compute_dtype(config),
        attention=attention,
        dropout=dropouts(config_of(spec)),
        ignored_tensors=spec.ignored_tensors,
        revision=config.model.revision,
        trust_remote_code=config.model.trust_remote_code,
        quantization=config.adapter.quantization,
        accelerator=config.hardware.accelerator,
    )


def _give_rows(
    model: PreTrainedModel, config: Config, corpus: Corpus, pieces: extension.Pieces
) -> None:
    """Add rows for tokens of the corpus that the model lacks, if configured, and start them."""
    num_tokens = base.num_rows_of(base.load_tokenizer(corpus.tokenizer_path))
    refuse_lacking_rows(config, num_tokens, corpus.tokenizer_path)
    num_rows = model.get_input_embeddings().num_embeddings
    if num_tokens > num_rows:
        base.add_rows(model, num_tokens)
        start = "the mean of its pieces'" if pieces else "the mean of the others"
        console.note(
            f"the model has {num_rows} rows of embeddings and the corpus {num_tokens} tokens: "
            f"{num_tokens - num_rows} rows were added, each {start} (training.resize_embeddings)"
        )
    if pieces:
        rows.start(model, pieces)


def _new_tokens(corpus: Corpus, location: str, revision: str | None) -> extension.Pieces:
    """Return what tokens of the corpus that the model's tokenizer lacks stand for.

    Raises:
        ArtifactError: the tokenizers are different, and that of the corpus extends not the model's.
    """
    ours = base.load_tokenizer(corpus.tokenizer_path)
    theirs = base.load_tokenizer(location, revision=revision)
    if _identity(ours) == _identity(theirs):
        return {}
    pieces = extension.replaced_pieces(theirs.backend_tokenizer, ours.backend_tokenizer)
    if not pieces:
        raise ArtifactError(
            f"the corpus {corpus.path} was tokenized with {corpus.tokenizer_path} "
            f"({len(ours)} tokens), but the model {location} has another tokenizer "
            f"({len(theirs)} tokens); prepare the corpus again with the model's: "
            f"data.tokenizer=model, or data.tokenizer=inherit with the corpus that it was "
            f"trained on"
        )
    return pieces


def _refuse_longer_rows(corpus: Corpus, config: Config) -> None:
    architecture = config_of(model_spec(config))
    length, most = corpus.facts["max_length"], getattr(architecture, POSITIONS, None)
    if most is not None and length > most:
        raise ArtifactError(
            f"the corpus {corpus.path} has rows of {length} tokens, but {config.model.name} has "
            f"{most} positions; prepare it again with data.max_length={most}"
        )


def _identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a fingerprint of a tokenizer's behaviour, without the state of earlier calls.

    The place of SentencePiece's blank is ignored: with `data.compat=reference` it is that of
    transformers 4 (see `model.legacy`), and the ids mean the same.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    before = content.get("pre_tokenizer")
    if before is not None and before["type"] == "Metaspace":
        content["pre_tokenizer"] = before | {"prepend_scheme": None}
    return artifacts.fingerprint(content | {"padding": None, "truncation": None})
