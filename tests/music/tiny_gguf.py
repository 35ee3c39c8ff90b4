"""A GGUF model of random weights whose tokens are single characters, for grammars of llama.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTH, HEADS, INNER = 32, 2, 64


def write_tiny_gguf(path: Path, characters: str, *, seed: int = 0) -> None:
    """Write a Llama of one layer that knows these characters, the line feed and the end of text."""
    from gguf import GGUFWriter, TokenType

    names = ["<unk>", "<s>", "</s>", "<0x0A>", *characters.replace(" ", "▁")]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, TokenType.BYTE]
    kinds += [TokenType.NORMAL] * len(characters)
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(1024)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(names))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names)
    writer.add_token_scores([0.0] * len(names))
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(False)
    random = np.random.default_rng(seed)
    shapes = {
        "token_embd": (len(names), WIDTH), "output": (len(names), WIDTH), "output_norm": (WIDTH,),
        "blk.0.attn_norm": (WIDTH,), "blk.0.ffn_norm": (WIDTH,),
        "blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_k": (WIDTH, WIDTH),
        "blk.0.attn_v": (WIDTH, WIDTH), "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (INNER, WIDTH), "blk.0.ffn_up": (INNER, WIDTH),
        "blk.0.ffn_down": (WIDTH, INNER),
    }  # fmt: skip
    for name, shape in shapes.items():
        weights = random.normal(0.0, 0.02, shape).astype(np.float32)
        writer.add_tensor(f"{name}.weight", weights + 1 if len(shape) == 1 else weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
