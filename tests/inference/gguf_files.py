"""Tiny GGUF files with random weights, whose tokens are the bytes of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SPECIAL = ("<s>", "</s>", "<|over|>")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}<|over|>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def byte_symbols() -> list[str]:
    """Return how GPT-2's vocabulary writes each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    symbols = dict(zip(plain, map(chr, plain), strict=True))
    symbols |= {byte: chr(256 + number) for number, byte in enumerate(others)}
    return [symbols[byte] for byte in range(256)]


def write_gguf(
    path: Path,
    *,
    template: str | None = TEMPLATE,
    context: int = 256,
    seed: int = 0,
) -> Path:
    """Write a Llama of one layer.

    Args:
        path: of the file.
        template: the chat template; None writes none.
        context: tokens that the model was trained for.
        seed: of the weights.
    """
    import gguf

    draw = np.random.default_rng(seed)
    width, heads, hidden = 32, 2, 48
    tokens = [*byte_symbols(), *SPECIAL]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3] * len(SPECIAL))
    writer.add_token_merges([f"{tokens[ord('a')]} {tokens[ord('b')]}"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)

    def add(name: str, *shape: int, values: Any = None) -> None:
        matrix = draw.normal(0, 0.3, shape) if values is None else values
        writer.add_tensor(name, matrix.astype(np.float32))

    add("token_embd.weight", len(tokens), width)
    add("output.weight", len(tokens), width)
    add("output_norm.weight", width, values=np.ones(width))
    add("blk.0.attn_norm.weight", width, values=np.ones(width))
    add("blk.0.ffn_norm.weight", width, values=np.ones(width))
    for part in ("q", "k", "v"):
        add(f"blk.0.attn_{part}.weight", width, width)
    add("blk.0.attn_output.weight", width, width)
    add("blk.0.ffn_gate.weight", hidden, width)
    add("blk.0.ffn_up.weight", hidden, width)
    add("blk.0.ffn_down.weight", width, hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
