"""4-bit exports: the layout by hand, the process by a stand-in, and the library itself."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from musicllm.errors import NotAvailableError, StageError
from musicllm.model import base
from musicllm.model.export import Export, Texts, awq
from musicllm.model.export.kinds.awq import Awq
from musicllm.model.export.perplexity import perplexity
from musicllm.model.weights import WeightFiles
from tests.model import internlm2_folders, pieces
from tests.model.test_export import settings
from tests.models import TINY, letter_tokenizer

STAND_IN = '''
"""Quantizes as auto-round writes it: by rounding alone."""
import json, sys
from pathlib import Path
import torch
from torch import nn
from safetensors.torch import save_file
from musicllm.model import base

order_file = Path(sys.argv[1])
order = json.loads(order_file.read_text())
model = base.load(order["source"], dtype="float32", attention=None)
size, tensors = order["group_size"], {}
head = model.get_output_embeddings()
for name, module in model.named_modules():
    if not isinstance(module, nn.Linear) or module is head:
        continue
    weight = module.weight.detach().T  # [in, out]
    groups = weight.reshape(-1, size, weight.shape[1])
    low, high = groups.amin(1).clamp(max=0), groups.amax(1).clamp(min=0)
    scales = (((high - low) / 15).clamp(min=1e-6)).half()
    zeros = (-low / scales.float()).round().clamp(0, 15)
    wide = [part.repeat_interleave(size, 0) for part in (scales.float(), zeros)]
    numbers = (weight / wide[0] + wide[1]).round().clamp(0, 15)
    def pack(values):
        packed = torch.zeros(values.shape[0], values.shape[1] // 8, dtype=torch.int64)
        for place, column in enumerate((0, 2, 4, 6, 1, 3, 5, 7)):  # AutoAWQ's order
            packed |= values[:, column::8].long() << (4 * place)
        return torch.where(packed >= 2**31, packed - 2**32, packed).int().contiguous()
    tensors |= {f"{name}.qweight": pack(numbers), f"{name}.qzeros": pack(zeros),
                f"{name}.scales": scales}
quantized = {name.rpartition(".")[0] for name in tensors}
for name, weight in model.state_dict().items():
    if name.rpartition(".")[0] not in quantized:
        tensors[name] = weight * FACTOR if "norm" in name else weight
folder = Path(order["folder"])
folder.mkdir()
save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
model.config.quantization_config = {"quant_method": "awq", "modules_to_not_convert": ["lm_head"]}
(folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
order_file.with_name("written.json").write_text(json.dumps({"folder": str(folder)}))
'''


@pytest.fixture
def export(tmp_path):
    source = tmp_path / "source"
    spec = TINY
    base.build(spec, seed=0).save_pretrained(source)
    letter_tokenizer().save_pretrained(source)
    (tmp_path / "out").mkdir()
    draw = torch.Generator().manual_seed(0)
    texts = [torch.randint(2, 64, (100,), generator=draw).tolist() for _ in range(12)]
    return Export(
        source, tmp_path / "out", "tiny", settings(format="awq", max_perplexity_rise=0.5),
        texts=Texts(texts[:8], texts[8:], []),
    )  # fmt: skip


@pytest.fixture
def wide(export, monkeypatch):
    """A tiny model whose matrices divide into groups of 32, and a stand-in for the library."""
    spec = {"hidden_size": 64, "intermediate_size": 64}
    config = TINY.config | spec
    base.build(TINY.__class__(**vars(TINY) | {"config": config}), seed=0).save_pretrained(
        export.source
    )

    def stand_in(factor="1.0"):
        file = export.source.parent / "stand_in.py"
        file.write_text(STAND_IN.replace("FACTOR", factor))
        run = awq.subprocess.run
        monkeypatch.setattr(
            awq.subprocess,
            "run",
            lambda words, **options: run([sys.executable, str(file), words[-1]], **options),
        )

    return stand_in


def test_numbers_are_unpacked_as_autoawq_packs_them():
    # one input, eight outputs 0 to 7: nibbles from the lowest hold the outputs 0 2 4 6 1 3 5 7
    packed = sum(column << (4 * place) for place, column in enumerate((0, 2, 4, 6, 1, 3, 5, 7)))
    qweight = torch.tensor([[packed], [packed]], dtype=torch.int32)
    zeros = torch.tensor([[0x11111111]], dtype=torch.int32)
    scales = torch.full((1, 8), 0.5, dtype=torch.float16)
    weight = awq.unpack(qweight, zeros, scales, group_size=2)
    assert weight.shape == (8, 2)
    assert weight[:, 0].tolist() == [(number - 1) * 0.5 for number in range(8)]


def test_numbers_with_the_highest_bit():
    qweight = torch.tensor([[-1]], dtype=torch.int32)
    zeros = torch.zeros((1, 1), dtype=torch.int32)
    ones = torch.ones((1, 8), dtype=torch.float16)
    assert awq.unpack(qweight, zeros, ones, group_size=1).tolist() == [[15.0]] * 8


@pytest.mark.parametrize(("inputs", "size"), [(256, 128), (192, 64), (96, 32)])
def test_the_largest_group_is_taken(inputs, size):
    assert awq.group_size_of(nn.Sequential(nn.Linear(inputs, 16), nn.Linear(256, 8))) == size


def test_matrices_that_do_not_divide(export):
    with pytest.raises(
        NotAvailableError, match=r"those of this Sequential are \[\(48, 8\)\]; use export\.format="
    ):
        awq.group_size_of(nn.Sequential(nn.Linear(48, 8)))
    with pytest.raises(NotAvailableError, match="those of this LlamaForCausalLM are"):
        Awq().export(export)  # 48 inputs of its MLP
    assert not list(export.folder.iterdir())


def test_rows_of_one_length():
    assert awq.cut([[1, 2, 3], [4, 5], [6]], 2) == [[1, 2], [3, 4], [5, 6]]
    with pytest.raises(
        StageError, match="has 3 tokens, and a row on which scales are fitted has 4"
    ):
        awq.cut([[1, 2, 3]], 4)


def test_what_is_written_is_read_and_compared(export, wide):
    wide()
    exported = Awq().export(export)
    rows = dict(exported.rows)
    assert rows["quantized"] == "14 matrices to 4 bits, 64 weights to a scale"
    figures = exported.facts["perplexity"]
    assert figures["before"] != figures["after"] < figures["before"] * 1.5
    model = base.load(export.source, dtype="float32", attention=None)
    assert figures["before"] == pytest.approx(perplexity(model, export.texts.test).value)
    settings_ = json.loads((export.folder / "config.json").read_text())
    assert settings_["quantization_config"] == {
        "quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm",
        "modules_to_not_convert": ["lm_head"],
    }  # fmt: skip
    assert settings_["dtype"] == "float16"
    files = WeightFiles.of_model(export.folder)
    kinds = {str(files.dtype(name)) for name in files.shapes}
    assert kinds == {"torch.float16", "torch.int32"}
    state, count = awq.read_weights(files, 64)
    assert count == 14
    original = dict(model.named_parameters())
    for name, weight in state.items():
        assert weight.shape == original[name].shape
        assert (weight - original[name]).abs().max() < 0.2 * original[name].abs().max()
    assert (export.folder / "tokenizer.json").is_file()
    assert not (export.folder / "work").exists()


def test_internlm2_in_its_own_layout_becomes_a_llama_in_groups_of_128(export, wide):
    wide()  # the stand-in for the library
    shutil.rmtree(export.source)
    internlm2_folders.write(
        export.source, vocab_size=576, hidden_size=128, intermediate_size=256,
        max_position_embeddings=512, rope_scaling=None,
    )  # fmt: skip
    pieces.write(export.source, added_tokens_decoder={"4": pieces.special("<|im_end|>")})
    (export.source / "modeling_internlm2.py").write_text("raise RuntimeError")
    rows = dict(Awq().export(export).rows)
    assert rows["quantized"] == "14 matrices to 4 bits, 128 weights to a scale"
    settings_ = json.loads((export.folder / "config.json").read_text())
    assert (settings_["model_type"], settings_["quantization_config"]["group_size"]) == (
        "llama", 128
    )  # fmt: skip
    assert not {"auto_map", "rope_scaling"} & {k for k, v in settings_.items() if v}
    shapes = WeightFiles.of_model(export.folder).shapes
    assert shapes["model.layers.0.self_attn.k_proj.qweight"] == [128, 2 * 16 // 8]
    assert shapes["model.layers.0.self_attn.k_proj.scales"] == [1, 2 * 16]
    text = "写一首 jig\n|: D2 |]<|im_end|>"
    expected = base.load_tokenizer(export.source)(text)["input_ids"]
    assert base.load_tokenizer(export.folder)(text)["input_ids"] == expected
    assert not [*export.folder.glob("*.py"), *export.folder.glob("tokenizer.model")]


def test_a_quantization_that_breaks_the_model_is_refused(export, wide):
    wide(factor="-3.0")
    with pytest.raises(
        StageError,
        match=r"4 bits raise the perplexity .* more than export\.max_perplexity_rise=0.5",
    ):
        Awq().export(export)


def test_a_library_that_fails_is_quoted(export, monkeypatch, wide):
    file = export.source.parent / "fails.py"
    file.write_text("raise SystemExit('this class is not known')")
    run = awq.subprocess.run
    monkeypatch.setattr(
        awq.subprocess, "run", lambda _, **options: run([sys.executable, str(file)], **options)
    )
    with pytest.raises(NotAvailableError, match="could not quantize this model:\n  this class is"):
        Awq().export(export)
    assert not list(export.folder.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("auto_round") is None, reason="extra awq")
def test_the_library_itself(export, wide):
    exported = Awq().export(export)
    figures = exported.facts["perplexity"]
    assert figures["after"] < figures["before"] * 1.5
    _, count = awq.read_weights(WeightFiles.of_model(export.folder), 64)
    assert count == 14
