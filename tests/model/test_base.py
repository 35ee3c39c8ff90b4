from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.errors import ConfigError, InputError, NotAvailableError
from musicllm.model import base
from musicllm.model.architecture import config_of, refuse_differences
from tests.model import families
from tests.models import change_tensors


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_built_weights_depend_on_the_seed_alone(tiny):
    first = base.build(tiny, seed=1)
    torch.rand(3)
    assert torch.equal(weights(first), weights(base.build(tiny, seed=1)))
    assert not torch.equal(weights(first), weights(base.build(tiny, seed=2)))


def test_building_leaves_the_global_random_state_alone(tiny):
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    base.build(tiny, seed=1)
    assert torch.equal(torch.rand(1), expected)


def test_built_model_has_the_numbers_of_the_spec(tiny):
    spec = dataclasses.replace(tiny.changed(rope_theta=500.0), dtype="bfloat16")
    model = base.build(spec, seed=0, vocab_size=80)
    refuse_differences(spec.changed(vocab_size=80), model.config)
    assert model.get_input_embeddings().weight.shape == (80, 32)
    assert weights(model).dtype == torch.bfloat16
    assert model.config.initializer_range == 0.2
    assert model.get_input_embeddings().weight.detach().float().std().item() == pytest.approx(
        0.2, rel=0.1
    )


def test_internlm2_is_laid_out_as_llama(tiny):
    assert config_of(tiny.changed(model_type="internlm2")).model_type == "llama"


def test_unknown_architecture(tiny):
    with pytest.raises(ConfigError, match=r"model_type=lama has no class in .*did you mean llama"):
        base.build(tiny.changed(model_type="lama"), seed=0)


def test_every_number_that_differs_is_listed(tiny):
    config = config_of(tiny.changed(hidden_size=64, rope_theta=500.0, attention_dropout=0.1))
    spec = dataclasses.replace(tiny.changed(rms_norm_eps=1.000000001e-5), location="some/model")
    with pytest.raises(ConfigError) as caught:
        refuse_differences(spec, config)
    text = str(caught.value)
    assert (
        "model.config.hidden_size=32 differs from the weights of some/model, which have 64" in text
    )
    assert "model.config.rope_parameters" in text
    assert "model=hf model.location=some/model" in text
    assert "rms_norm_eps" not in text, "it is equal in float32"
    assert "dropout" not in text, "it is not of the weights"


def test_saved_model_comes_back(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = base.load(tmp_path, dtype="float32")
    assert torch.equal(weights(again), weights(model))
    assert again.config._attn_implementation == "isolated_per_document"
    assert base.load(tmp_path, dtype="bfloat16", attention="sdpa").dtype == torch.bfloat16


def test_loaded_model_remembers_where_it_came_from(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert base.load(tmp_path, dtype="float32").name_or_path == str(tmp_path)


def test_missing_folder_names_the_files(tmp_path):
    with pytest.raises(
        InputError, match=r"none is not a folder; place config\.json and model\.saf"
    ):
        base.load(tmp_path / "none", dtype="float32")
    with pytest.raises(InputError, match=r"none is not a folder; place tokenizer\.json and token"):
        base.load_tokenizer(str(tmp_path / "none"))


def test_folder_without_weights(model, tmp_path):
    model.config.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"has no weights: neither model\.safetensors nor mod"):
        base.load(tmp_path, dtype="float32")


def test_folder_without_tokenizer(tmp_path):
    with pytest.raises(InputError, match=r"has no tokenizer\.json; place tokenizer\.json and tok"):
        base.load_tokenizer(tmp_path)


def test_hub_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = (
        r"meta-llama/absent is neither a folder here nor a repository that can be reached on the "
        r"hub; without a network place .* in a folder and name that folder instead"
    )
    with pytest.raises(NotAvailableError, match=said):
        base.load("meta-llama/absent", dtype="float32")
    with pytest.raises(NotAvailableError, match=said):
        base.load_tokenizer("meta-llama/absent")


def test_nf4_without_its_needs(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    monkeypatch.setattr("musicllm.model.quantization.find_spec", lambda _: None)
    with pytest.raises(NotAvailableError, match="needs bitsandbytes"):
        base.load(tmp_path, dtype="float32", quantization="nf4")
    monkeypatch.setattr("musicllm.model.quantization.find_spec", lambda name: name)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(NotAvailableError, match="needs a CUDA device, and there is none"):
        base.load(tmp_path, dtype="float32", quantization="nf4", accelerator="gpu")


def test_special_tokens_are_adopted(model, tokenizer):
    base.adopt_special_tokens(model, tokenizer)
    for config in (model.config, model.generation_config):
        assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (None, 1, 0)


@pytest.mark.parametrize("name", families.WRAPPERS)
def test_the_text_decoder_of_a_multimodal_model_is_loaded_without_its_towers(
    name, tmp_path, capsys
):
    folder = families.write(tmp_path / "m", name)
    decoder = base.load(folder, dtype="float32", attention="eager")
    assert "tensors of" in capsys.readouterr().err
    whole = families.build(name)
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        torch.testing.assert_close(decoder(input_ids=ids).logits, whole(input_ids=ids).logits)
    assert decoder.num_parameters() < whole.num_parameters()
    change_tensors(
        folder / "model.safetensors",
        **{"language_model.model.layers.0.mlp.down_proj.weight": None},
    )
    with pytest.raises(InputError, match=r"layers\.0\.mlp\.down_proj\.weight is missing"):
        base.load(folder, dtype="float32")


def test_tensors_that_are_named_may_be_left_out(tiny, tmp_path, capsys):
    model = base.build(tiny, seed=0)
    model.save_pretrained(tmp_path)
    change_tensors(
        tmp_path / "model.safetensors",
        **{"v_head.weight": torch.ones(1, 32), "other.weight": torch.ones(2)},
    )
    with pytest.raises(InputError, match=r"other\.weight is not known .* v_head.* go into model"):
        base.load(tmp_path, dtype="float32")
    with pytest.raises(InputError, match=r": other\.weight is not known"):
        base.load(tmp_path, dtype="float32", ignored_tensors=[r"^v_head\."])
    base.load(tmp_path, dtype="float32", ignored_tensors=[r"^v_head\.", "^other"])
    assert "2 tensors of" in capsys.readouterr().err


def test_weights_that_are_stored_as_integers_are_refused(tiny, tmp_path):
    base.build(tiny, seed=0).save_pretrained(tmp_path)
    change_tensors(
        tmp_path / "model.safetensors", **{"lm_head.weight": torch.ones(64, 32, dtype=torch.int8)}
    )
    with pytest.raises(InputError, match=r"lm_head\.weight is I8; use a copy"):
        base.load(tmp_path, dtype="float32")
