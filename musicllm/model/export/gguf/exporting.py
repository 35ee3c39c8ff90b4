"""Writes a model as GGUF with what belongs to it, and keeps it only if it is the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from musicllm import console
from musicllm.model import base
from musicllm.model.export import Export
from musicllm.model.export.gguf import asking
from musicllm.model.export.gguf.modelfile import modelfile, pieces_of
from musicllm.model.export.gguf.proof import Proof, prove
from musicllm.model.export.gguf.reading import prompts_of, rendered
from musicllm.model.export.gguf.writing import Written, ends_of, write
from musicllm.music.grammar.static import abc_gbnf

NUM_PROMPTS = 50
GRAMMAR = "abc.gbnf"
"""What may follow in a tune, for `--grammar-file` of llama.cpp."""

NUM_TEXTS = 8
"""Texts of a corpus whose perplexity is compared."""


def export_gguf(export: Export, quantization: str) -> tuple[Written, Proof]:
    """Write a GGUF file, a Modelfile and a grammar, and compare the file with the model.

    Memory: that of the largest tensor while the file is written; then that of the model in 32 bits
    and of the file.

    Args:
        export: what to export, and where to.
        quantization: f16, q8_0 or q4_k_m.

    Raises:
        InputError: the model cannot be read.
        NotAvailableError: llama.cpp does not compute this model or make its tokens, or a package
            is not installed.
        StageError: the file is not the model; nothing of it is left.
    """
    tokenizer = base.load_tokenizer(export.source)
    ends = ends_of(export.source, tokenizer)
    target = export.folder / f"{_file_name(export.name)}-{quantization}.gguf"
    with console.progress("writing the GGUF file", None, "byte") as advance:
        written = write(
            export.source,
            target,
            quantization,
            name=export.name,
            tokenizer=tokenizer,
            end_ids=ends,
            ignored_tensors=export.ignored_tensors,
            progress=advance,
        )
    console.say("comparing the GGUF file with the model, in llama.cpp and in transformers")
    try:
        proof = _proof(export, target, tokenizer, ends, is_exact=quantization == "f16")
    except BaseException:
        target.unlink()  # what is not the model is not left behind as if it were
        raise
    _write_modelfile(export, target, tokenizer, ends)
    (export.folder / GRAMMAR).write_text(abc_gbnf(), encoding="utf-8")
    return written, proof


def _proof(
    export: Export,
    target: Path,
    tokenizer: PreTrainedTokenizerBase,
    ends: Sequence[int],
    *,
    is_exact: bool,
) -> Proof:
    """Compare a file with its model, on texts of the corpus if there is one.

    Raises:
        StageError: the file is not the model.
    """
    texts = export.texts
    requests = [*(texts.requests if texts else ()), *asking.REQUESTS][:NUM_PROMPTS]
    read = list(texts.test[:NUM_TEXTS]) if texts else []
    read += [tokenizer(text)["input_ids"] for text in asking.TEXTS]
    model = base.load(
        export.source, dtype="float32", attention=None, ignored_tensors=export.ignored_tensors
    )
    return prove(
        target,
        model.eval(),
        tokenizer,
        prompts_of(tokenizer, requests, asking.BEGINNINGS),
        read,
        end_ids=ends,
        is_exact=is_exact,
        max_rise=export.settings.max_perplexity_rise,
    )


def _write_modelfile(
    export: Export, target: Path, tokenizer: PreTrainedTokenizerBase, ends: Sequence[int]
) -> None:
    """Write the Modelfile beside a file."""
    has_template = bool(tokenizer.chat_template)
    pieces = pieces_of(partial(rendered, tokenizer)) if has_template else None
    if has_template and pieces is None:
        console.note(
            "the chat template is not made of pieces before and behind messages, so the Modelfile "
            "has none of Ollama's; llama.cpp uses the one in the file"
        )
    adds_begin = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    content = modelfile(
        target.name,
        pieces,
        begin=tokenizer.bos_token if adds_begin else "",
        stops=tokenizer.convert_ids_to_tokens(ends),
        sampling=export.sampling,
    )
    (target.parent / "Modelfile").write_text(content, encoding="utf-8")


def _file_name(name: str) -> str:
    """Return a name without what files and shells may not like."""
    return re.sub(r"[^\w.-]+", "-", name)
