"""The small random models of the tests: their folders hold them, and windows and state matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

from tests.model import families
from tests.packed_rows import make_documents

NAMES = [
    pytest.param(name, marks=() if name in families.ONE_OF_EACH_KIND else pytest.mark.slow)
    for name in (*families.FAMILIES, *families.WRAPPERS)
]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_holds_its_model_and_a_tokenizer(name: str, tmp_path: Path) -> None:
    folder = families.write(tmp_path / name, name)
    auto = AutoModelForImageTextToText if name in families.WRAPPERS else AutoModelForCausalLM
    model, info = auto.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True, dtype=torch.float32
    )
    assert not any(info.values())
    ids = make_documents([3 * families.WINDOW], 300)[0][None]
    with torch.no_grad():
        expected = families.build(name)(input_ids=ids).logits
        assert torch.equal(model.eval()(input_ids=ids).logits, expected)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.get_vocab().items() >= families.tokenizer().get_vocab().items()
    assert tokenizer.chat_template is not None


def test_a_window_hides_distant_tokens() -> None:
    ids = make_documents([3 * families.WINDOW], 300)[0][None]
    other = ids.clone()
    other[0, 0] = (other[0, 0] + 1) % 300
    with torch.no_grad():
        for name, sees in (("mistral", True), ("mistral_window", False), ("gemma3", True)):
            model = families.build(name)
            change = model(input_ids=ids).logits[0, -1] - model(input_ids=other).logits[0, -1]
            assert (change.abs().max() > 1e-3) == sees, name
