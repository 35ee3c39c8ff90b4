"""The corpus of IMelodist's first training, from artifacts that are told apart by their roles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicllm import artifacts, config
from musicllm.data.corpus import Corpus
from musicllm.errors import InputError
from musicllm.job import Job
from musicllm.launch import runner
from musicllm.stages import plan, prepare
from tests.helpers import make_tune

ASK = [{"role": "user", "content": "Who are you?"}]


def records_artifact(folder: Path, *answers: str) -> Path:
    """Write what the stage `synthesize` writes."""
    with artifacts.writing(folder, "records", "f" * 12, {}) as (target, _):
        lines = (
            json.dumps({
                "id": f"a/{n}", "source": "a",
                "messages": [*ASK, {"role": "assistant", "content": answer}],
                "provenance": {"teacher": "t", "seed": 0},
            })
            for n, answer in enumerate(answers)
        )  # fmt: skip
        (target / "records.jsonl").write_text("".join(line + "\n" for line in lines))
        (target / "rejected.jsonl").write_text("")
    return folder


def test_the_two_artifacts_of_imelodist_are_told_apart_by_their_roles(tmp_path: Path) -> None:
    """The increment's recipe, with short scores from a file and a tokenizer of its own."""
    scores = [{"abc notation": make_tune(n, bars)} for n, bars in ((1, 8), (2, 300), (3, 301))]
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    texts = records_artifact(tmp_path / "texts", "A fugue has a subject.", "赋格有主题。")
    about = records_artifact(tmp_path / "self", "I am Melodist.")
    words = [
        "recipe=imelodist/increment_data", f"paths.runs={tmp_path / 'runs'}",
        "template=chatmusician", "hardware=cpu",
        f"inputs.texts={texts}", f"inputs.self_cognition={about}",
        "data.sources.scores.reader=files", "data.tokenizer=train", "data.vocab_size=300",
        f"data.sources.scores.location={tmp_path / 'scores.json'}",
    ]  # fmt: skip
    job = runner.bind(*config.load(words))
    summary = dict(prepare.run(job))
    corpus = Corpus.open(job.artifact_path, verify=True)
    assert corpus.facts["read"] == {"scores": 3, "texts": 2, "self_cognition": 1}
    assert corpus.facts["dropped"]["scores"] == {"has fewer characters than min_chars": 1}
    written = json.loads((job.artifact_path / "also" / "xtuner" / "train.json").read_text())
    bare = [item["conversation"][0] for item in written if not item["conversation"][0]["input"]]
    assert [item["output"] for item in bare] == [score["abc notation"] for score in scores[1:]]
    assert all(len(item["output"]) > 2900 and item["system"] == "" for item in bare)
    assert summary["also as xtuner"] == "5 in also/xtuner/train.json"
    assert summary["languages"] == "60.0% en, 40.0% music"


def instructions_of(tmp_path: Path, *words: str) -> Job:
    """Return the job of the second corpus, over marked rows and a table with one wording."""
    with artifacts.writing(tmp_path / "table", "records", "f" * 12, {}) as (target, _):
        entry = {"id": "t/1", "source": "translation", "original": "Compose by\n[[1]]",
                 "language": "zh", "text": "请按和弦作曲：\n[[1]]"}  # fmt: skip
        (target / "records.jsonl").write_text(json.dumps(entry) + "\n")
    rows = [
        {"instruction": "Human: Compose by", "input": "\n'C', 'G' </s> ",
         "output": f"Assistant: {make_tune(n)} </s> ", "src": "x/irishman" if n % 2 else "wiki"}
        for n in range(80)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = "data.sources.musicpile_sft"
    words = (
        "recipe=imelodist/sft_data", f"paths.runs={tmp_path / 'runs'}", "template=llama2",
        "hardware=cpu", f"inputs.translations={tmp_path / 'table'}", f"{source}.reader=files",
        f"{source}.location={tmp_path / 'rows.jsonl'}", "data.tokenizer=train",
        "data.vocab_size=300", "data.validation_fraction=0", "data.test_fraction=0", *words,
    )  # fmt: skip
    return runner.bind(*config.load(words))


def test_three_quarters_of_the_irishman_part_are_chinese_without_marks(tmp_path: Path) -> None:
    job = instructions_of(tmp_path)
    prepare.run(job)
    facts = Corpus.open(job.artifact_path, verify=True).facts
    assert facts["dropped"] == {"musicpile_sft": {"is not chosen by where": 40}}
    languages = facts["splits"]["train"]["languages"]
    assert languages["zh"]["documents"] == pytest.approx(30, abs=8)
    assert languages["zh"]["documents"] + languages["en"]["documents"] == 40
    written = json.loads((job.artifact_path / "also" / "xtuner" / "train.json").read_text())
    prompts = job.config.data.system_prompts
    for (exchange,) in (item["conversation"] for item in written):
        language = "zh" if exchange["input"] == "请按和弦作曲：\n'C', 'G'" else "en"
        assert exchange["input"] == "Compose by\n'C', 'G'" or language == "zh"
        assert exchange["system"] == prompts[language]
        assert exchange["output"].startswith("X:1")
        assert "</s>" not in json.dumps(exchange)


def test_a_table_without_the_language_is_refused(tmp_path: Path) -> None:
    job = instructions_of(tmp_path, "data.translation.shares.fr=0.2")
    with pytest.raises(InputError) as caught:
        prepare.run(job)
    assert str(caught.value).startswith("data.translation.shares.fr: ")
    assert str(caught.value).endswith("translates into zh alone")


def test_the_plan_says_what_is_chosen_translated_and_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for recipe in ("increment_data", "sft_data"):
        words = [f"recipe=imelodist/{recipe}", "stage=plan"]
        plan.run(runner.bind(*config.load(words)))
    text = " ".join(capsys.readouterr().out.split())
    for line in (
        "hub: sander-wood/irishman, of 2,901 characters or more; licence: MIT",
        "reads texts synthesized: inputs.texts; licence: that of the teacher",
        "reads musicpile_sft hub: m-a-p/MusicPile-sft, with 'irishman' in src; licence: see",
        "requests translated 75% into zh, by inputs.translations",
        "system prompts for zh, en, music",
        "also written for xtuner",
        "documents 340,000",
    ):
        assert line in text, text
