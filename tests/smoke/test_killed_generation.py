"""A generation that is killed twice, with a real model and real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from musicllm import artifacts, cli
from musicllm import config as configuration
from musicllm.model import base
from musicllm.runs.settings import model_spec
from tests.helpers import make_corpus
from tests.waiting import wait_for

NUM_PROMPTS = 32
SMALL = (
    "model.config.hidden_size=32", "model.config.intermediate_size=48",
    "model.config.num_hidden_layers=2",
)  # fmt: skip


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Return a command that writes with a random model."""
    corpus = make_corpus(tmp_path / "corpus")
    model, prompts = tmp_path / "model", tmp_path / "prompts.jsonl"
    with artifacts.writing(model, "model", "m", {}) as (folder, _):
        tokenizer = base.load_tokenizer(corpus.tokenizer_path)
        config, _recipe = configuration.load(["recipe=quickstart/generate", *SMALL])
        base.build(model_spec(config), seed=0, vocab_size=len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    rows = ({"id": number, "prompt": f"Tune {number}."} for number in range(NUM_PROMPTS))
    prompts.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return [
        *(sys.executable, "-m", "musicllm", "recipe=quickstart/generate", "name=killed"),
        *(f"inputs.model={model}", f"generation.prompts={prompts}", "generation.render=[]"),
        *("generation.max_new_tokens=60", "hardware.num_threads=1"),
        *("hardware.max_rows_per_device=4", "~inputs.instructions"),
        "generation.grammar=null",
        "generation.tune.required=false",
    ]


@pytest.mark.slow
def test_a_killed_generation_continues_and_writes_what_a_whole_one_does(
    command: list[str], tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}

    def start(runs: str, *words: str) -> subprocess.Popen[str]:
        line = [*command, f"paths.runs={tmp_path / runs}", *words]
        return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)

    def finish(process: subprocess.Popen[str]) -> str:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        return out

    run = tmp_path / "a" / "quickstart" / "generate" / "killed"
    file = run / "partial" / "generations.jsonl"

    def num_lines() -> int:
        return file.read_bytes().count(b"\n") if file.is_file() else 0

    def reached(enough: int) -> bool:
        return num_lines() >= enough

    lines_at_kill = []
    for enough in (4, 12):
        process = start("a")
        wait_for(partial(reached, enough), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        lines_at_kill.append(num_lines())
    assert lines_at_kill[1] < NUM_PROMPTS
    before = file.read_bytes()
    with file.open("ab") as torn:
        torn.write(b'{"number": 1, "cand')
    out = finish(start("a"))
    assert f"{lines_at_kill[1]} of {NUM_PROMPTS} answers are there already" in out
    finish(start("b", "hardware.max_rows_per_device=8"))
    name = Path("quickstart", "generate", "killed", "artifact", "generations.jsonl")
    whole = (tmp_path / "b" / name).read_text().splitlines()
    continued = (tmp_path / "a" / name).read_text().splitlines()
    assert continued == whole
    assert [json.loads(line)["id"] for line in whole] == [str(n) for n in range(NUM_PROMPTS)]
    kept = {json.loads(line)["id"]: json.loads(line)["answer"] for line in whole}
    for line in map(json.loads, before.splitlines()):
        assert kept[str(line["number"])] == line["answer"]
