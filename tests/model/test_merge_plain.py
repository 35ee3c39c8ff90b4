"""What is saved loads with plain transformers and PEFT, where musicllm is not there."""

from __future__ import annotations

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

def last(model):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits[0, -1].tolist()

folders, ids = json.loads(sys.argv[1])
found = []
for folder, num_tokens in folders.items():
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
    found.append([adapted, merged, texts])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_adapters_and_merged_folders_load_without_musicllm(tiny, lora, tokenizer, tmp_path):
    cases = {"tied": (True, 64), "resized": (False, 70)}
    expected, folders = [], {}
    for name, (is_tied, num_tokens) in cases.items():
        folder = tmp_path / name
        spec = tiny.changed(tie_word_embeddings=is_tied)
        trained = train(folder, spec, with_ends(lora), num_tokens=num_tokens)
        expected.append(logits(trained)[-1].tolist())
        tokenizer.chat_template = "<{{ messages[0]['content'] }}>"
        tokenizer.save_pretrained(folder / "adapter")
        merged(folder)
        folders[str(folder)] = num_tokens
    command = [sys.executable, "-c", PLAIN, json.dumps([folders, IDS])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    for (by_adapter, by_merged, texts), wanted in zip(found, expected, strict=True):
        assert by_adapter == pytest.approx(wanted, abs=1e-4)
        assert by_merged == pytest.approx(wanted, abs=1e-4)
        assert texts == ["<abc>", "<abc>"]
