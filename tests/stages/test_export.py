"""The stage that writes a model for other programs."""

from __future__ import annotations

import json
import shutil

import numpy
import pytest

from musicllm import artifacts, cli
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.model import adapters, base
from musicllm.model.export import EXPORTERS
from musicllm.model.weights import WeightFiles
from musicllm.runs.texts import texts_of
from tests.examples import EXAMPLES
from tests.helpers import make_corpus
from tests.models import LORA, TINY, letter_tokenizer
from tests.report.card_runs import answer, chain, evaluation, tunes


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "tiny"
    base.build(TINY, seed=0).save_pretrained(folder)
    letter_tokenizer().save_pretrained(folder)
    return folder


def export(tmp_path, *words):
    return cli.main(
        [
            "recipe=export",
            f"paths.runs={tmp_path / 'runs'}",
            f"paths.cache={tmp_path / 'cache'}",
            *words,
        ]
    )


def artifact(tmp_path) -> Artifact:
    runs = tmp_path / "runs" / "export"
    return artifacts.read(runs / (runs / "latest").read_text().strip() / "artifact")


def test_a_folder_is_exported_once(model, tmp_path, capsys):
    assert export(tmp_path, f"inputs.model={model}") == 0
    made = artifact(tmp_path)
    made.verify()
    assert made.kind == "model"
    assert made.facts["format"] == "hf"
    assert base.load(made.path, dtype="float32").num_parameters() == made.facts["num_parameters"]
    before = (made.path / "model.safetensors").stat().st_mtime_ns
    assert export(tmp_path, f"inputs.model={model}") == 0
    assert "up to date" in capsys.readouterr().out
    assert (made.path / "model.safetensors").stat().st_mtime_ns == before


@pytest.fixture
def adapter(model, tmp_path):
    adapted = adapters.attach(base.load(model, dtype="float32"), LORA, seed=1)
    adapters.save_adapter(adapted, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_adapters_are_merged_first(adapter, model, tmp_path, capsys):
    assert export(tmp_path, f"inputs.model={adapter}") == 1
    said = capsys.readouterr().err
    assert (
        f"merge it into its base first: python -m musicllm recipe=merge inputs.adapter={adapter}"
        in (said)
    )
    assert export(tmp_path, f"inputs.model={model}", f"+inputs.adapter={adapter}") == 1
    said = capsys.readouterr().err
    assert f"recipe=merge inputs.adapter={adapter}" in said
    assert not list(tmp_path.rglob("artifact"))


def test_quantized_weights_are_refused(model, tmp_path, capsys):
    settings = json.loads((model / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "awq"}
    (model / "config.json").write_text(json.dumps(settings))
    assert export(tmp_path, f"inputs.model={model}") == 2
    assert "are quantized already" in capsys.readouterr().err


def test_a_folder_that_is_no_model(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert export(tmp_path, f"inputs.model={tmp_path / 'empty'}") == 1
    assert "holds nothing, and nothing that can be an input" in capsys.readouterr().err


def test_the_files_of_an_upload_are_listed_and_nothing_is_sent(model, tmp_path, capsys):
    words = [f"inputs.model={model}", "export.push_to_hub=me/reels", "export.model_name=reels"]
    assert export(tmp_path, *words) == 0
    said = capsys.readouterr().out
    card = artifact(tmp_path).path / "README.md"
    assert f"README.md {card.stat().st_size:,}" in " ".join(said.split())
    assert "none: export.dry_run=true" in said
    assert "# reels" in card.read_text()
    assert "how the model was trained: no run of musicllm" in card.read_text()


def test_an_upload_after_the_dry_run_writes_nothing_again(model, tmp_path, capsys, monkeypatch):
    sent = []

    def upload(folder, repository, **options):
        sent.append((folder, repository, options["private"]))
        return "https://hub/me/reels"

    monkeypatch.setattr("musicllm.model.export.hub.upload", upload)
    words = [f"inputs.model={model}", "export.push_to_hub=me/reels"]
    assert export(tmp_path, *words) == 0
    assert not sent
    made = artifact(tmp_path).path
    before = (made / "model.safetensors").stat().st_mtime_ns
    assert export(tmp_path, *words, "export.dry_run=false", "export.private=false") == 0
    assert sent == [(made, "me/reels", False)]
    assert "https://hub/me/reels" in capsys.readouterr().out
    assert (made / "model.safetensors").stat().st_mtime_ns == before


@pytest.fixture
def merged(model, tmp_path):
    """Return a merged model with weights and a story behind it."""

    def make(licence="MIT"):
        trained = chain(tmp_path / "story", licence)
        for file in model.iterdir():
            shutil.copyfile(file, trained.path / file.name)
        return trained

    return make


def test_a_model_of_a_run_tells_its_story(merged, tmp_path, capsys):
    trained = merged()
    words = [
        f"inputs.model={trained.path}",
        f"+inputs.evaluation={evaluation(tmp_path / 'story', trained).path}",
        f"+inputs.tunes={tunes(tmp_path / 'story', trained, answer('A jig', 4, 4)).path}",
    ]
    assert export(tmp_path, *words) == 0
    assert "the licence of the data of tunes" in capsys.readouterr().err
    card = (artifact(tmp_path).path / "README.md").read_text()
    assert "# music-merge-id-merge" in card
    for part in ("## Training", "## Evaluation", "## Prompts that work", "## Example"):
        assert part in card


def test_a_licence_that_forbids_training_is_refused_until_overridden(merged, tmp_path, capsys):
    trained = merged("excludes training of language models")
    assert export(tmp_path, f"inputs.model={trained.path}") == 2
    said = capsys.readouterr().err
    assert "the licence of the data of books (music/prepare) forbids training" in said
    assert not (tmp_path / "runs" / "export" / "latest").exists()
    words = [f"inputs.model={trained.path}", "export.override_licences=[books,songs]"]
    assert export(tmp_path, *words) == 2
    said = capsys.readouterr().err
    assert "names songs, which is no part of this model; its parts with a licence: books," in said
    assert export(tmp_path, words[0], "export.override_licences=[books]") == 0
    assert "they have permission" in (artifact(tmp_path).path / "README.md").read_text()


def test_results_of_another_model_do_not_go_into_the_card(model, tmp_path, capsys):
    trained = chain(tmp_path / "story")
    other = evaluation(tmp_path / "story", trained)
    assert export(tmp_path, f"inputs.model={model}", f"+inputs.evaluation={other.path}") == 1
    assert "is of the model id-merge, but what is exported is " in capsys.readouterr().err
    assert export(tmp_path, f"inputs.model={model}", f"+inputs.tunes={other.path}") == 1
    assert "is of kind evaluation, and tunes is needed here" in capsys.readouterr().err


def test_texts_are_drawn_in_tokens_of_the_model(tmp_path, monkeypatch, capsys):
    corpus = make_corpus(tmp_path / "corpus", content="messages")
    tokenizer = base.load_tokenizer(corpus.tokenizer_path)
    read = artifacts.read(tmp_path / "corpus")
    texts = texts_of(read, corpus.tokenizer_path, num_texts=5, seed=1)
    assert [len(texts.calibration), len(texts.test), len(texts.requests)] == [5, 3, 3]
    assert set(texts.requests) == {"Write a reel in D."}
    assert "K:D" in tokenizer.decode(texts.calibration[0])
    assert texts_of(read, corpus.tokenizer_path, num_texts=5, seed=1) == texts
    monkeypatch.setattr("musicllm.runs.texts.MAX_TOKENS", 8)
    short = texts_of(read, corpus.tokenizer_path, num_texts=5, seed=1)
    assert not short.calibration
    assert "5 of 5 texts of inputs.texts are left out: " in capsys.readouterr().err
    with pytest.raises(ArtifactError, match="is of kind model, not a corpus"):
        texts_of(Artifact(tmp_path, "model", ""), corpus.tokenizer_path, num_texts=5, seed=1)


def test_a_format_of_your_own(model, tmp_path, monkeypatch):
    monkeypatch.setattr(EXPORTERS, "_kinds", {**EXPORTERS})
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "arrays.py").write_text(EXAMPLES["arrays.py"])
    words = [f"inputs.model={model}", f"extensions=[{tmp_path / 'kinds'}]", "export.format=arrays"]
    assert export(tmp_path, *words) == 0
    made = artifact(tmp_path)
    assert made.kind == "export"
    arrays = numpy.load(made.path / "weights.npz")
    assert len(arrays) == len(WeightFiles.of_model(model).shapes)
    card = (made.path / "README.md").read_text()
    assert "library_name: numpy" in card
    assert "`numpy.load('weights.npz')`" in card


def test_weights_in_four_bits_are_for_servers(model, tmp_path, capsys):
    settings = json.loads((model / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (model / "config.json").write_text(json.dumps(settings))
    words = ["recipe=generate", "hardware=cpu", f"inputs.model={model}", "generation.prompts=[A]"]
    assert cli.main([*words, f"paths.runs={tmp_path}", f"paths.cache={tmp_path / 'c'}"]) == 2
    assert "are in 4 bits (AWQ), which are for servers: write with inference.engine=vllm" in (
        capsys.readouterr().err
    )
