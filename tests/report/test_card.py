"""The model card says what the runs recorded, and names what it does not know."""

from __future__ import annotations

import shutil

import pytest
import yaml

from musicllm.errors import ArtifactError
from musicllm.report.card import CardInputs, model_card
from musicllm.report.card.markdown import cell, code, table
from musicllm.report.card.writing import take_example
from musicllm.report.lineage import Lineage
from musicllm.runs.lineage import lineage_of
from tests.report.card_runs import answer, chain, evaluation, tunes


def card(folder, lineage, evaluated=None, written=None, **changes):
    values = {
        "name": "reels", "label": "Hugging Face folder", "library": "transformers",
        "rows": [("parameters", "1,234")], "usage": "Load it.\n",
        "architecture": {"model_type": "llama"}, "has_template": True, "lineage": lineage,
        "location": None, "licence": None, "overridden": [], "evaluation": evaluated,
        "tunes": written, "facts_of_run": {"musicllm": "0.1.0", "packages": {"torch": "2.13.0"}},
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    return model_card(CardInputs(**values | changes), take_example(written, folder))


def sections(text):
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_a_card_with_everything(tmp_path):
    model = chain(tmp_path)
    evaluated = evaluation(tmp_path, model, copy_share=0.1, copy_share_low=0.05,
                           copy_share_high=0.15)  # fmt: skip
    lines = [answer("A short reel", 4, 4, "001.svg", "001.mid"), answer("A jig", 8, 7),
             answer("A long reel", 8, 8)]  # fmt: skip
    written = tunes(tmp_path, model, *lines)
    text = card(tmp_path / "card", lineage_of(model), evaluated, written)
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "apache-2.0",
        "base_model": "someone/base",
        "datasets": ["someone/tunes"],
        "tags": ["music", "abc-notation", "musicllm"],
    }
    assert sections(body) == [
        "Use", "Prompts that work", "Example", "Training", "Data", "Evaluation", "Memorisation",
        "Licences", "Provenance",
    ]  # fmt: skip
    assert "| peak learning rate | 0.0001 |" in body
    assert "| optimizer steps | 100 |" in body
    assert "| validation loss (nats a token) | 1.75 |" in body
    assert "| devices | 2 x A100, bf16 |" in body
    assert "| time | 1 h 1 min |" in body
    assert "| tunes | someone/tunes | see its card | arXiv 1 |" in body
    assert "| books | 37 | 4,000 | 40.0% |" in body
    assert "3 of 100 records were left out" in body
    assert "372 benchmark questions; 2 records that hold one were removed" in body
    assert "| bars fitting | 0.82 (0.7 to 0.9) | 0.99 |" in body
    assert "| generation | copy share | 0.1 (0.05 to 0.15) | 0.2 |" in body
    assert "| the data of tunes (music/prepare) | see its card | not clear" in body
    assert "2 of 3 answers of the run hold a tune that parses and whose bars all fit" in body
    assert "A jig" not in body
    assert "generation.grammar" not in body
    assert "![The score of the tune](example.svg)" in body
    assert "[example.mid](example.mid)" in body
    names = sorted(path.name for path in (tmp_path / "card").iterdir())
    assert names == ["example.mid", "example.svg"]
    assert str(tmp_path) not in text


def test_what_is_not_there_is_left_out_and_named(tmp_path):
    text = card(tmp_path / "card", Lineage((), ()))
    assert sections(text) == ["Use", "Provenance", "What this card does not say"]
    assert "license" not in text.split("---\n")[1]
    for part in ("how the model was trained", "under which licence", "how good it is",
                 "which prompts work"):  # fmt: skip
        assert f"- {part}" in text


def test_inputs_that_are_gone_are_named_without_their_folder(tmp_path):
    model = chain(tmp_path)
    shutil.rmtree(tmp_path / "prepare")
    lineage = lineage_of(model)
    assert [step.recipe for step in lineage.steps] == ["music/sft", "music/merge"]
    text = card(tmp_path / "card", lineage)
    assert "- what it was trained on" in text
    assert "- what is behind artifact: at the export it was not there" in text
    assert str(tmp_path) not in text


def test_another_corpus_at_the_same_place_is_not_told_as_the_one_of_the_model(tmp_path):
    model = chain(tmp_path)
    manifest = tmp_path / "prepare" / "artifact" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("id-prepare", "id-other"))
    assert not lineage_of(model).corpora


def test_random_weights_have_no_licence_of_a_base(tmp_path):
    lineage = lineage_of(chain(tmp_path, location=None))
    assert [licence.name for licence in lineage.licences()] == ["books", "tunes"]
    text = card(tmp_path / "card", lineage)
    assert "began with random weights" in text
    assert "license" not in text.split("---\n")[1]


def test_a_licence_that_the_hub_does_not_list(tmp_path):
    lineage = lineage_of(chain(tmp_path, base_licence='a "strange" one'))
    _, head, _ = card(tmp_path / "card", lineage).split("---\n", 2)
    assert yaml.safe_load(head)["license"] == "other"
    assert yaml.safe_load(head)["license_name"] == 'a "strange" one'


def test_tunes_without_one_that_is_right(tmp_path):
    model = chain(tmp_path)
    written = tunes(tmp_path, model, answer("A reel", 8, 7), answer("A jig", 0, 0))
    text = card(tmp_path / "card", lineage_of(model), written=written)
    assert "0 of 2 answers" in text
    assert "- an example: none of the tunes" in text
    assert not list((tmp_path / "card").iterdir())


def test_a_grammar_that_allows_only_such_bars_is_said(tmp_path):
    model = chain(tmp_path)
    written = tunes(tmp_path, model, answer("A reel", 8, 8), grammar="abc")
    text = card(tmp_path / "card", lineage_of(model), written=written)
    assert "written with generation.grammar=abc, which allows only bars that fit" in text


def test_tunes_of_another_version(tmp_path):
    written = tunes(tmp_path, chain(tmp_path))
    (written.path / "generations.jsonl").unlink()
    with pytest.raises(ArtifactError, match=r"has no generations\.jsonl: another version wrote"):
        card(tmp_path / "card", Lineage((), ()), written=written)


def test_overridden_licences_are_said(tmp_path):
    lineage = lineage_of(chain(tmp_path, "excludes training of language models"))
    text = card(tmp_path / "card", lineage, overridden=["books"])
    assert "**forbids training**; whoever made this says they have permission" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a|b", r"a\|b"), ("<script>", r"\<script\>"), ("two\n lines", "two lines")],
)
def test_text_cannot_leave_its_cell(text, shown):
    assert cell(text) == shown
    assert table(["x"], [[text]]).splitlines()[2] == f"| {shown} |"


def test_code_cannot_leave_its_block():
    assert code("a ``` b").startswith("````\n")
    assert code("a ``` b").endswith("\n````\n")
