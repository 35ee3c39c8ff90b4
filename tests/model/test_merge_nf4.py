"""An adapter of QLoRA goes into the base that it saw, which is the one in 4 bits."""

from __future__ import annotations

import pytest
import torch

from musicllm.errors import NotAvailableError
from musicllm.model import base
from musicllm.model.merge.nf4 import requantized
from tests.model.merging import by_peft, merged, same, train, weights_of, with_ends


@pytest.mark.parametrize("is_tied", [False, True])
def test_linear_layers_are_those_of_four_bits(tiny, lora, tmp_path, is_tied):
    functional = pytest.importorskip("bitsandbytes", reason="extra qlora").functional
    spec = tiny.changed(tie_word_embeddings=is_tied)
    train(tmp_path, spec, with_ends(lora))
    report = merged(tmp_path, dequantize="stored")
    seen = base.load(tmp_path / "base", dtype="float32")
    for name, weight in seen.named_parameters():
        if name.endswith("_proj.weight"):
            packed, state = functional.quantize_4bit(
                weight.data, quant_type="nf4", compress_statistics=True
            )
            rounded = functional.dequantize_4bit(packed, state)
            assert len(rounded[:1, :64].unique()) <= 16
            weight.data = rounded
    same(weights_of(tmp_path / "merged"), by_peft(tmp_path, seen), is_tied)
    assert report.max_abs_difference < report.tolerance
    full = by_peft(tmp_path)
    found = weights_of(tmp_path / "merged")
    apart = {name for name in found if not torch.allclose(found[name], full[name], atol=1e-3)}
    assert apart == {name for name in found if name.endswith("_proj.weight")}


def test_the_type_stays(tiny, lora, tmp_path):
    pytest.importorskip("bitsandbytes", reason="extra qlora")
    matrix = torch.linspace(-1, 1, 128).reshape(2, 64).bfloat16()
    back = requantized(matrix, transposed=False)
    assert torch.equal(requantized(matrix.T, transposed=True).T, back)
    assert back.dtype == torch.bfloat16
    assert 0 < (back - matrix).abs().max() < 0.15


def test_without_bitsandbytes(tiny, lora, tmp_path, monkeypatch):
    train(tmp_path, tiny, lora)
    monkeypatch.setattr("musicllm.model.merge.nf4.find_spec", lambda _: None)
    with pytest.raises(
        NotAvailableError,
        match=r"quantized_base=dequantize needs bitsandbytes: pip install 'musicllm\[qlora\]'; "
        r"or write merge\.quantized_base=full_precision",
    ):
        merged(tmp_path, dequantize="stored")
