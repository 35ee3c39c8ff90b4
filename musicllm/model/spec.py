"""Plain settings of models and adapters, independent of the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """A base model and the dimensions of its architecture.

    Attributes:
        name: for display.
        location: hub id, folder or `package:<name>`; None for random weights.
        revision: of a hub repository, or None for its newest.
        architecture: `model_type` of transformers.
        vocab_size: tokens.
        hidden_size: width of the residual stream.
        intermediate_size: width inside the feed-forward block.
        num_hidden_layers: decoder blocks.
        num_attention_heads: of queries.
        num_key_value_heads: of keys and values; divides `num_attention_heads`.
        max_position_embeddings: tokens that the positions were trained for.
        rope_theta: base of the rotary position embedding.
        rms_norm_eps: added to the mean square before the root.
        tie_word_embeddings: the output head shares the embedding matrix.
        attention_dropout: probability, during training.
        initializer_range: standard deviation of random weights.
        dtype: of the stored weights: float32, float16 or bfloat16.
        trust_remote_code: run code from the model repository.
    """

    name: str
    location: str | None
    revision: str | None
    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    tie_word_embeddings: bool
    attention_dropout: float
    initializer_range: float
    dtype: str
    trust_remote_code: bool


@dataclass(frozen=True)
class AdapterSpec:
    """Which weights are trained, and how.

    Attributes:
        kind: lora, full or none.
        r: rank of LoRA; like the next two, None unless `kind` is lora.
        alpha: the scale of LoRA is alpha / r, or with `scaling` rslora alpha / sqrt(r).
        dropout: probability on the input of LoRA.
        target_modules: names of the linear layers with LoRA, such as `q_proj`.
        train_embeddings: train the whole embedding matrix beside LoRA.
        train_output_head: train the whole output head beside LoRA.
        use_dora: weight-decomposed LoRA (arXiv 2402.09353).
        quantization: of the frozen base: nf4 or None.
        scaling: lora or rslora (arXiv 2312.03732); None unless `kind` is lora.
        init: zero or pissa (arXiv 2404.02948); None unless `kind` is lora.
    """

    kind: str
    r: int | None
    alpha: float | None
    dropout: float | None
    target_modules: tuple[str, ...]
    train_embeddings: bool
    train_output_head: bool
    use_dora: bool
    quantization: str | None
    scaling: str | None
    init: str | None
