"""Quantizes a model to 4 bits (AWQ), and proves the files by what they say.

The library that quantizes changes transformers when it is imported, so it runs in a process of its
own (`awq_process`). What it wrote is read here without it: unpacked, put into the plain class, and
compared with the original by the perplexity of held-out texts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from musicllm import artifacts, console
from musicllm.errors import NotAvailableError, StageError
from musicllm.model import base, published
from musicllm.model.export import Export
from musicllm.model.export.copying import copy_files_beside
from musicllm.model.export.perplexity import perplexity
from musicllm.model.merge.parts import lay_out
from musicllm.model.merge.shards import WeightShardWriter
from musicllm.model.weights import WeightFiles

GROUP_SIZES = (128, 64, 32)
"""Weights with one scale; the largest that divides the inputs of all matrices is taken."""

BITS, PACKED = 4, 8
"""Bits of a weight, and weights in a number of 32 bits."""

ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Place in a packed number of each of eight neighbouring outputs, as AutoAWQ packs them."""

ROW_TOKENS = 512
"""Length of the texts on which scales are fitted."""

NUM_LAST_LINES = 8

OF_ANOTHER_CLASS = ("*.py", "tokenizer.model")
"""Code of the original's class, and a tokenizer that servers would prefer to tokenizer.json."""


@dataclass(frozen=True)
class Quantized:
    """What quantization did.

    Attributes:
        num_quantized: matrices in 4 bits.
        group_size: weights with one scale.
        num_bytes: of all tensors.
        num_bytes_before: of the original.
        before: perplexity of the original.
        after: perplexity of the quantized model.
        num_tokens: scored for the perplexities.
    """

    num_quantized: int
    group_size: int
    num_bytes: int
    num_bytes_before: int
    before: float
    after: float
    num_tokens: int

    @property
    def rise(self) -> float:
        """Rise of the perplexity, as a share."""
        return self.after / self.before - 1


def quantize(export: Export) -> Quantized:
    """Quantize a model into `export.folder`.

    Memory: the model in float32 twice.

    Raises:
        NotAvailableError: the matrices do not divide into groups, or the library has no way for
            this architecture.
        StageError: the perplexity rises by more than `export.max_perplexity_rise`.
    """
    assert export.texts is not None, "the checks refuse an export without inputs.texts"
    config = base.load_config(export.source)
    group_size = group_size_of(lay_out(config))
    work = export.folder / "work"
    rows = cut(export.texts.calibration, min(ROW_TOKENS, _context(config)))
    try:
        written = _run(export, group_size, rows, work)
        num_bytes = _store(export, written, group_size)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    result = _compared(export, group_size, num_bytes)
    if not result.rise <= export.settings.max_perplexity_rise:
        raise StageError(
            f"4 bits raise the perplexity of the test split of inputs.texts from "
            f"{result.before:.4g} to {result.after:.4g} ({result.rise:+.1%}), more than "
            f"export.max_perplexity_rise={export.settings.max_perplexity_rise:g} allows; take "
            f"texts like those that the model was trained on as inputs.texts and more of them "
            f"(export.num_texts), or allow more"
        )
    return result


def group_size_of(model: nn.Module) -> int:
    """Return the largest size of groups that divides the inputs of all matrices in layers.

    Raises:
        NotAvailableError: none does, or the model has no matrices that can be packed.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    if linear and all(module.out_features % PACKED == 0 for module in linear.values()):
        for size in GROUP_SIZES:
            if all(module.in_features % size == 0 for module in linear.values()):
                return size
    shapes = sorted({(module.in_features, module.out_features) for module in linear.values()})
    raise NotAvailableError(
        f"export.format=awq packs linear layers whose inputs are a multiple of {GROUP_SIZES[-1]} "
        f"and whose outputs are a multiple of {PACKED}; those of this {type(model).__name__} are "
        f"{shapes or 'not linear layers'}; use export.format=gguf or hf"
    )


def cut(texts: Sequence[Sequence[int]], length: int) -> list[list[int]]:
    """Return all texts as one stream in rows of a length; what is left over is dropped.

    Raises:
        StageError: the texts do not fill a row.
    """
    stream = [token for text in texts for token in text]
    rows = [stream[start : start + length] for start in range(0, len(stream) - length + 1, length)]
    if not rows:
        raise StageError(
            f"the training split of inputs.texts has {len(stream)} tokens, and a row on which "
            f"scales are fitted has {length}; name a larger corpus, or more texts "
            f"(export.num_texts)"
        )
    return rows


def _run(export: Export, group_size: int, rows: list[list[int]], work: Path) -> Path:
    """Run the library, and return the folder that it wrote.

    Raises:
        NotAvailableError: it failed; with the last lines that it printed.
    """
    work.mkdir()
    order = {
        "source": str(export.source),
        "folder": str(work / "quantized"),
        "group_size": group_size,
        "rows": rows,
        "accelerator": export.accelerator,
        "seed": export.seed,
        "ignored_tensors": list(export.ignored_tensors),
    }
    artifacts.write_json(work / "order.json", order)
    console.say(f"quantizing to 4 bits on {len(rows)} rows of {len(rows[0])} tokens")
    module = "musicllm.model.export.awq_process"
    ended = subprocess.run(
        [sys.executable, "-m", module, str(work / "order.json")],
        env={**os.environ, "AR_LOG_LEVEL": "WARNING", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()][-NUM_LAST_LINES:]
        raise NotAvailableError(
            "auto-round could not quantize this model:\n" + "\n".join(f"  {line}" for line in lines)
        )
    return Path(json.loads((work / "written.json").read_text(encoding="utf-8"))["folder"])


def _store(export: Export, written: Path, group_size: int) -> int:
    """Write the tensors with float16 for what is not quantized, and the files beside them.

    Returns:
        Bytes of all tensors.
    """
    files = WeightFiles.of_model(written)
    writer = WeightShardWriter(export.folder, export.settings.max_shard_gb * 1e9)
    for name in files.shapes:
        tensor = files.read(name)
        half = tensor.half() if tensor.is_floating_point() else tensor
        if tensor.is_floating_point() and not half.isfinite().all():
            raise NotAvailableError(
                f"{name} has elements of up to {float(tensor.abs().max()):.3g}, which float16 "
                f"cannot hold, and AWQ has no other dtype; use export.format=gguf"
            )
        writer.add(name, half)
    writer.close()
    copy_files_beside(export.source, export.folder)
    content = published.read(written)
    if content["model_type"] != published.read(export.source)["model_type"]:
        for file in OF_ANOTHER_CLASS:  # written as Llama (InternLM2), which needs none of them
            for path in export.folder.glob(file):
                path.unlink()
    skipped = content["quantization_config"].get("modules_to_not_convert") or []
    content["quantization_config"] = {
        "quant_method": "awq",
        "bits": BITS,
        "group_size": group_size,
        "zero_point": True,
        "version": "gemm",
        "modules_to_not_convert": skipped,
    }
    content.pop("torch_dtype", None)
    artifacts.write_json(export.folder / published.CONFIG, content | {"dtype": "float16"})
    return writer.num_bytes


def _compared(export: Export, group_size: int, num_bytes: int) -> Quantized:
    """Return both perplexities, of the original and of what the files hold."""
    assert export.texts is not None, "the checks refuse an export without inputs.texts"
    model = base.load(
        export.source, dtype="float32", attention=None, ignored_tensors=export.ignored_tensors
    )
    num_bytes_before = sum(weight.nbytes for weight in model.parameters()) // 2  # in 16 bits
    before = perplexity(model, export.texts.test)
    state, num_quantized = read_weights(WeightFiles.of_model(export.folder), group_size)
    put(model, state)
    after = perplexity(model, export.texts.test)
    assert before.num_tokens == after.num_tokens, "the same texts were scored"
    return Quantized(
        num_quantized, group_size, num_bytes, num_bytes_before, before.value, after.value,
        before.num_tokens,
    )  # fmt: skip


def put(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put all weights into a model; tied ones come once.

    Raises:
        StageError: a tensor is missing or unexpected.
    """
    tied: Mapping[str, str] = getattr(model, "all_tied_weights_keys", {})
    absent, strange = model.load_state_dict(dict(state), strict=False)
    absent = [name for name in absent if name not in tied]
    if absent or strange:
        raise StageError(
            f"what was written has other tensors than the model: "
            f"{', '.join([*absent, *strange][:5])}"
        )


def read_weights(files: WeightFiles, group_size: int) -> tuple[dict[str, Tensor], int]:
    """Return all weights of a quantized folder as float32 by name, and how many were in 4 bits."""
    state: dict[str, Tensor] = {}
    num_quantized = 0
    for name in files.shapes:
        stem, _, leaf = name.rpartition(".")
        if leaf == "qweight":
            parts = [files.read(f"{stem}.{part}") for part in ("qweight", "qzeros", "scales")]
            state[f"{stem}.weight"] = unpack(*parts, group_size=group_size)
            num_quantized += 1
        elif leaf not in ("qzeros", "scales"):
            state[name] = files.read(name).float()
    return state, num_quantized


def unpack(qweight: Tensor, qzeros: Tensor, scales: Tensor, *, group_size: int) -> Tensor:
    """Return a matrix [out, in] in float32 from AutoAWQ's layout.

    Args:
        qweight: [in, out / 8] of int32, eight outputs in each.
        qzeros: [in / group_size, out / 8] of int32, likewise.
        scales: [in / group_size, out].
        group_size: inputs with one scale.
    """
    zeros = _numbers(qzeros).repeat_interleave(group_size, dim=0)
    wide = scales.float().repeat_interleave(group_size, dim=0)
    return ((_numbers(qweight) - zeros) * wide).T.contiguous()


def _numbers(packed: Tensor) -> Tensor:
    """Return the numbers 0 to 15 in packed ones: [N, M] of int32 -> [N, 8 M] of float32."""
    shifts = torch.tensor([BITS * place for place in ORDER], dtype=torch.int32)
    numbers = packed.unsqueeze(-1).bitwise_right_shift(shifts).bitwise_and(2**BITS - 1)
    return numbers.flatten(1).float()


def _context(config: Any) -> int:
    return int(getattr(config, "max_position_embeddings", None) or ROW_TOKENS)
