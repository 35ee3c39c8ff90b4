"""GGUF files: what llama.cpp makes of them is what transformers makes of the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")
pytest.importorskip("libgguf")

from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader

from musicllm.errors import InputError, NotAvailableError, StageError
from musicllm.model import base
from musicllm.model.export import Export
from musicllm.model.export.gguf import exporting, proof, reading, rounding, writing
from musicllm.model.export.gguf import families as gguf_families
from musicllm.model.export.gguf.runtime import Runtime, Step, aligned
from musicllm.model.export.kinds.gguf import Gguf
from tests.helpers import make_tune
from tests.model import families, pieces
from tests.model.test_export import settings

REQUESTS = [f"Write tune {number} in D" for number in range(6)]


@pytest.fixture(autouse=True)
def one_thread():
    """Several processes on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write(folder: Path, quantization: str = "f16") -> Path:
    target = folder.parent / f"{folder.name}-{quantization}.gguf"
    writing.write(folder, target, quantization, name="tiny")
    return target


def prove(folder: Path, file: Path, *, is_exact: bool = True, max_rise: float = 0.02):
    model = base.load(folder, dtype="float32", attention=None)
    tokenizer = base.load_tokenizer(folder)
    return proof.prove(
        file,
        model.eval(),
        tokenizer,
        reading.prompts_of(tokenizer, REQUESTS, REQUESTS),
        [tokenizer(make_tune(number))["input_ids"] for number in range(2)],
        end_ids=writing.ends_of(folder, tokenizer),
        is_exact=is_exact,
        max_rise=max_rise,
    )


SLOW = ("llama3", "llama_wide_heads", "qwen2", "mistral", "gemma2")


@pytest.mark.parametrize(
    "name",
    ["llama", "qwen3", "gemma3", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)],
)
def test_files_of_each_family_are_the_model(name, tmp_path):
    folder = families.write(tmp_path / name, name)
    made = prove(folder, write(folder))
    assert made.num_prompts == len(REQUESTS)
    assert made.num_texts == len(reading.HARD_TEXTS)
    assert made.num_tokens > proof.NUM_TOKENS
    assert 0 < made.max_difference <= made.tolerance < 0.1
    assert made.perplexity == pytest.approx(made.reference_perplexity, rel=0.01)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return families.write(tmp_path_factory.mktemp("gguf") / "llama", "llama")


def test_a_file_with_rows_in_another_order_is_refused(llama, monkeypatch):
    monkeypatch.setattr(gguf_families, "rearranged", lambda _f, _c, _n, tensor: tensor)
    with pytest.raises(StageError, match=r"is not the model: token \d+ after prompt 1 \('<s>Human"):
        prove(llama, write(llama))


def test_a_file_with_a_small_difference_is_refused(llama, monkeypatch):
    exact = gguf_families.fields_of

    def other_epsilon(family, config, num_rows):
        fields = exact(family, config, num_rows)
        key = f"{family.name}.attention.layer_norm_rms_epsilon"
        return fields | {key: 2000 * fields[key]}

    monkeypatch.setattr(gguf_families, "fields_of", other_epsilon)
    with pytest.raises(StageError, match="rounding explains"):
        prove(llama, write(llama))


def test_a_file_with_another_template_is_refused(llama, tmp_path):
    tokenizer = base.load_tokenizer(llama)
    tokenizer.chat_template = tokenizer.chat_template.replace("Human", "User")
    target = tmp_path / "other.gguf"
    writing.write(llama, target, "f16", name="tiny", tokenizer=tokenizer)
    with pytest.raises(StageError, match=r"template renders prompt 1 .* character 3 on: 'User"):
        prove(llama, target)


def test_a_file_that_does_not_end_where_the_model_does_is_refused(llama, tmp_path):
    target = tmp_path / "other.gguf"
    writing.write(llama, target, "f16", name="tiny", end_ids=[1])
    generation = json.loads((llama / "generation_config.json").read_text())
    folder = tmp_path / "llama"
    folder.symlink_to(llama)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in llama.iterdir():
        (copy / file.name).symlink_to(file)
    (copy / "generation_config.json").unlink()
    (copy / "generation_config.json").write_text(json.dumps(generation | {"eos_token_id": [1, 77]}))
    with pytest.raises(StageError, match=r"token 77 \(.+\) ends an answer, but not in llama.cpp"):
        prove(copy, target)


def test_a_file_with_other_tokens_is_refused(llama, monkeypatch):
    exact = writing.vocabulary_of
    merged = max(base.load_tokenizer(llama)(reading.HARD_TEXTS[14])["input_ids"])

    def without_a_token(*arguments):
        words = exact(*arguments)
        words.tokens[merged] = b"@@@"
        return words

    monkeypatch.setattr(writing, "vocabulary_of", without_a_token)
    with pytest.raises(StageError, match=r"has other tokens in llama.cpp, from token \d+ on"):
        prove(llama, write(llama))


def test_a_quantized_file_may_be_worse_by_a_share(llama):
    file = write(llama, "q8_0")
    made = prove(llama, file, is_exact=False)
    assert made.same_tokens > 0.5
    with pytest.raises(StageError, match=r"a perplexity of .* allows -50\.0%: choose a quanti"):
        prove(llama, file, is_exact=False, max_rise=-0.5)


@pytest.mark.parametrize("has_prefix", [False, True])
def test_files_with_a_vocabulary_of_sentencepiece(has_prefix, tmp_path):
    folder = tmp_path / "model"
    content = pieces.stored_model(add_dummy_prefix=has_prefix)
    if has_prefix:  # user-defined pieces do not go with it
        proto = pieces.import_protobuf().ModelProto()
        proto.ParseFromString(content)
        kept = [piece for piece in proto.pieces if piece.type != 4]
        del proto.pieces[:]
        proto.pieces.extend(kept)
        content = proto.SerializeToString()
    tokenizer = base.load_tokenizer(pieces.write(folder, content))
    tokenizer.chat_template = families.TEMPLATE
    model = families.build("llama", vocab_size=len(tokenizer) + 7)
    base.adopt_special_tokens(model, tokenizer)
    model.save_pretrained(folder)
    (folder / "tokenizer.model").unlink()
    tokenizer.save_pretrained(folder)
    file = write(folder)
    prove(folder, file)
    tokens = GGUFReader(file).get_field("tokenizer.ggml.tokens").contents()
    assert tokens[-7:] == [f"[unused{len(tokenizer) + number}]" for number in range(7)]


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("mistral_window", "some layers see 16 tokens only"),
        ("gpt2", "models of type gpt2 are not exported as GGUF; these are: gemma2, gemma3_text"),
    ],
)
def test_what_llama_cpp_does_not_compute_is_refused(family, reason, tmp_path):
    folder = families.write(tmp_path / family, family)
    with pytest.raises(NotAvailableError, match=reason):
        write(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_nothing_is_left_of_a_file_that_is_not_the_model(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_families, "rearranged", lambda _f, _c, _n, tensor: tensor)
    with pytest.raises(StageError, match="is not the model"):
        Gguf().export(Export(llama, tmp_path, "tiny", settings(format="gguf")))
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_f16_cannot_hold(tmp_path):
    with pytest.raises(InputError, match=r"x has numbers up to 7e\+04, and f16 ends at 65504"):
        rounding.rounded("x", torch.full((2, 32), 7e4), Type.F16)


@pytest.mark.parametrize("kind", [Type.F16, Type.Q8_0, Type.Q4_K, Type.Q5_0, Type.Q6_K])
def test_portions_are_rounded_as_llama_cpp_rounds_the_whole(kind, monkeypatch):
    import ctypes

    import xllamacpp

    library = ctypes.CDLL(str(Path(xllamacpp.__file__).with_name("xllamacpp.abi3.so")))
    if not hasattr(library, "ggml_quantize_chunk"):
        pytest.skip("this build of xllamacpp does not show llama.cpp's function")
    quantize = library.ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    quantize.argtypes = [ctypes.c_int, pointer, pointer, number, number, number, pointer]
    rows = torch.randn(7, 512, generator=torch.Generator().manual_seed(0)) * 0.05
    rows[2] = 0
    whole = bytearray(rounding.num_bytes((7, 512), kind))
    target = (ctypes.c_char * len(whole)).from_buffer(whole)
    quantize(int(kind), rows.data_ptr(), target, 0, 7, 512, None)
    monkeypatch.setattr(rounding, "ROWS_AT_ONCE", 1024)
    assert rounding.rounded("x", rows, kind).tobytes() == bytes(whole)


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("blk.0.attn_norm.weight", (512,), Type.F32),
        ("blk.0.attn_q.weight", (512, 512), Type.Q4_K),
        ("blk.0.attn_v.weight", (512, 512), Type.Q6_K),
        ("blk.1.attn_v.weight", (512, 512), Type.Q4_K),
        ("blk.7.ffn_down.weight", (512, 512), Type.Q6_K),
        ("blk.3.ffn_down.weight", (512, 512), Type.Q6_K),
        ("blk.4.ffn_down.weight", (512, 576), Type.Q5_0),
        ("token_embd.weight", (900, 512), Type.Q6_K),
        ("token_embd.weight", (900, 576), Type.Q8_0),
        ("blk.1.attn_q.weight", (512, 72), Type.F16),
    ],
)
def test_types_of_q4_k_m(name, shape, kind):
    assert rounding.type_of(name, shape, "q4_k_m", num_layers=8, is_tied=True) is kind


def test_a_model_is_read_tensor_by_tensor(llama, tmp_path, monkeypatch):
    alive, most = set(), []
    exact = writing.rounding.rounded

    def watched(name, tensor, kind):
        alive.add(name)
        most.append(len(alive))
        content = exact(name, tensor, kind)
        alive.discard(name)
        return content

    monkeypatch.setattr(writing.rounding, "rounded", watched)
    steps = []
    writing.write(llama, tmp_path / "x.gguf", "f16", name="x", progress=steps.append)
    assert set(most) == {1}
    assert len(steps) == len(most) > 20
    assert sum(steps) < (tmp_path / "x.gguf").stat().st_size


def test_a_damaged_file_is_refused(llama, tmp_path):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(write(llama).read_bytes()[:3000])
    with pytest.raises(StageError, match=r"llama.cpp does not load .*cut.gguf: "):
        Runtime(cut, 64)


def test_log_probabilities_of_incomplete_characters_are_left_out():
    assert aligned([5, 6, 7], [(5, -1.0), (7, -2.0)]) == [
        Step(5, -1.0),
        Step(6, None),
        Step(7, -2.0),
    ]
    assert aligned([5], [(5, -1.0), (2, -3.0)]) == [Step(5, -1.0), Step(2, -3.0)]
    assert aligned([], [(2, -3.0)]) == [Step(2, -3.0)]
    assert aligned([5, 5, 6], [(5, -1.0), (6, -2.0)])[0] == Step(5, None)


def test_prompts_are_those_of_the_framework(llama):
    from musicllm.data.encoder import Encoder

    tokenizer = base.load_tokenizer(llama)
    encoder = Encoder(tokenizer)
    for prompt in reading.prompts_of(tokenizer, exporting.asking.REQUESTS, []):
        assert list(prompt.ids) == encoder.prompt(prompt.messages)
