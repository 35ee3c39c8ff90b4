"""A model has a row for every token that it is trained on, or the training does not begin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tokenizers import pre_tokenizers

from musicllm import config
from musicllm.checks import check
from musicllm.data.corpus import Corpus
from musicllm.data.settings import ExtendedTokenizer
from musicllm.data.vocabulary import train_tokenizer
from musicllm.errors import ConfigError
from musicllm.job import Job
from musicllm.launch import runner
from musicllm.model import adapters, base
from musicllm.model.merge import merge
from musicllm.runs import starting_model
from musicllm.runs.planning import run_plan
from musicllm.runs.preparation import tokenizer_of
from musicllm.runs.settings import model_spec
from musicllm.stages import train
from tests.helpers import TEMPLATE, make_corpus, make_tune
from tests.models import letter_tokenizer

SMALL = [
    "model.config.vocab_size=300",
    "model.config.hidden_size=16",
    "model.config.intermediate_size=24",
    "model.config.num_hidden_layers=1",
    "model.config.num_attention_heads=2",
    "model.config.num_key_value_heads=1",
    "model.config.tie_word_embeddings=false",
    "training.max_steps=2",
    "callbacks.progress_bar=false",
    "hardware.num_threads=1",
    "hardware.precision=fp32",
]
WHOLE = ["adapter.train_embeddings=true", "adapter.train_output_head=true", "adapter.r=4"]
ALONE = [
    "adapter.train_embeddings=false",
    "adapter.train_output_head=false",
    "adapter.train_new_tokens=true",
]
RESIZE = "training.resize_embeddings=true"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    corpus = make_corpus(tmp_path_factory.mktemp("corpus") / "artifact", vocab_size=310)
    assert corpus.facts["vocab_size"] == 310
    return corpus


@pytest.fixture
def folder(tmp_path: Path, corpus: Corpus) -> Path:
    """Return a model with 300 rows, beside a tokenizer of 310 tokens."""
    settings, _ = config.load(["recipe=quickstart/sft", *SMALL])
    base.build(model_spec(settings), seed=0).save_pretrained(tmp_path / "model")
    shutil.copytree(corpus.tokenizer_path, tmp_path / "model", dirs_exist_ok=True)
    return tmp_path / "model"


def job_of(folder: Path, corpus: Corpus, *words: str) -> Job:
    places = [f"paths.runs={folder.parent / 'runs'}", f"inputs.corpus={corpus.path}"]
    words = ("~inputs.model", f"model.location={folder}", *places, *SMALL, *words)
    settings, recipe = config.load(["recipe=quickstart/sft", *words])
    check(settings)
    job = runner.bind(settings, recipe)
    job.folder.mkdir(parents=True, exist_ok=True)
    return job


def test_more_tokens_than_rows_are_refused_before_anything_is_loaded(
    folder: Path, corpus: Corpus
) -> None:
    job = job_of(folder, corpus)
    with pytest.raises(ConfigError) as caught:
        run_plan(job.config, corpus.facts)
    assert str(caught.value.problems[0]) == (
        "model.config.vocab_size=300 is less than the 310 tokens of the corpus, and the model "
        "has no row for the others; use the tokenizer that the model was trained with, or add "
        "rows: training.resize_embeddings=true, with adapter.train_embeddings=true and "
        "adapter.train_output_head=true, or for new tokens alone adapter.train_new_tokens=true"
    )
    with pytest.raises(ConfigError, match="has no row for the others"):
        train.run(job)
    assert not (job.folder / "metrics.jsonl").exists()


def test_rows_that_lora_adds_are_trained_merged_and_put_on_again(
    folder: Path, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_of(folder, corpus, RESIZE, *WHOLE)
    train.run(job)
    said = " ".join(capsys.readouterr().err.split())
    assert "300 rows of embeddings and the corpus 310 tokens: 10 rows were added, each the" in said
    assert "mean of the others (training.resize_embeddings)" in said
    merged = folder.parent / "merged"
    merged.mkdir()
    settings = {"dtype": "float32", "max_shard_gb": 1, "check_ids": [3, 305, 309]}
    merge(folder, job.artifact_path, merged, **settings)  # type: ignore[arg-type]
    whole = base.load(merged, dtype="float32", attention="sdpa")
    assert whole.get_input_embeddings().weight.shape == whole.get_output_embeddings().weight.shape
    assert whole.config.vocab_size == 310
    plain = base.load(folder, dtype="float32", attention="sdpa")
    adapted = adapters.load_adapter(plain, job.artifact_path)
    ids = torch.tensor([[3, 305, 309]])
    with torch.no_grad():
        torch.testing.assert_close(adapted(ids).logits, whole(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return a corpus with 10 tokens more than its base, chosen by gain."""
    folder = tmp_path_factory.mktemp("extended")
    old = train_tokenizer(map(make_tune, range(30)), 300, TEMPLATE)
    return make_corpus(folder / "artifact", tokenizer=ExtendedTokenizer(old, None, 10))


@pytest.fixture
def base_folder(tmp_path: Path) -> Path:
    """Return the model with 300 rows and tokens of which `extended` is an extension."""
    settings, _ = config.load(["recipe=quickstart/sft", *SMALL])
    base.build(model_spec(settings), seed=0).save_pretrained(tmp_path / "model")
    train_tokenizer(map(make_tune, range(30)), 300, TEMPLATE).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("words", [["adapter.r=4"], ["adapter=new_tokens"]], ids=["lora", "alone"])
def test_new_tokens_are_trained_alone_and_merged(
    base_folder: Path, extended: Corpus, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_of(base_folder, extended, RESIZE, *ALONE, *words)
    planned = run_plan(job.config, extended.facts).size.num_trainable
    adapted = starting_model.starting_model(job, extended)
    assert planned == sum(weight.numel() for weight in adapters.trained(adapted).values())
    vectors = base.load(base_folder, dtype="float32").get_input_embeddings().weight
    merges = json.loads((extended.tokenizer_path / "tokenizer.json").read_text())["model"]["merges"]
    left, right = base.load_tokenizer(base_folder).convert_tokens_to_ids(merges[-10])
    started = dict(adapted.named_parameters())[
        "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta.default"
    ]
    torch.testing.assert_close(started[0], (vectors[left] + vectors[right]) / 2)

    train.run(job)
    said = " ".join(capsys.readouterr().err.split())
    assert "10 rows were added, each the mean of its pieces' (training.resize_embeddings)" in said
    (merged := base_folder.parent / "merged").mkdir()
    settings = {"dtype": "float32", "max_shard_gb": 1, "check_ids": [3, 305, 309]}
    merge(base_folder, job.artifact_path, merged, **settings)  # type: ignore[arg-type]
    whole = base.load(merged, dtype="float32", attention="sdpa")
    assert torch.equal(whole.get_input_embeddings().weight[:300], vectors)
    tokenizer = base.load_tokenizer(merged)
    assert len(tokenizer) == whole.config.vocab_size == 310
    adapted = adapters.load_adapter(base.load(base_folder, dtype="float32"), job.artifact_path)
    for end, other in zip(adapters.ends_of(adapted), adapters.ends_of(whole), strict=True):
        assert torch.equal(end.weight, other.weight)


def test_training_of_new_tokens_goes_on_from_a_checkpoint(
    base_folder: Path, extended: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [RESIZE, *ALONE, "adapter=new_tokens", "training.max_steps=4"]
    saving = "training.checkpoint_every_steps=2"
    straight = job_of(base_folder, extended, *words, saving, f"paths.runs={base_folder.parent}/a")
    train.run(straight)
    stopped = job_of(base_folder, extended, *words, saving, f"paths.runs={base_folder.parent}/b")
    shutil.copytree(straight.folder / "checkpoints", stopped.folder / "checkpoints")
    shutil.rmtree(stopped.folder / "checkpoints" / "step-00000004")
    train.run(stopped)
    assert "continuing after step 2 of 4" in "".join(capsys.readouterr())
    files = [job.artifact_path / adapters.ADAPTER_WEIGHTS for job in (straight, stopped)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["adapter.train_embeddings=false", "adapter.train_output_head=false"],
            "adapter.train_new_tokens=false leaves out the rows of 10 tokens of the corpus that",
        ),
        (
            ["adapter.train_output_head=false"],
            "lacks, and an adapter would not hold them; write true, or train embeddings and head",
        ),
    ],
)
def test_rows_in_spare_places_must_be_trained_too(
    base_folder: Path, extended: Corpus, words: list[str], text: str
) -> None:
    model = base.load(base_folder, dtype="float32")
    base.add_rows(model, 320)
    model.save_pretrained(base_folder)
    spare = ["model.config.vocab_size=320", *words]
    with pytest.raises(ConfigError) as caught:
        train.run(job_of(base_folder, extended, *spare))
    assert text in str(caught.value.problems[0])


def test_new_tokens_that_the_model_has_are_not_new(folder: Path, corpus: Corpus) -> None:
    model = base.load(folder, dtype="float32")
    base.add_rows(model, 310)
    model.save_pretrained(folder)
    with pytest.raises(ConfigError) as caught:
        train.run(job_of(folder, corpus, "model.config.vocab_size=310", *ALONE))
    assert str(caught.value.problems[0]) == (
        f"adapter.train_new_tokens=true trains rows of new tokens, and {folder} has all tokens of "
        "the corpus; write false, or prepare the corpus with data.tokenizer=extend"
    )


def test_a_full_training_keeps_its_rows(folder: Path, corpus: Corpus) -> None:
    job = job_of(folder, corpus, RESIZE, "adapter=full")
    assert (
        run_plan(job.config, corpus.facts).size.num_trainable
        == sum(weight.numel() for weight in base.load(folder, dtype="float32").parameters())
        + 2 * 10 * 16
    )
    train.run(job)
    model = base.load(job.artifact_path, dtype="float32")
    assert model.get_input_embeddings().num_embeddings == 310


@pytest.mark.parametrize("tied", [False, True])
def test_added_rows_are_the_mean_of_the_old_ones(tied: bool) -> None:
    settings, _ = config.load(
        ["recipe=quickstart/sft", *SMALL, f"model.config.tie_word_embeddings={str(tied).lower()}"]
    )
    model, old = (base.build(model_spec(settings), seed=0) for _ in range(2))
    base.add_rows(model, 303)
    assert model.config.vocab_size == 303
    for new, before in (
        (model.get_input_embeddings(), old.get_input_embeddings()),
        (model.get_output_embeddings(), old.get_output_embeddings()),
    ):
        assert torch.equal(new.weight[:300], before.weight)
        assert torch.equal(new.weight[300:], before.weight.mean(0).expand(3, -1))
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["adapter.train_embeddings=true", "adapter.train_output_head=false"],
            "training.resize_embeddings=true adds rows that LoRA does not train, and that an "
            "adapter would not hold; write adapter.train_embeddings=true and "
            "adapter.train_output_head=true, or for new tokens adapter.train_new_tokens=true",
        ),
        (
            [
                "model.config.tie_word_embeddings=true",
                "adapter.train_embeddings=false",
                "adapter.train_output_head=false",
            ],
            "would not hold; write adapter.train_embeddings=true, or for new tokens "
            "adapter.train_new_tokens=true",
        ),
        (
            ["adapter=full", "model.location=null"],
            "training.resize_embeddings=true has no effect on random weights, which get "
            "model.config.vocab_size rows; leave it out",
        ),
    ],
)
def test_rows_that_would_not_be_trained(
    folder: Path, corpus: Corpus, words: list[str], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        job_of(folder, corpus, RESIZE, *words)
    assert [str(problem)[-len(text) :] for problem in caught.value.problems] == [text]


def test_a_corpus_is_not_prepared_with_tokens_that_its_model_lacks(tmp_path: Path) -> None:
    tokenizer = letter_tokenizer()
    tokenizer.add_tokens(["<music>"])
    tokenizer.save_pretrained(tmp_path)
    words = [f"model.location={tmp_path}", "model.config.vocab_size=64", "data.tokenizer=model"]
    settings, _ = config.load(["recipe=quickstart/prepare", *words, "data.vocab_size=null"])
    with pytest.raises(ConfigError) as caught:
        tokenizer_of(SimpleNamespace(config=settings, inputs={}))  # type: ignore[arg-type]
    assert "model.config.vocab_size=64 is less than the 65 tokens of its tokenizer in" in str(
        caught.value
    )
    settings, _ = config.load(["recipe=quickstart/prepare", *words, RESIZE])
    made = tokenizer_of(SimpleNamespace(config=settings, inputs={}))  # type: ignore[arg-type]
    assert len(made) == 65  # type: ignore[arg-type]


def test_rows_are_counted_by_the_highest_id() -> None:
    tokenizer = SimpleNamespace(get_vocab=lambda: {"a": 0, "b": 9})
    assert base.num_rows_of(tokenizer) == 10  # type: ignore[arg-type]


def test_blanks_of_a_reference_corpus_make_no_other_tokenizer() -> None:
    def identity(scheme: str) -> str:
        tokenizer = letter_tokenizer()
        blanks = pre_tokenizers.Metaspace("\u2581", prepend_scheme=scheme, split=False)  # type: ignore[arg-type]
        tokenizer.backend_tokenizer.pre_tokenizer = blanks
        return starting_model._identity(tokenizer)

    assert identity("always") == identity("first") != starting_model._identity(letter_tokenizer())
