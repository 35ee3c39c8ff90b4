"""GGUF files through llama.cpp, with a tiny model of random weights whose tokens are bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from musicllm.errors import InputError, NotAvailableError
from musicllm.inference.engines import EngineSource, gguf
from musicllm.inference.engines.gguf import GgufEngine, open_gguf
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.inference.servers.dialects import LLAMA_CPP
from musicllm.inference.servers.parallel import once
from musicllm.model import gguf_file
from musicllm.music.grammar import TuneRules
from musicllm.schema import InferenceConfig
from tests.inference.gguf_files import write_gguf

pytest.importorskip("gguf")
xllamacpp = pytest.importorskip("xllamacpp")

FREE = SamplingSettings(1.0, 0, 1.0, 1.0, 12)
GREEDY = dataclasses.replace(FREE, temperature=0.0)
SETTINGS = InferenceConfig(
    engine=None, model_name=None, api_key_env="KEY", timeout_s=5.0, max_tries=1, num_parallel=4,
    context=None, options={},
)  # fmt: skip


def source(model: Path, **changes: Any) -> EngineSource:
    settings = dataclasses.replace(SETTINGS, **changes)
    load = lambda: pytest.fail("no weights are loaded")  # noqa: E731
    return EngineSource(str(model), load, None, 1, settings, Path(), num_threads=1)


def ask(words: str, seed: int = 0, settings: SamplingSettings = FREE) -> WritingRequest:
    return WritingRequest(({"role": "user", "content": words},), None, settings, seed)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[GgufEngine]:
    opened = open_gguf(source(tiny))
    yield opened
    opened.close()


def test_the_beginning_of_a_file_is_read(tiny: Path) -> None:
    file = gguf_file.read(tiny)
    assert (file.architecture, file.context, file.adds_blank) == ("llama", 256, False)
    assert file.special_tokens == ("<s>", "</s>", "<|over|>")
    assert (file.id_of("bos"), file.token_of("eos"), file.token_of("padding")) == (
        256,
        "</s>",
        None,
    )
    assert file.bytes_per_token == 2 * 1 * 2 * (16 + 16)


def test_prompts_are_the_rendered_template_in_tokens(engine: GgufEngine) -> None:
    turns = (
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "X:"},
    )
    requests = [
        WritingRequest(turns, None, FREE, 0),
        WritingRequest(None, "K:G\n", FREE, 0),
    ]
    first = "user: ab<|over|>\nassistant: ".replace("<|over|>", "\0")
    last = "c<|over|>\nuser: X:<|over|>\nassistant: ".replace("<|over|>", "\0")
    ids = [256, *(258 if char == "\0" else ord(char) for char in first + last)]
    assert engine._prompts(requests) == [ids, [256, *b"K:G\n"]]
    assert engine.count_tokens(turns) == len(ids)
    assert engine.context == 256


def test_a_text_depends_on_its_request_alone(engine: GgufEngine) -> None:
    requests = [ask("abc", seed) for seed in range(6)]
    written = dict(engine.write(requests))
    pieces: dict[int, str] = {}
    again = engine.write(
        requests[::-1], lambda index, piece: pieces.update({index: pieces.get(index, "") + piece})
    )
    backwards = dict(again)
    assert [backwards[5 - index] for index in range(6)] == [written[index] for index in range(6)]
    assert {index: pieces.get(index, "") for index in range(6)} == {
        index: completion.text for index, completion in backwards.items()
    }
    assert len({completion.text for completion in written.values()}) == 6
    assert {completion.num_prompt_tokens for completion in written.values()} == {23}


def test_an_answer_ends_at_the_end_of_an_answer_and_of_a_text(tmp_path: Path) -> None:
    for name, end in (("answer", "<|over|>"), ("text", "</s>")):
        opened = open_gguf(source(write_gguf(tmp_path / f"{name}.gguf")))
        opened._body = lambda prompt, request, body=opened._body, end=end: {  # type: ignore[method-assign]
            **body(prompt, request),
            "logit_bias": [[{"</s>": 257, "<|over|>": 258}[end], 1e4]],
        }
        [(_, completion)] = opened.write([ask("abc")])
        opened.close()
        assert completion == Completion("", 0, True, 23), end


def test_the_sampling_is_that_of_transformers(engine: GgufEngine) -> None:
    """The probabilities after the settings are those of its warpers on the model's own."""
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    prompt = [256, *b"abqxbd"]

    def probabilities(**fields: Any) -> dict[int, float]:
        body = {"prompt": prompt, "n_predict": 1, "n_probs": 259, **fields}
        answer = once(engine._server, lambda session: session.post("/completion", body))
        [position] = answer["completion_probabilities"]
        listed = position.get("top_probs") or position["top_logprobs"]
        return {entry["id"]: entry.get("prob", entry.get("logprob")) for entry in listed}

    logits = torch.full((1, 259), -torch.inf)
    for token, value in probabilities(seed=1, temperature=1.0, samplers=["temperature"]).items():
        logits[0, token] = value
    for warper in (TemperatureLogitsWarper(0.7), TopKLogitsWarper(30), TopPLogitsWarper(0.8)):
        logits = warper(torch.tensor([prompt]), logits)
    expected = torch.softmax(logits[0], dim=0)
    request = WritingRequest(None, "", SamplingSettings(0.7, 30, 0.8, 1.0, 1), 1)
    ours = probabilities(post_sampling_probs=True, **LLAMA_CPP.fields(request))
    sampled = {token: value for token, value in ours.items() if value > 0}
    assert sampled.keys() == set(expected.nonzero().flatten().tolist())
    assert all(abs(expected[token].item() - value) < 1e-5 for token, value in sampled.items())
    assert len(sampled) > 1


def test_the_repetition_penalty_sees_the_whole_text(engine: GgufEngine) -> None:
    """Also a prompt longer than the 64 tokens over which llama.cpp applies it by itself."""
    words = "".join(chr(code) for code in range(40, 120))
    plain, penalized = (
        dict(engine.write([WritingRequest(None, words, settings, 0)]))[0].text
        for settings in (
            dataclasses.replace(GREEDY, max_new_tokens=40),
            SamplingSettings(0.0, 0, 1.0, 100.0, 40),
        )
    )
    assert set(plain) & set(words)
    assert not set(penalized) & set(words)


def test_prompts_without_room_are_refused_before_anything_is_written(engine: GgufEngine) -> None:
    requests = [ask("a"), ask("b" * 240)]
    with pytest.raises(InputError) as error:
        list(engine.write(requests))
    assert str(error.value) == (
        "prompt 2 has 260 tokens, and with generation.max_new_tokens=12 the text could pass the "
        "model's 256 positions; at most 0 fit"
    )


def test_a_model_without_a_template_continues_texts_only(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "plain.gguf", template=None)
    opened = open_gguf(source(path))
    [(_, completion)] = opened.write([WritingRequest(None, "X:1", FREE, 0)])
    assert completion.num_prompt_tokens == 4
    with pytest.raises(InputError, match=r"plain\.gguf has no chat template, so it continues"):
        list(opened.write([ask("a")]))
    opened.close()


def test_the_context_can_be_smaller_but_not_larger(tiny: Path) -> None:
    opened = open_gguf(source(tiny, context=64))
    assert opened.context == 64
    opened.close()
    with pytest.raises(InputError, match=r"inference\.context=512 is more than the 256 tokens for"):
        open_gguf(source(tiny, context=512))


def test_little_memory_makes_the_context_smaller(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = dataclasses.make_dataclass("Free", ["available"])(100 * 128 / gguf.SHARE_OF_MEMORY)
    monkeypatch.setattr(gguf.psutil, "virtual_memory", lambda: free)
    assert gguf._context(gguf_file.read(tiny), None) == 100
    assert "was trained for 256 tokens, and there is memory for 100 of them" in (
        capsys.readouterr().err
    )


def test_files_that_are_none_are_refused(tiny: Path, tmp_path: Path) -> None:
    text, cut, short = (tmp_path / f"{name}.gguf" for name in ("text", "cut", "short"))
    text.write_text("X:1\nK:C\n")
    content = tiny.read_bytes()
    cut.write_bytes(content[:-4000])
    short.write_bytes(content[:100])
    for path, said in (
        (text, f"{text} is no GGUF file: it begins with b'X:1\\n' instead of b'GGUF'; recipe=exp"),
        (short, f"{short} is damaged: its beginning cannot be read; copy it again"),
        (cut, f"{cut} cannot be loaded by llama.cpp (xllamacpp {xllamacpp.__version__}, archit"),
        (tmp_path / "none.gguf", "none.gguf cannot be read: No such file or directory"),
    ):
        with pytest.raises(InputError) as error:
            open_gguf(source(path))
        assert said in str(error.value)


def test_a_folder_needs_exactly_one_file(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path} holds no .gguf file"):
        open_gguf(source(tmp_path))
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(tiny.read_bytes())
    with pytest.raises(InputError, match=r"holds 2 \.gguf files \(a\.gguf, b\.gguf\); name one"):
        open_gguf(source(tmp_path))


def test_the_missing_package_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda _name: None)
    with pytest.raises(NotAvailableError, match=r"needs xllamacpp: pip install 'musicllm\[gguf\]'"):
        open_gguf(source(tiny))


def test_a_tune_that_must_come_is_written_under_the_static_grammar(tiny: Path) -> None:
    """The tiny model writes any bytes; so without the grammar no answer would begin like this."""
    opened = open_gguf(source(tiny))
    settings = dataclasses.replace(FREE, max_new_tokens=60)
    free, bound = (
        WritingRequest(({"role": "user", "content": "a"},), None, settings, 3, rules)
        for rules in (TuneRules(), TuneRules(required=True))
    )
    written = dict(opened.write([free, bound]))
    opened.close()
    assert not written[0].text.startswith("X:")
    assert written[1].text.startswith("X:")
