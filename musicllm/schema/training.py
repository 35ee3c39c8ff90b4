"""What is trained, how, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """A base model with its architecture numbers, so that planning needs no download."""

    name: str  # shown in plans and reports
    location: str | None  # hub id, folder, or package:<name>; null: random weights
    revision: str | None  # of a hub repository
    licence: str  # of the weights
    architecture: str  # model_type of transformers
    vocab_size: int  # tokens
    hidden_size: int  # width of the residual stream
    intermediate_size: int  # width of the feed-forward block
    num_hidden_layers: int  # blocks
    num_attention_heads: int  # query heads
    num_key_value_heads: int  # fewer than query heads in grouped-query attention
    max_position_embeddings: int  # tokens
    rope_theta: float  # base of the rotary position angles
    rms_norm_eps: float  # added to the mean square
    tie_word_embeddings: bool  # input and output embeddings are one matrix
    attention_dropout: float  # probability, during training
    initializer_range: float  # standard deviation of random weights
    dtype: str  # of the stored weights: float32, float16, bfloat16
    attention_modules: list[str]  # names of the linear layers in attention
    mlp_modules: list[str]  # names of the linear layers in the feed-forward block
    trust_remote_code: bool  # run code that comes with the model


@dataclass(frozen=True)
class AdapterConfig:
    """Which weights are trained, and how."""

    name: str  # shown in plans and reports
    kind: str  # lora, full or none
    r: int | None  # rank of LoRA
    alpha: float | None  # scale of LoRA is alpha / r
    dropout: float | None  # probability on the input of LoRA
    targets: list[str]  # attention, mlp
    train_embeddings: bool  # the input embeddings, in full
    train_output_head: bool  # the output embeddings, in full
    use_dora: bool  # weight-decomposed LoRA
    quantization: str | None  # of the frozen base: nf4 or null


@dataclass(frozen=True)
class MergeConfig:
    """How an adapter goes into its base."""

    dtype: str  # of the merged weights: float32, float16, bfloat16, or auto (the base's own)
    max_shard_gb: float  # size of a weight file in 10^9 bytes; one such file is held in memory
    quantized_base: str  # under an adapter trained over nf4: full_precision or dequantize


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer; `lr` is the peak that the schedule scales."""

    name: str  # adamw, muon, or one of your own
    lr: float  # peak; the schedule scales it
    betas: list[float]  # decay of the two moments
    eps: float  # added to the root of the second moment
    weight_decay: float  # decoupled, on matrices only
    fused: bool  # one kernel for all tensors where torch has it
    muon_lr: float | None  # of hidden matrices, when name=muon
    muon_momentum: float | None  # Nesterov, when name=muon
    options: dict[str, Any]  # of an optimizer of your own; see extensions


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves over the optimizer steps."""

    name: str  # cosine, linear or constant
    warmup_fraction: float  # share of all steps that rise linearly from 0
    min_lr_ratio: float  # learning rate at the end, as a share of the peak


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in which batches, how often measured and saved."""

    rows_per_step: int  # global batch: rows per optimizer step over all devices
    num_epochs: float | None  # passes over the corpus; null: max_steps decides
    max_steps: int | None  # optimizer steps; the smaller of the two limits holds
    step_choices: list[int]  # in place of max_steps: the most of these within time_budget_min
    time_budget_min: float | None  # minutes that the steps of step_choices may take
    gradient_clip: float  # L2 norm; 0 is off
    activation_checkpointing: bool  # recompute activations in the backward pass
    resize_embeddings: bool  # rows for tokens that the model lacks, each the mean of the old ones
    compile: bool  # let torch.compile make kernels for the decoder's layers
    log_every_steps: int  # optimizer steps between two lines of metrics
    validate_every_steps: int  # optimizer steps between two validations
    num_validation_rows: int | None  # rows of the validation split used; null: all
    checkpoint_every_steps: int  # optimizer steps between two checkpoints
    keep_last_checkpoints: int  # older ones are deleted
    keep_best_checkpoints: int  # those of the lowest validation losses stay, too


@dataclass(frozen=True)
class HardwareConfig:
    """A machine profile: what is there, and what it can do."""

    name: str  # shown in plans and reports
    accelerator: str  # cpu or gpu
    device: str  # name for people
    num_nodes: int  # machines
    devices_per_node: int  # GPUs of one machine; 1 on a CPU
    memory_gb: float | None  # of one device; null: read from the device
    host_memory_gb: float | None  # of one machine, for offload; null: read from the machine
    peak_tflops: float | None  # dense, in `precision`; null: measured (CPU) or unknown
    expected_mfu: float | None  # share of peak_tflops that training reaches; null: unknown
    expected_mfu_fp32: float | None  # the same where products are in float32; null: the same share
    precision: str  # fp32, bf16, fp16 or auto (probed)
    supports_bf16: bool | None  # null: probed
    supports_flash_attention_2: bool | None  # null: probed
    attention: str  # of training; auto, varlen_sdpa, flex, flash_attention_2 or varlen
    max_rows_per_device: int  # micro-batch limit; the largest that divides the batch is used
    num_threads: int | None  # of torch on the CPU; null: as many as are fastest, by measurement
    num_data_workers: int  # processes that read rows; 0 reads in the trainer


@dataclass(frozen=True)
class StrategyConfig:
    """How weights, gradients and optimizer state are spread over devices."""

    name: str  # shown in plans and reports
    kind: str  # single, ddp or deepspeed
    zero_stage: int | None  # 1, 2 or 3, when kind=deepspeed
    offload_optimizer: bool  # optimizer state to CPU memory
    offload_parameters: bool  # weights to CPU memory, when zero_stage=3
