"""The loop: texts do not depend on what shares the batch, end to end and piece by piece."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from functools import wraps

import pytest
import torch

from musicllm.data.encoder import Encoder
from musicllm.errors import StageError
from musicllm.inference.decoding import batch
from musicllm.inference.decoding.batch import Batch
from musicllm.inference.decoding.loop import Prompt, Writer
from musicllm.inference.decoding.texts import WrittenText
from musicllm.inference.requests import Completion, SamplingSettings
from tests.inference.decoding.vocabularies import pieces, whole_bars
from tests.model import families
from tests.packed_rows import make_documents

SAMPLED = SamplingSettings(0.9, 30, 0.95, 1.0, 24)
PENALISED = SamplingSettings(1.1, 0, 1.0, 1.3, 9)
GREEDY = SamplingSettings(0.0, 0, 1.0, 1.0, 15)
IDS = [document.tolist() for document in make_documents([40, 3, 20, 33, 1, 60, 12, 3], 300)]
PROMPTS = [
    Prompt(ids, settings, seed)
    for seed, (ids, settings) in enumerate(zip(IDS, [SAMPLED, PENALISED, GREEDY] * 3, strict=False))
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(families.tokenizer())


@pytest.fixture(scope="module")
def llama() -> torch.nn.Module:
    return families.build("llama", attention=None)


def write(
    model: torch.nn.Module, encoder: Encoder, prompts: list[Prompt], batch_size: int
) -> list[Completion]:
    written = dict(Writer(model, encoder, batch_size).write(prompts))
    return [written[number] for number in range(len(prompts))]


KINDS = (*families.ONE_OF_EACH_KIND, *families.STATE, "bloom", "opt", "falcon")
QUICK = ("qwen3", "mistral_window", "lfm2")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in KINDS
        if name not in families.MOE
    ],
)
def test_a_text_does_not_depend_on_its_batch(name: str, encoder: Encoder) -> None:
    model = families.build(name, attention=None)
    alone = [write(model, encoder, [prompt], 1)[0] for prompt in PROMPTS]
    for batch_size in (2, 5, 8):
        assert write(model, encoder, PROMPTS, batch_size) == alone
    assert write(model, encoder, PROMPTS[::-1], 4) == alone[::-1]


def test_logits_are_the_same_bits_whatever_the_batch(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 on a CPU: products in fours, attention row by row, prompts alone."""
    settings = dataclasses.replace(SAMPLED, max_new_tokens=40)
    prompts = [dataclasses.replace(prompt, settings=settings) for prompt in PROMPTS]

    def scores(batch_size: int) -> dict[int, list[torch.Tensor]]:
        seen = defaultdict(list)
        choose = batch.choose

        def noted(scores, settings, draws):  # type: ignore[no-untyped-def]
            for row, (seed, _) in zip(scores, draws, strict=True):
                seen[seed].append(row.clone())
            return choose(scores, settings, draws)

        with monkeypatch.context() as patch:
            patch.setattr(batch, "choose", noted)
            write(llama, encoder, prompts, batch_size)
        return seen

    expected = scores(1)
    for batch_size in (3, 6, 8):
        got = scores(batch_size)
        for seed, rows in expected.items():
            assert torch.equal(torch.stack(got[seed]), torch.stack(rows)), (batch_size, seed)


def test_seeds_decide_and_earlier_draws_do_not(llama: torch.nn.Module, encoder: Encoder) -> None:
    first = Prompt(IDS[0], SAMPLED, seed=1)
    [one, again, other] = write(
        llama, encoder, [first, first, dataclasses.replace(first, seed=2)], 4
    )
    assert one == again
    assert one != other


def test_equal_prompts_are_read_once(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    forward = llama.forward

    @wraps(forward)
    def noted(input_ids: torch.Tensor, **keywords: object) -> object:
        lengths.append(input_ids.shape)
        return forward(input_ids=input_ids, **keywords)

    monkeypatch.setattr(llama, "forward", noted)
    prompts = [Prompt(ids, GREEDY, seed) for seed in range(4) for ids in (IDS[0], IDS[2])]
    write(llama, encoder, prompts, 8)
    assert [tuple(shape) for shape in lengths if shape[1] > 1] == [(1, 40), (1, 20)]
    assert {shape[0] for shape in lengths if shape[1] == 1} <= {4, 8}


def test_places_that_get_free_are_filled(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    step = Batch.step
    monkeypatch.setattr(Batch, "step", lambda self: (steps.append(1), step(self)))
    lengths = [40, 5, 5, 5, 5, 5, 5, 5]
    prompts = [
        Prompt(IDS[0], dataclasses.replace(GREEDY, max_new_tokens=length), seed)
        for seed, length in enumerate(lengths)
    ]
    written = write(llama, encoder, prompts, 4)
    assert [text.num_new_tokens for text in written if not text.finished]
    assert len(steps) < 40 + 5  # batches one after the other would take 39 + 4


@pytest.mark.parametrize("number", [1, 3])
def test_memory_that_does_not_suffice_halves_the_batch_and_changes_no_text(
    llama: torch.nn.Module,
    encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    expected = write(llama, encoder, PROMPTS, 8)
    forward = llama.forward

    @wraps(forward)
    def limited(input_ids: torch.Tensor, **keywords: object) -> object:
        if input_ids.shape[0] > number and keywords["past_key_values"].get_seq_length() > 44:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(input_ids=input_ids, **keywords)

    monkeypatch.setattr(llama, "forward", limited)
    said: dict[int, str] = defaultdict(str)

    def note(index: int, piece: str) -> None:
        said[index] += piece

    written = dict(Writer(llama, encoder, 8).write(PROMPTS, note))
    assert [written[index] for index in range(len(PROMPTS))] == expected
    assert [said[index] for index in range(len(PROMPTS))] == [text.text for text in expected]
    output = capsys.readouterr()
    assert "memory did not suffice; 4 texts are written together" in output.out + output.err


def test_memory_that_does_not_suffice_for_one_prompt_is_said(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(**_: object) -> None:
        raise MemoryError("nothing left")

    monkeypatch.setattr(llama, "forward", never)
    with pytest.raises(StageError, match="memory does not suffice for one prompt"):
        write(llama, encoder, PROMPTS, 8)


def test_models_whose_caches_cannot_be_joined_write_one_text_after_the_other(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [dataclasses.replace(prompt, settings=GREEDY) for prompt in PROMPTS]
    expected = write(llama, encoder, prompts, 8)
    monkeypatch.setattr(batch, "can_share", lambda _: False)
    assert write(llama, encoder, prompts, 8) == expected


def test_texts_that_pass_the_length_where_frequencies_change_are_read_anew(
    encoder: Encoder,
) -> None:
    """As Phi-3's long contexts: beyond the first length all tokens have other frequencies."""
    half = 4  # of the width of a head
    rope = {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * half,
        "long_factor": [8.0] * half, "original_max_position_embeddings": 48,
    }  # fmt: skip
    model = families.build("phi3", rope_parameters=rope, original_max_position_embeddings=48)
    settings = SamplingSettings(0.0, 0, 1.0, 1.0, 16)
    prompts = [Prompt(IDS[n], settings, n) for n in (0, 1, 5)]  # 40, 3 and 60 tokens
    for prompt, completion in zip(prompts, write(model, encoder, prompts, 4), strict=True):
        ids = list(prompt.ids)
        while len(ids) < len(prompt.ids) + 16 and ids[-1] not in encoder.end_ids:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
        own = [token for token in ids[len(prompt.ids) :] if token not in encoder.end_ids]
        assert completion.text == encoder.decode(own)


@pytest.mark.parametrize("tokenizer", [pieces, whole_bars])
@pytest.mark.parametrize("text", ["X:1\nT:Été\n", None])
def test_pieces_make_up_the_text(tokenizer, text: str | None) -> None:  # type: ignore[no-untyped-def]
    encoder = Encoder(tokenizer())
    model = families.build("llama", attention=None, vocab_size=len(tokenizer()))
    flat = SamplingSettings(5.0, 0, 1.0, 1.0, 40)  # any token: bytes, blanks, special ones
    request = [{"role": "user", "content": "A tune."}]
    ids = encoder.text(text, is_whole=False) if text else encoder.prompt(request)
    prompts = [Prompt(ids, flat, seed, is_beginning=text is not None) for seed in range(12)]
    said: dict[int, list[str]] = defaultdict(list)
    written = dict(Writer(model, encoder, 4).write(prompts, lambda n, piece: said[n].append(piece)))
    assert {number: "".join(said[number]) for number in written} == {
        number: completion.text for number, completion in written.items()
    }
    assert max(map(len, said.values())) > 5
    assert all(piece for parts in said.values() for piece in parts)


def test_what_goes_on_from_a_text_keeps_its_blank() -> None:
    tokenizer = pieces()
    encoder = Encoder(tokenizer)
    written = WrittenText(encoder, encoder.text("Here", is_whole=False), None)
    answer = WrittenText(encoder, (), None)
    blank = next(n for token, n in tokenizer.get_vocab().items() if token == "▁Here")
    for text in (written, answer):
        text.add(blank)
    assert (written.finished(), answer.finished()) == (" Here", "Here")


def test_modes_and_attention_are_as_before_when_the_reader_stops(
    llama: torch.nn.Module, encoder: Encoder
) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    attend = ALL_ATTENTION_FUNCTIONS["sdpa"]
    llama.train()
    llama.get_submodule("model.layers.0").eval()
    texts: Iterator[object] = Writer(llama, encoder, 4).write(PROMPTS)
    next(texts)
    assert torch.is_grad_enabled()
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is attend
    texts.close()  # type: ignore[attr-defined]
    assert llama.training
    assert not llama.get_submodule("model.layers.0").training
    llama.eval()
