"""What is saved loads with plain transformers and PEFT, where musicllm is not there."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from tests.model.merging import IDS, logits, merged, train, with_ends

PLAIN = """
import json, sys, warnings
sys.modules["musicllm"] = None  # an import of it would fail
warnings.simplefilter("ignore")
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, num_tokens, ids = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])

def last(model):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits[0, -1].tolist()

plain = AutoModelForCausalLM.from_pretrained(f"{folder}/base", dtype=torch.float32)
plain.resize_token_embeddings(num_tokens)
adapted = last(PeftModel.from_pretrained(plain, f"{folder}/adapter"))
merged = last(AutoModelForCausalLM.from_pretrained(f"{folder}/merged"))
texts = [
    AutoTokenizer.from_pretrained(f"{folder}/{name}").apply_chat_template(
        [{"role": "user", "content": "abc"}], tokenize=False
    )
    for name in ("adapter", "merged")
]
print(json.dumps([adapted, merged, texts]))
"""


@pytest.mark.parametrize(("is_tied", "num_tokens"), [(True, 64), (False, 70)])
def test_adapter_and_merged_folder_load_without_musicllm(
    tiny, lora, tokenizer, tmp_path, is_tied, num_tokens
):
    spec = dataclasses.replace(tiny, tie_word_embeddings=is_tied)
    expected = logits(train(tmp_path, spec, with_ends(lora), num_tokens=num_tokens))[-1].tolist()
    tokenizer.chat_template = "<{{ messages[0]['content'] }}>"
    tokenizer.save_pretrained(tmp_path / "adapter")
    merged(tmp_path)
    command = [sys.executable, "-c", PLAIN, str(tmp_path), str(num_tokens), json.dumps(IDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    by_adapter, by_merged, texts = json.loads(done.stdout.splitlines()[-1])
    assert by_adapter == pytest.approx(expected, abs=1e-4)
    assert by_merged == pytest.approx(expected, abs=1e-4)
    assert texts == ["<abc>", "<abc>"]
