"""Loading InternLM2 folders, adapters on them, and merging in either layout."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from musicllm.errors import ConfigError, InputError
from musicllm.model import adapters, base
from musicllm.model.merge import layout, nf4
from tests.model import families, pieces
from tests.model import internlm2_folders as folders
from tests.model.merging import logits, merged, train
from tests.models import change_tensors

IDS = torch.tensor(range(2, 30))
VOCABULARY = 576
"""Rows of the embeddings; the tokenizer has 560 tokens."""


@pytest.fixture
def folder(tmp_path):
    """An InternLM2 folder with all that is published with it."""
    folders.write(tmp_path / "base", vocab_size=VOCABULARY)
    pieces.write(tmp_path / "base", added_tokens_decoder={"4": pieces.special("<|im_end|>")})
    (tmp_path / "base" / "modeling_internlm2.py").write_text("raise RuntimeError('was run')\n")
    (tmp_path / "base" / "generation_config.json").write_text('{"eos_token_id": [2, 4]}')
    return tmp_path / "base"


def adapt(folder, lora, **settings):
    """Save an adapter beside the base, and return base + adapter."""
    adapted = adapters.attach(base.load(folder, dtype="float32"), lora, seed=1)
    generator = torch.Generator().manual_seed(2)
    for weight in adapted.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    adapters.save_adapter(adapted, folder.parent / "adapter")
    tokenizer = base.load_tokenizer(folder)
    tokenizer.chat_template = "{{ messages }}"
    for name, value in settings.items():
        setattr(tokenizer, name, value)
    tokenizer.save_pretrained(folder.parent / "adapter")
    return adapted


def test_a_base_is_loaded_as_llama(folder):
    model = base.load(folder, dtype="float32", attention="eager")
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.config.name_or_path == model.name_or_path == str(folder)
    assert model.generation_config.eos_token_id == [2, 4]
    torch.testing.assert_close(logits(model), folders.logits(folder, IDS), atol=1e-3, rtol=1e-4)
    half = base.load(folder, dtype="bfloat16").state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(half[name], weight.bfloat16()), name


def test_its_code_is_not_run_even_where_code_may_run(folder):
    model = base.load(folder, dtype="float32", trust_remote_code=True)
    assert type(model).__name__ == "LlamaForCausalLM"


def test_a_missing_tensor_is_named(folder):
    file = folder / "model-00001-of-00002.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.0.attention.wqkv.weight"]
    save_file(tensors, file)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    del content["weight_map"]["model.layers.0.attention.wqkv.weight"]
    index.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"layers\.0\.self_attn\.k_proj\.weight is missing"):
        base.load(folder, dtype="float32")


def test_a_truncated_shard_is_named(folder):
    file = folder / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model-00002-of-00002\.safetensors is damaged"):
        base.load(folder, dtype="float32")


def test_numbers_that_are_none_are_named(folder):
    wrong = {"model.layers.0.attention.wqkv.weight": torch.full((48, 32), torch.nan)}
    change_tensors(folder / "model-00001-of-00002.safetensors", **wrong)
    with pytest.raises(InputError, match=r"hold NaN or infinity: .*layers\.0\.self_attn\.q_proj"):
        base.load(folder, dtype="float32")


@pytest.mark.parametrize("kind", ["transformers", "source"])
def test_a_merged_folder_is_base_and_adapter(folder, lora, kind):
    expected = logits(adapt(folder, lora))
    report = merged(folder.parent, layout=kind)
    assert report.max_abs_difference < report.tolerance < report.max_abs_effect
    result = folder.parent / "merged"
    torch.testing.assert_close(
        logits(base.load(result, dtype="float32")), expected, atol=1e-4, rtol=0
    )
    config = json.loads((result / "config.json").read_text())
    assert config["model_type"] == {"transformers": "llama", "source": "internlm2"}[kind]
    tokenizer, published = base.load_tokenizer(result), base.load_tokenizer(folder)
    assert tokenizer.get_vocab() == published.get_vocab()
    assert tokenizer.chat_template == "{{ messages }}"
    text = "The<|im_end|>\n浦语  a"
    assert tokenizer(text)["input_ids"] == published(text)["input_ids"]


def test_the_base_s_layout_is_that_of_its_files(folder, lora):
    expected = logits(adapt(folder, lora))
    merged(folder.parent, layout="source")
    result = folder.parent / "merged"
    torch.testing.assert_close(folders.logits(result, IDS), expected, atol=1e-3, rtol=1e-4)
    assert {file.name for file in result.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "modeling_internlm2.py",
        "tokenizer.model", "tokenizer_config.json",
    }  # fmt: skip
    changed = {"vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "torch_dtype"}
    for key, value in json.loads((folder / "config.json").read_text()).items():
        assert key in changed or json.loads((result / "config.json").read_text())[key] == value


def test_what_the_adapter_does_not_touch_is_the_same_byte_for_byte(folder, lora):
    adapt(folder, dataclasses.replace(lora, targets=("k_proj",)))
    merged(folder.parent, layout="source")
    stored, result = folders.tensors_of(folder), folders.tensors_of(folder.parent / "merged")
    assert stored.keys() == result.keys()
    for name, tensor in stored.items():
        if "wqkv" not in name:
            assert torch.equal(tensor.view(torch.uint8), result[name].view(torch.uint8)), name
            continue
        heads = zip(tensor.split(4), result[name].split(4), strict=True)
        same = [torch.equal(old, new) for old, new in heads]
        assert same == [True, True, True, True, False, True] * 2  # queries, key, value of 2 groups


def test_a_tokenizer_with_more_tokens_is_saved_beside_the_weights(folder, lora):
    adapted = adapt(folder, lora)
    tokenizer = base.load_tokenizer(folder.parent / "adapter")
    tokenizer.add_tokens(["Reel"])
    tokenizer.save_pretrained(folder.parent / "adapter")
    merged(folder.parent, layout="source")
    result = folder.parent / "merged"
    assert not (result / "tokenizer.model").exists()
    assert AutoTokenizer.from_pretrained(result).convert_tokens_to_ids("Reel") == 560
    assert base.load_tokenizer(result).convert_tokens_to_ids("Reel") == 560
    found = logits(base.load(result, dtype="float32"))
    torch.testing.assert_close(found, logits(adapted), atol=1e-4, rtol=0)


def test_a_base_in_four_bits_is_the_same_as_one_rounded_to_them(tmp_path):
    pytest.importorskip("bitsandbytes", reason="extra qlora")
    folder = folders.write(tmp_path, hidden_size=64, num_attention_heads=4, intermediate_size=128)
    quantized = base.load(folder, dtype="float32", quantization="nf4", attention="eager")
    rounded = base.load(folder, dtype="float32", attention="eager")
    for name, transposed in nf4.quantized_names(rounded).items():
        weight = rounded.get_parameter(name)
        weight.data.copy_(nf4.requantized(weight.detach().clone(), transposed=transposed))
    torch.testing.assert_close(logits(quantized), logits(rounded), atol=1e-4, rtol=1e-4)


def test_of_a_multimodal_base_only_the_decoder_is_merged(tmp_path):
    families.write(tmp_path, "mistral3_wrapper")
    with pytest.raises(ConfigError, match=r"merge\.layout=source cannot be: .* is a multimodal"):
        layout.sink(tmp_path, "source", lambda *_: None)


def test_other_bases_have_one_layout(tiny, lora, tmp_path):
    train(tmp_path, tiny, lora)
    merged(tmp_path, layout="source")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["model_type"] == "llama"
