"""What is trained, how, and on what."""

from __future__ import annotations

from typing import Any, Literal

from musicllm.schema.keys import NAME, group, key

Dtype = Literal["float32", "float16", "bfloat16"]

POSITIONS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
"""Keys of config.json for the longest context."""


@group
class ModelConfig:
    """A base model with its architecture, so that planning needs no download."""

    name: str = key(NAME)
    location: str | None = key("hub id, folder, or package:<name>", null="random weights")
    revision: str | None = key("revision of a hub repository", null="newest")
    endpoint: str | None = key(
        "base URL of an OpenAI-compatible server that has the model, to write with it",
        null="the weights are loaded",
    )
    licence: str = key("licence of the weights")
    config: dict[str, Any] = key(
        "config.json of the base, as published; without model_type the rest is read from location"
    )
    dtype: Dtype | None = key("dtype of the stored weights", null="as config says")
    ignored_tensors: list[str] = key("regular expressions of stored tensors to leave out")
    trust_remote_code: bool = key("run code that comes with the model")

    @property
    def decoder(self) -> dict[str, Any]:
        """The part of `config` that is of the text decoder: all of it, unless it has several."""
        text: dict[str, Any] = self.config.get("text_config", self.config)
        return text

    @property
    def vocab_size(self) -> int | None:
        """Rows of the embedding matrix; None where `config` does not say it."""
        return self.decoder.get("vocab_size")

    @property
    def num_positions(self) -> int | None:
        """Longest context in tokens; None where `config` does not say it."""
        return next((self.decoder[key] for key in POSITIONS if key in self.decoder), None)


@group
class AdapterConfig:
    """Which weights are trained, and how."""

    name: str = key(NAME)
    kind: Literal["lora", "full", "none"] = key("lora, full (all weights) or none (no weights)")
    r: int | None = key("rank of LoRA", 1, 4096, null="no LoRA")
    alpha: float | None = key("scale of LoRA before `scaling`", 1e-6, 1e6, null="no LoRA")
    scaling: Literal["lora", "rslora"] | None = key(
        "lora: the scale is alpha / r; rslora: alpha / sqrt(r)", null="no LoRA"
    )
    init: Literal["zero", "pissa"] | None = key(
        "zero, or pissa: LoRA starts as the principal part of the base", null="no LoRA"
    )
    dropout: float | None = key("dropout probability on the input of LoRA", 0, 0.9, null="no LoRA")
    targets: list[str] = key("what has LoRA: attention, mlp, or names of linear layers")
    train_embeddings: bool = key("train the input embeddings in full")
    train_output_head: bool = key("train the output embeddings in full")
    train_new_tokens: bool = key("train the rows of new tokens alone (data.tokenizer=extend)")
    use_dora: bool = key("weight-decomposed LoRA (DoRA)")
    quantization: Literal["nf4"] | None = key("quantization of the frozen base: nf4", null="none")


@group
class MergeConfig:
    """How an adapter is merged into its base."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = key(
        "dtype of the merged weights: float32, float16, bfloat16 or auto (that of the base)"
    )
    max_shard_gb: float = key("size of a weight file, one of which is in memory", 0.001, 1000, "GB")
    quantized_base: Literal["full_precision", "dequantize"] = key(
        "base of an adapter trained over nf4: full_precision or dequantize"
    )
    layout: Literal["transformers", "source"] = key(
        "names of the merged weights: those of transformers, or source (those of the base's files)"
    )


@group
class OptimizerConfig:
    """The optimizer; the schedule scales its learning rates."""

    name: str = key("kind of optimizer", kinds="musicllm.train.optimizers:OPTIMIZERS")
    lr: float = key("peak learning rate; the schedule scales it", 1e-12, 10)
    betas: list[float] = key("decay rates of the first and the second moment")
    eps: float = key("added to the root of the second moment", 1e-16, 1)
    weight_decay: float = key("decoupled weight decay, of matrices only", 0, 10)
    fused: bool = key("one kernel for all tensors, where torch has it")
    lora_plus_ratio: float | None = key(
        "LoRA+: rate of LoRA's B over that of everything else", 1e-6, 1e6, null="the same rate"
    )
    muon_lr: float | None = key("peak rate of hidden matrices", 1e-12, 10, null="not Muon")
    muon_momentum: float | None = key("Nesterov momentum", 0, 0.9999, null="not Muon")
    options: dict[str, Any] = key("settings of a kind of your own (extensions)")


@group
class ScheduleConfig:
    """How the learning rate changes over the optimizer steps."""

    name: Literal["cosine", "linear", "constant"] = key("form after the warm-up")
    warmup_fraction: float = key("share of all steps in the linear warm-up", 0, 1)
    min_lr_ratio: float = key("final learning rate as a share of the peak", 0, 1)


@group
class TrainingConfig:
    """How long training runs, in which batches, how often it is measured and saved."""

    rows_per_step: int = key("global batch: rows per step over all devices", 1, 1 << 20)
    num_epochs: float | None = key("passes over the corpus", 1e-6, 1e6, null="max_steps decides")
    max_steps: int | None = key("optimizer steps; the smaller limit counts", 1, null="num_epochs")
    max_hours: float | None = key(
        "hours; the run's first minutes measure how many steps fit", 0.001, 1e5, null="no limit"
    )
    step_choices: list[int] = key("instead of max_steps: the largest that fits time_budget_min")
    time_budget_min: float | None = key("time for step_choices", 0.01, 1e6, "minutes", null="none")
    gradient_clip: float = key("largest L2 norm of the gradient; 0: off", 0, 1e6)
    activation_checkpointing: bool = key("recompute activations in the backward pass")
    resize_embeddings: bool = key("add rows for tokens that the model lacks")
    compile: bool = key("torch.compile the decoder layers: slow to start, faster in long runs")
    log_every_steps: int = key("optimizer steps between lines of metrics", 1)
    validate_every_steps: int = key("steps between validations; also after the last step", 1)
    num_validation_rows: int | None = key("rows of the validation split used", 1, null="all")
    checkpoint_every_steps: int = key("steps between checkpoints; also after the last step", 1)
    keep_last_checkpoints: int = key("newest checkpoints that are kept", 1, 10_000)
    keep_best_checkpoints: int = key("checkpoints of lowest validation loss kept, too", 0, 10_000)


@group
class HardwareConfig:
    """A machine profile: its devices and what they can do."""

    name: str = key(NAME)
    accelerator: Literal["cpu", "gpu"] = key("kind of device")
    device: str = key("name of the device, for people")
    num_nodes: int = key("machines", 1, 100_000)
    devices_per_node: int = key("GPUs of each machine; 1 on a CPU", 1, 1024)
    memory_gb: float | None = key("memory of one device", unit="GB", null="read from the device")
    host_memory_gb: float | None = key("memory of one machine", unit="GB", null="read from it")
    peak_tflops: float | None = key(
        "dense products in `precision`", unit="TFLOP/s", null="measured on a CPU, else unknown"
    )
    expected_mfu: float | None = key("share of peak_tflops that training reaches", null="unknown")
    expected_mfu_fp32: float | None = key(
        "expected_mfu with float32 products", null="as expected_mfu"
    )
    price_per_hour: float | None = key(
        "price of one device for an hour, in any currency", 0, 1e6, null="unknown"
    )
    precision: Literal["fp32", "bf16", "fp16", "auto"] = key("fp32, bf16, fp16 or auto (probed)")
    supports_bf16: bool | None = key("whether bfloat16 is native", null="probed")
    supports_flash_attention_2: bool | None = key("whether FlashAttention-2 runs", null="probed")
    attention: Literal["auto", "varlen_sdpa", "flex", "flash_attention_2", "varlen"] = key(
        "varlen_sdpa, flex, flash_attention_2, varlen, or auto (the fastest that runs), in training"
    )
    max_rows_per_device: int = key("most rows of a micro-batch", 1, 1 << 16)
    num_threads: int | None = key("CPU threads of torch", 1, 4096, null="as many as are fastest")
    num_data_workers: int = key("processes that read rows; 0: the trainer reads them", 0, 1024)


@group
class StrategyConfig:
    """How weights, gradients and optimizer state are distributed over devices."""

    name: str = key(NAME)
    kind: Literal["single", "ddp", "deepspeed"] = key("kind of strategy")
    zero_stage: Literal[1, 2, 3] | None = key("ZeRO stage: 1, 2 or 3", null="no DeepSpeed")
    offload_optimizer: bool = key("keep the optimizer state in CPU memory")
    offload_parameters: bool = key("keep the weights in CPU memory, with zero_stage=3")
