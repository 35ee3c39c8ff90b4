"""InternLM2's tokenizer without its code, against SentencePiece."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from musicllm.data.bytepairs import BytePairs
from musicllm.errors import InputError, NotAvailableError
from musicllm.model import base, piece_model
from tests.model import pieces


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_ids_are_those_that_sentencepiece_gave(tmp_path):
    tokenizer = piece_model.load(pieces.write(tmp_path))
    for text, expected in pieces.stored_ids():
        assert ids(tokenizer, text) == expected, text
        assert tokenizer.decode(expected) == text.replace(piece_model.BLANK, " ")


@pytest.mark.parametrize(
    "options", [{}, {"add_dummy_prefix": True, "user_defined_symbols": []}], ids=["plain", "blank"]
)
def test_ids_and_texts_are_those_of_sentencepiece(tmp_path, options):
    sentencepiece = pytest.importorskip("sentencepiece", reason="the extra bench")
    model = pieces.train(**options)
    tokenizer = piece_model.load(pieces.write(tmp_path, model))
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = pieces.texts(3000)
    for text, expected in zip(texts, processor.encode(texts), strict=True):
        assert ids(tokenizer, text) == expected, text
        assert tokenizer.decode(expected) == processor.decode(expected), text


def test_special_tokens_take_the_place_of_their_pieces(tmp_path):
    entries = {"560": pieces.special("<extra>")}  # behind the pieces
    first = 3  # the user-defined pieces follow <unk>, <s> and </s>
    entries |= {str(first + 1): pieces.special("<|im_end|>")}
    tokenizer = piece_model.load(pieces.write(tmp_path, added_tokens_decoder=entries))
    around = ids(tokenizer, "The"), ids(tokenizer, "\n")
    text = "The<|im_end|>\n<s></s><extra>"
    assert ids(tokenizer, text) == [*around[0], first + 1, *around[1], 1, 2, 560]
    assert ids(tokenizer, pieces.UNUSED[0]) == [first]
    assert len(ids(tokenizer, pieces.UNUSED[1])) > 1  # its place is taken
    assert tokenizer.decode([first, first + 1], skip_special_tokens=True) == pieces.UNUSED[0]
    assert tokenizer("The")["input_ids"] == [1, *around[0]]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)


def test_a_text_begins_with_a_blank_behind_every_special_token(tmp_path):
    plain = pieces.write(tmp_path / "plain")
    model = pieces.stored_model(add_dummy_prefix=True)
    proto = piece_model.import_protobuf().ModelProto.FromString(model)
    for piece in proto.pieces:
        piece.type = 3 if piece.type == 4 else piece.type  # none is user-defined
    blank = pieces.write(tmp_path / "blank", proto.SerializeToString())
    with_blank = ids(piece_model.load(plain), " The")
    assert ids(piece_model.load(blank), "The</s>The") == [*with_blank, 2, *with_blank]


def test_a_saved_tokenizer_is_the_same(tmp_path):
    entries = {"4": pieces.special("<|im_end|>")}
    tokenizer = piece_model.load(
        pieces.write(tmp_path / "published", added_tokens_decoder=entries, chat_template="{{ a }}")
    )
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert saved.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert saved.special_tokens_map == tokenizer.special_tokens_map
    assert saved.chat_template == "{{ a }}"
    assert saved("The<|im_end|>")["input_ids"] == tokenizer("The<|im_end|>")["input_ids"]


def test_kitoken_gives_the_same_ids(tmp_path):
    tokenizer = piece_model.load(pieces.write(tmp_path))
    quick = BytePairs.of(tokenizer.backend_tokenizer)
    assert quick is not None
    texts = [text for text, _ in pieces.stored_ids()]
    assert [list(found) for found in quick.encode(texts)] == [ids(tokenizer, t) for t in texts]


def test_only_internlm2s_published_files_are_read(tmp_path):
    assert piece_model.folder_of(pieces.write(tmp_path), None) == tmp_path
    other = pieces.write(tmp_path, tokenizer_class="LlamaTokenizer")
    assert piece_model.folder_of(other, None) is None
    (tmp_path / "tokenizer.model").unlink()
    assert piece_model.folder_of(tmp_path, None) is None


def test_a_published_folder_needs_no_tokenizer_json(tmp_path):
    tokenizer = base.load_tokenizer(pieces.write(tmp_path))
    text, expected = pieces.stored_ids()[0]
    assert ids(tokenizer, text) == expected


def test_published_files_of_the_hub_are_read(tmp_path, monkeypatch):
    folder = pieces.write(tmp_path)
    places = []
    monkeypatch.setattr(
        piece_model,
        "cached_file",
        lambda name, file, revision: places.append((name, revision)) or folder / file,
    )
    text, expected = pieces.stored_ids()[1]
    tokenizer = base.load_tokenizer("internlm/internlm2-chat-7b", revision="v1")
    assert ids(tokenizer, text) == expected
    assert set(places) == {("internlm/internlm2-chat-7b", "v1")}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": 1}, "its pieces are no byte pairs"),
        ({"precompiled_charsmap": b"nfkc"}, "it normalises texts"),
        ({"remove_extra_whitespaces": True}, "it removes spaces"),
        ({"escape_whitespaces": False}, "it does not write spaces as pieces do"),
        ({"treat_whitespace_as_suffix": True}, "spaces end its pieces"),
        ({"add_dummy_prefix": True}, "it begins texts with a space and has user-defined pieces"),
    ],
)
def test_what_would_give_other_ids_is_refused(tmp_path, changes, reason):
    folder = pieces.write(tmp_path, pieces.stored_model(**changes))
    with pytest.raises(NotAvailableError, match=rf"tokenizer\.model cannot be read .*: {reason};"):
        piece_model.load(folder)


def test_unused_pieces_are_refused(tmp_path):
    proto = piece_model.import_protobuf().ModelProto.FromString(pieces.stored_model())
    proto.pieces.add(piece="ab", score=-900.0, type=5)
    folder = pieces.write(tmp_path, proto.SerializeToString())
    with pytest.raises(NotAvailableError, match="some of its pieces are marked as unused"):
        piece_model.load(folder)


def test_a_piece_with_a_letter_that_is_no_piece_is_never_made(tmp_path):
    proto = piece_model.import_protobuf().ModelProto.FromString(pieces.stored_model())
    proto.pieces.add(piece="жa", score=900.0, type=1)
    tokenizer = piece_model.load(pieces.write(tmp_path, proto.SerializeToString()))
    assert tokenizer.convert_ids_to_tokens(ids(tokenizer, "жa")) == ["<0xD0>", "<0xB6>", "a"]


def test_damaged_files_are_named(tmp_path):
    folder = pieces.write(tmp_path, pieces.stored_model()[:1000])
    with pytest.raises(InputError, match=r"tokenizer\.model is damaged"):
        piece_model.load(folder)
    (folder / "tokenizer.model").write_bytes(b"")
    with pytest.raises(InputError, match=r"is damaged: it holds no pieces"):
        piece_model.load(folder)
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer_config\.json cannot be read"):
        piece_model.load(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match=r"tokenizer_config\.json holds no settings"):
        piece_model.load(folder)


def test_tokens_with_other_ids_are_refused(tmp_path):
    entries = {"900": pieces.special("<extra>")}
    folder = pieces.write(tmp_path, added_tokens_decoder=entries)
    with pytest.raises(InputError, match=r"gives <extra> the id 900, but it would be 560 behind"):
        piece_model.load(folder)
