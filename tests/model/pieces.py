"""A small tokenizer in InternLM2's published files, and what SentencePiece makes of texts with it.

`pieces.json` has its pieces, some texts and their ids by SentencePiece, so that the tests need it
not. `python -m tests.model.pieces` writes it again, with the package sentencepiece.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from transformers.convert_slow_tokenizer import import_protobuf

from tests.helpers import make_tune

STORED = Path(__file__).with_suffix(".json")

CHINESE = (
    "浦语灵笔是一个由上海人工智能实验室开发的大语言模型，会说中文和英文。"
    "音乐是时间的艺术：旋律、和声与节奏。请写一首六八拍的吉格舞曲，D大调。"
)
ENGLISH = "The quick brown fox    jumps over the lazy dog.  It's  1234 5678!"
INDENTED = "    indented\n        more\n\t tab"

UNUSED = [f"[UNUSED_TOKEN_{number}]" for number in range(4)]
"""User-defined pieces, as InternLM2 has them."""

PARTS = (
    *(" ", "  ", "\n", "\n\n", "\t", "    ", "a", "The", "fox", " the", "dog.", "aa", "1234"),
    *("中", "浦语", "旋律", "。", "，", "音乐是", "é", "🎵", "e\u0301", "\u3000", "\0", "ж", "אב"),
    *("|:", "(3abc", "^F,", "X:1\n", "M:6/8", "K:D", "<0x0A>", "<z>", "▁", "[UNUSED", "]"),
    *(UNUSED[2], UNUSED[3]),
)
"""Parts of texts."""


def train(**options: Any) -> bytes:
    """Train a SentencePiece file like InternLM2's: byte pairs, and spaces as they are."""
    import sentencepiece

    file = BytesIO()
    texts = [*map(make_tune, range(40)), *[CHINESE, ENGLISH, INDENTED] * 4]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=file,
        model_type="bpe",
        hard_vocab_limit=False,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        max_sentence_length=100_000,
        minloglevel=2,
        num_threads=1,
        **{
            "vocab_size": 560,
            "add_dummy_prefix": False,
            "user_defined_symbols": UNUSED,
            **options,
        },
    )
    return file.getvalue()


def texts(number: int, seed: int = 0) -> list[str]:
    """Return random texts of `PARTS`."""
    draw = random.Random(seed)
    return ["".join(draw.choices(PARTS, k=draw.randint(0, 20))) for _ in range(number)]


def write(folder: Path, model: bytes | None = None, **settings: Any) -> Path:
    """Write the published files: a SentencePiece file, or the stored one, and the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model or stored_model())
    content = {
        "tokenizer_class": "InternLM2Tokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "</s>",
        "unk_token": "<unk>",
        "sp_model_kwargs": None,
        **settings,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def special(content: str) -> dict[str, Any]:
    """Return an entry of `added_tokens_decoder`."""
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": content, "special": True, **flags}


def stored_model(**changes: Any) -> bytes:
    """Return the SentencePiece file of `pieces.json`.

    Args:
        changes: values of its `normalizer_spec` and `trainer_spec`.
    """
    proto = import_protobuf().ModelProto()
    for piece, score, kind in json.loads(STORED.read_text(encoding="utf-8"))["pieces"]:
        proto.pieces.add(piece=piece, score=score, type=kind)
    proto.trainer_spec.model_type = 2
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.add_dummy_prefix = False
    proto.normalizer_spec.remove_extra_whitespaces = False
    for name, value in changes.items():
        specs = (proto.normalizer_spec, proto.trainer_spec)
        spec = next(spec for spec in specs if name in spec.DESCRIPTOR.fields_by_name)
        setattr(spec, name, value)
    content: bytes = proto.SerializeToString()
    return content


def stored_ids() -> list[tuple[str, list[int]]]:
    """Return texts and their ids by SentencePiece."""
    return list(map(tuple, json.loads(STORED.read_text(encoding="utf-8"))["ids"]))


def by_sentencepiece(model: bytes, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of texts by the package sentencepiece."""
    import sentencepiece

    return list(sentencepiece.SentencePieceProcessor(model_proto=model).encode(list(texts)))


def main() -> None:
    """Write `pieces.json`."""
    model = train()
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(model)
    chosen = [CHINESE, ENGLISH, INDENTED, make_tune(99), *texts(60, seed=1)]
    content = {
        "pieces": [[piece.piece, piece.score, piece.type] for piece in proto.pieces],
        "ids": list(zip(chosen, by_sentencepiece(model, chosen), strict=True)),
    }
    lines = (
        f'"{key}": [\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"
        for key, rows in content.items()
    )
    STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
