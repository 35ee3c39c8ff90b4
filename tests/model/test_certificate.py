"""The certificate: what passes is exact, what is not exact is refused, and says which layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from musicllm.errors import NotAvailableError
from musicllm.model import certificate, isolation, trial
from musicllm.model.attention import implementation
from musicllm.model.certificate import Certificate, certify
from tests.model import families, remote_code
from tests.packed_rows import make_documents, pack

NAMES = [
    pytest.param(name, marks=() if name in families.ONE_OF_EACH_KIND else pytest.mark.slow)
    for name in families.FAMILIES
]
LENGTHS = (3 * families.WINDOW, 5, 2 * families.WINDOW + 1)
"""Two documents longer than the window of the families."""


def certified(name: str, cache: Path, *choices: str, **options: Any) -> Certificate:
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(families.config_of(name, **options))
    return certify(
        skeleton, choices or ("varlen_sdpa", "sdpa", "eager"), max_length=512, cache=cache
    )


def decoded(model: Any, documents: list[Tensor], way: isolation.Isolation) -> Tensor:
    isolation.choose(model, way)
    row = pack(documents)
    inputs = {"input_ids": row["input_ids"]}
    return isolation.decode(model, inputs, row["position_ids"], row["cu_seq_lens"])[0]


def gradient(model: Any, hidden: Tensor) -> Tensor:
    """Return the gradient of a loss on hidden states in the embeddings."""
    model.zero_grad()
    (hidden * torch.linspace(-1, 1, hidden.shape[-1])).sum().backward()
    result: Tensor = model.get_input_embeddings().weight.grad.clone()
    return result


@pytest.mark.parametrize("name", NAMES)
def test_what_is_certified_is_exact(name: str, tmp_path: Path) -> None:
    way = certified(name, tmp_path)
    documents = make_documents(LENGTHS, 300)
    model = families.build(name, attention=implementation(way.attention))
    reference = families.build(name, attention="eager")
    ours = decoded(model, documents, way.isolation)
    alone = decoded(reference, documents, "one_by_one")
    assert torch.allclose(ours, alone, atol=1e-4 * alone.detach().abs().max().item())
    ours_gradient, theirs = gradient(model, ours), gradient(reference, alone)
    assert torch.allclose(ours_gradient, theirs, atol=1e-3 * theirs.abs().max().item())
    others = ("falcon", "bloom", "nemotron", "llama4")
    is_apart = name in families.STATE or name in others
    assert way.isolation == ("one_by_one" if is_apart else "packed")


def test_a_word_with_a_letter_for_every_layer_is_no_list_of_layers(tmp_path: Path) -> None:
    changes = {"num_hidden_layers": 4, "hidden_act": "silu"}
    assert certified("llama", tmp_path, **changes).isolation == "packed"


@pytest.mark.parametrize("name", ["lfm2", "falcon_h1", "granitemoehybrid"])
def test_layers_with_state_get_documents_one_by_one(name: str, tmp_path: Path) -> None:
    way = certified(name, tmp_path)
    assert way.isolation == "one_by_one"
    mixer = {"lfm2": "conv"}.get(name, "mamba")
    assert way.reason == f"model.layers.0.{mixer} convolves or carries a state"
    assert way.as_text().startswith("one by one, a pass each, attention ")


def without_window(module: Any, *tensors: Any, **options: Any) -> tuple[Tensor, None]:
    """Attention that ignores windows, as many do."""
    result, _ = sdpa_attention_forward(module, *tensors[:3], None, is_causal=True)
    return result, None


def with_wrong_gradient(module: Any, *tensors: Any, **options: Any) -> tuple[Tensor, None]:
    """Attention with the right result whose keys get no gradient."""
    query, key, value = tensors[:3]
    return sdpa_attention_forward(
        module, query, key.detach(), value, None, is_causal=True, scaling=options["scaling"]
    )


AttentionInterface.register("without_window", without_window)
AttentionInterface.register("with_wrong_gradient", with_wrong_gradient)


def test_another_function_is_refused_with_its_layer(tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError) as raised:
        certified("mistral_window", tmp_path, "without_window")
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("MistralForCausalLM would be trained as another model than it is")
    fault = "model.layers.0.self_attn (MistralAttention) computes something else"
    assert fault in lines[1]
    assert "packed, in one pass, without_window" in lines[1]
    assert fault in lines[2]
    assert "one by one, a pass each, without_window" in lines[2]
    assert not list(tmp_path.rglob("*.json"))


def test_a_window_that_no_document_reaches_does_not_hide_it(tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError, match="computes something else"):
        certified("mistral_window", tmp_path, "without_window", sliding_window=4096)


def test_a_wrong_gradient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError, match=r"the gradient of model\.\S+ differs"):
        certified("llama", tmp_path, "with_wrong_gradient")


def test_own_attention_of_remote_code_gets_documents_one_by_one(tmp_path: Path) -> None:
    folder = remote_code.write(tmp_path / "own_attention")
    way = of_folder(folder, tmp_path)
    assert way.isolation == "one_by_one"
    assert "model.layers.0.attention (OwnAttention) lets documents see" in way.reason


def test_remote_code_that_does_not_run_is_refused_with_its_error(tmp_path: Path) -> None:
    folder = remote_code.write(tmp_path / "own_attention_even", fails=True)
    words = "OwnForCausalLM does not run in a small size.*an odd number of tokens is not supported"
    with pytest.raises(NotAvailableError, match=words):
        of_folder(folder, tmp_path)


def of_folder(folder: Path, cache: Path) -> Certificate:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    return certify(
        skeleton, ("varlen_sdpa", "sdpa", "eager"), max_length=512, cache=cache, remote=True
    )


def test_a_certificate_is_remembered_until_the_model_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = certified("llama", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(certificate, "Trial", None)
        assert certified("llama", tmp_path) == first
        with pytest.raises(TypeError):
            certified("llama", tmp_path, rms_norm_eps=0.5)
    (record,) = tmp_path.rglob("*.json")
    assert json.loads(record.read_text())["of"]["config"]["model_type"] == "llama"
    record.write_text("{")
    assert certified("llama", tmp_path) == first


LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4,
    "long_factor": [2.0, 4.0, 6.0, 8.0],
}  # fmt: skip


@pytest.mark.parametrize(("original", "expected"), [(1024, "packed"), (256, "one_by_one")])
def test_positions_that_depend_on_the_longest_document_are_noticed(
    original: int, expected: str, tmp_path: Path
) -> None:
    """Rows hold documents up to 512 tokens; beyond the original context, frequencies change."""
    way = certified(
        "phi3",
        tmp_path,
        rope_parameters=LONGROPE | {"original_max_position_embeddings": original},
        original_max_position_embeddings=original,
        max_position_embeddings=4096,
    )
    assert way.isolation == expected


def test_passes_that_keep_ranks_in_step_change_nothing() -> None:
    model = families.build("lfm2")
    documents = make_documents(LENGTHS, 300)
    expected = decoded(model, documents, "one_by_one")
    expected_gradient = gradient(model, expected)
    row = pack(documents)
    numbers = []

    def most(number: int) -> int:
        numbers.append(number)
        return number + 2

    inputs = {"input_ids": row["input_ids"]}
    hidden = isolation.decode(model, inputs, row["position_ids"], row["cu_seq_lens"], most=most)[0]
    assert numbers == [len(LENGTHS)]
    assert torch.equal(hidden, expected)
    assert torch.equal(gradient(model, hidden), expected_gradient)


def test_half_precision_is_told_from_another_function() -> None:
    """What a GPU is tried with, here with autocast on the CPU."""
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(families.config_of("gemma3"))
    attempt = trial.Trial(skeleton, max_length=512, all_experts=True)
    for dtype in (torch.bfloat16, torch.float16):
        assert not attempt.compare("packed", "varlen_sdpa", "cpu", dtype)
        fault = attempt.compare("one_by_one", "without_window", "cpu", dtype)
        assert "model.layers.0.self_attn (Gemma3Attention) computes something else" in fault
