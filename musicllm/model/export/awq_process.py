"""The process in which auto-round quantizes: `python -m ... <order.json>`.

auto-round replaces functions of transformers when it is imported, which must not reach the process
that proves the result. `awq` writes the order and reads `written.json` beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(order_file: Path) -> None:
    """Quantize as `order_file` says, and write where the result is."""
    import torch
    from auto_round import AutoRound, AWQConfig

    from musicllm.model import base

    order = json.loads(order_file.read_text(encoding="utf-8"))
    model = base.load(
        order["source"],
        dtype="float32",
        attention=None,
        ignored_tensors=order["ignored_tensors"],
    )
    rows = [{"input_ids": torch.tensor([row])} for row in order["rows"]]
    rounder = AutoRound(
        model,
        base.load_tokenizer(order["source"]),
        scheme={
            "bits": 4,
            "group_size": order["group_size"],
            "sym": False,  # a zero point, which the kernels for AWQ expect
            "data_type": "int",
            "act_bits": 16,
        },
        alg_configs=[AWQConfig()],
        dataset=rows,
        nsamples=len(rows),
        seqlen=len(order["rows"][0]),
        batch_size=1,
        device_map="cuda" if order["accelerator"] == "gpu" else "cpu",
        seed=order["seed"],
    )
    _, folder = rounder.quantize_and_save(order["folder"], format="auto_awq")
    written = {"folder": str(folder)}
    order_file.with_name("written.json").write_text(json.dumps(written), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
