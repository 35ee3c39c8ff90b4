"""Writes a model folder as one GGUF file, tensor by tensor.

Only one tensor is in memory at a time, and of a large one a portion in 32 bits, so the largest
matrix decides the memory and not the model. The file has another name until it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType, GGUFWriter
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from musicllm.console import Advance
from musicllm.errors import InputError, NotAvailableError
from musicllm.model import base, checkpoint
from musicllm.model.checkpoint import Weights
from musicllm.model.export.gguf import families, rounding
from musicllm.model.export.gguf.families import Family
from musicllm.model.export.gguf.vocabulary import Vocabulary, vocabulary_of

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
"""Names of tensors in transformers."""


@dataclass(frozen=True)
class Entry:
    """A tensor of the file.

    Attributes:
        name: in GGUF.
        source: in the class of transformers; None for the factors of the rotation.
        shape: with the length of a row last.
        kind: of its numbers.
    """

    name: str
    source: str | None
    shape: tuple[int, ...]
    kind: Type


@dataclass(frozen=True)
class Written:
    """What a file holds.

    Attributes:
        path: of the file.
        num_parameters: of the model.
        num_bytes: of the file.
        kinds: number of tensors by type.
        notes: what llama.cpp does otherwise with some texts.
    """

    path: Path
    num_parameters: int
    num_bytes: int
    kinds: dict[str, int]
    notes: tuple[str, ...]


def write(
    source: Path,
    target: Path,
    quantization: str,
    *,
    name: str,
    licence: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    end_ids: Sequence[int] = (),
    ignored_tensors: Sequence[str] = (),
    progress: Advance | None = None,
) -> Written:
    """Write a model as a GGUF file.

    Cost: two passes over the headers and one over the weights; the memory of the largest tensor
    and 64 MB.

    Args:
        source: folder of the model with its tokenizer.
        target: the file; its folder exists.
        quantization: f16, q8_0 or q4_k_m.
        name: of the model, as programs show it.
        licence: of the weights.
        tokenizer: of the model; None for the folder's.
        end_ids: tokens that end an answer; empty for those of the folder's generation_config.json.
        ignored_tensors: regular expressions of tensors that are no part of the model.
        progress: called with the number of bytes after each tensor.

    Raises:
        InputError: a file is missing or damaged, or a number does not fit.
        NotAvailableError: llama.cpp does not compute this model or make its tokens.
    """
    config = base.load_config(source)
    family = families.family_of(config)
    weights = checkpoint.open_weights(source, ignored_tensors)
    if EMBEDDINGS not in weights.shapes:
        raise InputError(f"{source} has no tensor {EMBEDDINGS}")
    num_rows = weights.shapes[EMBEDDINGS][0]
    tokenizer = tokenizer or base.load_tokenizer(source)
    words = vocabulary_of(tokenizer, num_rows, end_ids or ends_of(source, tokenizer))
    entries = list(_entries(weights, family, config, quantization))
    part = target.with_name(f".{target.name}.part")
    writer = GGUFWriter(part, family.name)
    try:
        _describe(writer, quantization, name=name, licence=licence)
        for key, value in families.fields_of(family, config, num_rows).items():
            _add(writer, key, value)
        _add_vocabulary(writer, words, tokenizer.chat_template)
        _write_tensors(writer, entries, weights, (family, config), progress)
    except BaseException:
        writer.close()
        part.unlink(missing_ok=True)
        raise
    writer.close()
    part.rename(target)
    kinds = [entry.kind.name for entry in entries]
    return Written(
        path=target,
        num_parameters=sum(_count(entry.shape) for entry in entries if entry.source),
        num_bytes=target.stat().st_size,
        kinds={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        notes=tuple(words.notes),
    )


def ends_of(source: Path, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that end an answer, as generation_config.json and the tokenizer have them.

    Raises:
        InputError: none does.
    """
    from transformers import GenerationConfig

    stored: Any = None
    if (source / "generation_config.json").is_file():
        stored = GenerationConfig.from_pretrained(source).eos_token_id
    listed = stored if isinstance(stored, list) else [stored]
    ids = dict.fromkeys(
        number for number in (tokenizer.eos_token_id, *listed) if number is not None
    )
    if not ids:
        raise InputError(f"the tokenizer of {source} lacks an end token; choose another one")
    return list(ids)


def _entries(
    weights: Weights, family: Family, config: PreTrainedConfig, quantization: str
) -> Iterator[Entry]:
    """Yield the tensors of the file: factors of the rotation, then those of the folder.

    Raises:
        InputError: a tensor of the folder has no place in the file, or the head is missing.
    """
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == family.name)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    factors = families.rope_factors(config)
    if factors is not None:
        yield Entry(families.ROPE_FACTORS, None, tuple(factors.shape), Type.F32)
    is_tied = bool(config.tie_word_embeddings)
    if not is_tied and HEAD not in weights.shapes:
        raise InputError(f"{weights.folder} has no tensor {HEAD}, and tie_word_embeddings=false")
    for source, shape in weights.shapes.items():
        if is_tied and source == HEAD:
            continue
        name = names.get_name(source, (".weight", ".bias"))
        if name is None:
            raise NotAvailableError(f"llama.cpp has no tensor for {source} of {weights.folder}")
        kind = rounding.type_of(
            name,
            tuple(shape),
            quantization,
            num_layers=config.num_hidden_layers,
            is_tied=is_tied,
        )
        yield Entry(name, source, tuple(shape), kind)


def _write_tensors(
    writer: GGUFWriter,
    entries: Sequence[Entry],
    weights: Weights,
    model: tuple[Family, PreTrainedConfig],
    progress: Advance | None,
) -> None:
    """Write the header with the places of all tensors, and then one tensor after another."""
    family, config = model
    for entry in entries:
        size = rounding.num_bytes(entry.shape, entry.kind)
        writer.add_tensor_info(
            entry.name, entry.shape, gguf.quants.np.dtype("float32"), size, raw_dtype=entry.kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for entry in entries:
        if entry.source is None:
            tensor: Tensor | None = families.rope_factors(config)
            assert tensor is not None, "an entry without a source has factors"
        else:
            read = weights.read(entry.source)
            tensor = families.rearranged(family, config, entry.source, read)
        content = rounding.rounded(entry.name, tensor, entry.kind)
        writer.write_tensor_data(content)
        if progress is not None:
            progress(content.nbytes)


def _describe(writer: GGUFWriter, quantization: str, *, name: str, licence: str | None) -> None:
    """Add what programs show of a file."""
    writer.add_type("model")
    writer.add_name(name)
    if licence:
        writer.add_license(licence)
    writer.add_file_type(rounding.FILE_TYPES[quantization])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_vocabulary(writer: GGUFWriter, words: Vocabulary, template: str | None) -> None:
    """Add the tokenizer and its chat template."""
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    if words.scores:
        writer.add_token_scores(words.scores)
    if words.model == "gpt2":
        writer.add_token_merges(words.merges)
    for key, number in words.ids.items():
        writer.add_uint32(f"tokenizer.ggml.{key}", number)
    for key, flag in words.flags.items():
        writer.add_bool(f"tokenizer.ggml.{key}", flag)
    if template:
        writer.add_chat_template(template)


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    """Add a key whose type is that of its value."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_key_value(key, value, GGUFValueType.ARRAY)


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
