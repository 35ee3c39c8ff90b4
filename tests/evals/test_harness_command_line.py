from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from musicllm.errors import InputError, NotAvailableError
from musicllm.evals.categories import CATEGORIES, MMLU_SUBJECTS, category_of
from musicllm.evals.harness import __main__ as entry
from musicllm.evals.harness import command_line, named_model
from musicllm.evals.harness.command_line import PLUGIN, questions, written
from musicllm.evals.harness.model import HarnessModel
from musicllm.evals.harness.named_model import NamedModel
from musicllm.evals.harness.tasks import make_tasks
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.prompts import FORMATS
from musicllm.evals.questions import QuestionSet, read_solved
from musicllm.inference.scorer.scorer import Scorer
from musicllm.model import base
from musicllm.theory import test_questions as public_test_set
from tests.waiting import PATIENCE_S

WORDINGS = {
    "musictheorybench": "opencompass",
    "musictheorybench_generation": "opencompass",
    "musictheorybench_role_play": "role_play",
    "musictheorybench_chain_of_thought": "chain_of_thought",
}
MUSIC = [*WORDINGS]


def write_csv(folder: Path, subject: str, num: int = 2) -> None:
    for split in ("dev", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
        with (folder / split / f"{subject}_{split}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            for number in range(num):
                rows.writerow([f"{subject} {split} {number}?", *"pqrs", "ABCD"[number]])


@pytest.fixture
def theory_file(tmp_path: Path) -> Path:
    write_csv(tmp_path / "mtb", "reasoning", 3)
    return tmp_path / "mtb"


def load(names: list[str], **metadata: str) -> dict[str, Any]:
    manager = TaskManager(include_path=PLUGIN, include_defaults=False, metadata=metadata)
    loaded: dict[str, Any] = manager.load(names)
    return loaded


def prompts(task: Any) -> list[str]:
    task.set_fewshot_seed(0)
    task.build_all_requests()
    return [instance.args[0] for instance in task.instances if instance.idx == 0]


@pytest.mark.parametrize("name", MUSIC)
@pytest.mark.parametrize("num_fewshot", [0, 2])
def test_the_command_line_asks_with_our_prompts(
    theory_file: Path, name: str, num_fewshot: int
) -> None:
    (task,) = load([name], musictheorybench=str(theory_file))["tasks"].values()
    task.set_config("num_fewshot", num_fewshot)
    rows = list(read_solved("musictheorybench", theory_file))
    of = {split: tuple(q for q in rows if q.split == split) for split in ("dev", "test")}
    how = PromptSettings(
        name, WORDINGS[name], "likelihood", num_fewshot, False, False, None, "stop", None
    )

    (ours,) = make_tasks(QuestionSet(of["test"], {"reasoning": of["dev"]}), how, len)[
        "tasks"
    ].values()

    assert len(prompts(task)) == 3
    assert prompts(task) == prompts(ours)


@pytest.mark.parametrize("name", FORMATS)
def test_delimiters_of_the_files_are_those_of_the_formats(name: str) -> None:
    common = yaml.safe_load((PLUGIN / "_question").read_text())

    assert common["target_delimiter"] == FORMATS[name].delimiter
    assert common["fewshot_delimiter"] == FORMATS[name].separator


@pytest.mark.parametrize("name", MUSIC[1:])
def test_written_answers_stop_where_the_format_says(theory_file: Path, name: str) -> None:
    (task,) = load([name], location=str(theory_file))["tasks"].values()

    assert tuple(task.config.generation_kwargs["until"]) == FORMATS[WORDINGS[name]].stops
    assert task.process_results(task.eval_docs[1], ["The answer is B."]) == {"exact_match": 1.0}


def test_mmlu_has_all_subjects_in_their_categories(tmp_path: Path) -> None:
    for subject in MMLU_SUBJECTS:
        write_csv(tmp_path, subject)

    loaded = load(["mmlu_opencompass"], mmlu=str(tmp_path))

    parts = {
        name.rsplit("::")[-1]: group.alias
        for group in loaded["groups"].values()
        for name in group.child_names
        if name in loaded["tasks"]
    }
    assert parts == {subject: category_of(subject) for subject in MMLU_SUBJECTS}
    assert [group.alias for group in loaded["groups"]["mmlu_opencompass"]] == [*CATEGORIES]
    task = loaded["tasks"]["mmlu_opencompass::other::virology"]
    assert task.config.num_fewshot == 5
    task.set_config("num_fewshot", 2)
    hint = FORMATS["opencompass"].hint("virology")
    assert prompts(task)[0].startswith(f"{hint}virology dev 0?\nA. p")
    assert [call.args[1] for call in task.instances[:4]] == [" A", " B", " C", " D"]


def test_our_own_theory_needs_no_files() -> None:
    (task,) = load(["music_theory_rules"])["tasks"].values()

    assert len(task.eval_docs) == len(public_test_set())
    assert task.eval_docs[0]["id"] == public_test_set()[0].id


def test_questions_without_examples_are_asked_all_the_same(tmp_path: Path) -> None:
    write_csv(tmp_path, "reasoning")

    parts = questions("musictheorybench", "opencompass", location=str(tmp_path / "test"))

    assert (len(parts["test"]), len(parts["dev"])) == (2, 0)
    assert parts["dev"].features == parts["test"].features


def test_a_location_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        questions("musictheorybench", "opencompass", version=1.0)
    assert str(error.value) == (
        "--metadata musictheorybench=None is no path here; give the file or folder of its "
        "questions: --metadata musictheorybench=<path>, or location=<path>"
    )

    write_csv(tmp_path, "virology")
    with pytest.raises(InputError, match="holds no test questions about astronomy for mmlu"):
        questions("mmlu", "opencompass", "astronomy", mmlu=str(tmp_path))


def test_a_written_answer_counts_if_it_states_the_letter() -> None:
    doc = {"options": ["p", "q", "r", "s"], "answer": "C"}

    assert written(doc, ["C"]) == {"exact_match": 1.0}
    assert written(doc, ["B"]) == {"exact_match": 0.0}


def test_the_folder_is_printed() -> None:
    command = [sys.executable, "-m", "musicllm.evals.harness"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)

    assert Path(done.stdout.strip()) == PLUGIN
    assert command_line.PLUGIN.is_dir()


def test_with_arguments_it_is_the_harness_with_our_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.api.registry import get_model

    calls: list[list[str]] = []
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: calls.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["it", "--model", "musicllm"])

    entry.main()

    assert calls == [["--model", "musicllm", "--include_path", str(PLUGIN)]]
    assert get_model("musicllm") is NamedModel


def test_a_folder_of_the_user_s_is_taken_in_either_spelling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: calls.append(sys.argv[1:]))
    for words in (["--include_path=mine"], ["--include_path", "mine"]):
        monkeypatch.setattr(sys, "argv", ["it", *words])
        entry.main()
        assert calls[-1] == words


@pytest.mark.parametrize(
    ("device", "has_gpu", "target"),
    [(None, True, "cuda"), (None, False, "cpu"), ("cpu", True, "cpu"), ("cuda:1", True, "cuda:1")],
)
def test_a_gpu_is_taken_where_there_is_one(
    device: str | None, has_gpu: bool, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert named_model.usable(device) == target


def test_a_model_is_found_by_its_name(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call: dict[str, Any] = {}

    def load(path: str, **options: Any) -> LlamaForCausalLM:
        call.update(options, path=path)
        return model

    monkeypatch.setattr(base, "load", load)
    monkeypatch.setattr(base, "load_config", lambda *_, **__: model.config)
    monkeypatch.setattr(base, "load_tokenizer", lambda *_, **__: tokenizer)
    batch = [
        Instance("loglikelihood", {}, ("CDEF GABc", f" {letter}"), 0, ("t", 0, 1))
        for letter in "AB"
    ]

    named = NamedModel.create_from_arg_obj(
        {"pretrained": "ours", "add_bos_token": True, "revision": "main"},
        {"batch_size": 1, "max_batch_size": None, "device": "cuda:0"},
    )

    assert "--device cuda:0 is not there; the CPU is taken" in capsys.readouterr().err
    assert call == {"path": "ours", "dtype": "float32", "attention": None, "revision": "main"}
    ours = HarnessModel(Scorer(model), tokenizer, add_bos=True)
    assert named.loglikelihood(batch) == ours.loglikelihood(batch)
    with pytest.raises(NotAvailableError, match="use --model hf for tasks that are answered in"):
        named.generate_until([])


@pytest.mark.slow
@pytest.mark.parametrize("which", ["hf", "musicllm"])
def test_the_real_command_line_runs_offline(
    tmp_path: Path, theory_file: Path, model: LlamaForCausalLM, tokenizer: Any, which: str
) -> None:
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    command = ["lm_eval", "--include_path", str(PLUGIN)] if which == "hf" else [entry.__package__]
    command += ["--model", which, "--model_args", f"pretrained={tmp_path / 'model'}"]
    command += ["--tasks", "musictheorybench", "--num_fewshot", "2", "--device", "cpu"]
    command += ["--metadata", f"musictheorybench={theory_file}", "--output_path", str(tmp_path)]

    subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        check=True,
        timeout=PATIENCE_S,
    )

    (file,) = tmp_path.rglob("results_*.json")
    results = json.loads(file.read_text())
    assert results["n-samples"]["musictheorybench"] == {"original": 3, "effective": 3}
    assert results["n-shot"]["musictheorybench"] == 2
    assert 0 <= results["results"]["musictheorybench"]["acc,none"] <= 1
