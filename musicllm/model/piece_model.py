"""InternLM2's tokenizer from its SentencePiece file, without the code that comes with it.

Its repositories have `tokenizer.model` and `tokenizer_config.json`, but no `tokenizer.json`. From
these two the fast tokenizer is built here that gives the ids of SentencePiece: byte pairs merged by
score, unknown characters as bytes, user-defined pieces whole. Special tokens are those of
`tokenizer_config.json`; as in the published classes they take the place of the pieces that have
their ids (`<|im_end|>` that of `[UNUSED_TOKEN_145]`), and a text is divided at them first.

What a file may say beyond that, such as other normalisation, is refused and not approximated. In
two cases SentencePiece itself gives other ids than the published fast class, and the ids here are
those of the latter, which transformers prefers: a piece with a letter that is no piece of its own
is never made, and of pieces with equal scores the first one is merged first.

Sources: SentencePiece, arXiv 1808.06226, and its sentencepiece_model.proto; the tokenizer classes
published with internlm2-chat-7b (tokenization_internlm2.py and tokenization_internlm2_fast.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import import_protobuf
from transformers.utils.hub import cached_file

from musicllm.errors import InputError, NotAvailableError

FILE = "tokenizer.model"
SETTINGS = "tokenizer_config.json"
CLASSES = ("InternLM2Tokenizer", "InternLM2TokenizerFast")
"""Names in `tokenizer_class`."""

BLANK = "\u2581"
"""How SentencePiece writes a space."""

BPE = 2
NORMAL, USER_DEFINED, UNUSED = 1, 4, 5
"""Values of enumerations in sentencepiece_model.proto."""

NAMED = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
"""Special tokens of the published classes, where `tokenizer_config.json` names no others."""

PASSED_ON = ("chat_template", "model_max_length", "additional_special_tokens")
"""Further settings that mean the same to transformers."""


def folder_of(path: str | Path, revision: str | None) -> Path | None:
    """Return the folder of InternLM2's published tokenizer files, or None for another tokenizer.

    Args:
        path: a folder, or a hub id, of which the two files are downloaded.
        revision: of a hub repository.
    """
    if Path(path).is_dir():
        return Path(path) if _is_internlm2(Path(path)) else None
    try:
        settings = cached_file(str(path), SETTINGS, revision=revision)
        if not _names_internlm2(Path(settings).parent):
            return None
        return Path(cached_file(str(path), FILE, revision=revision)).parent
    except OSError:  # whoever loads the tokenizer says what is missing
        return None


def _is_internlm2(folder: Path) -> bool:
    has_both = (folder / FILE).is_file() and (folder / SETTINGS).is_file()
    return has_both and _names_internlm2(folder)


def _names_internlm2(folder: Path) -> bool:
    return _settings(folder).get("tokenizer_class") in CLASSES


def load(folder: Path) -> PreTrainedTokenizerFast:
    """Build the tokenizer of a folder.

    Cost: 4 s for 92,544 pieces.

    Raises:
        InputError: a file is damaged, or the two do not fit each other.
        NotAvailableError: the file asks for something that is not supported here.
    """
    settings = _settings(folder)
    proto = _read(folder / FILE)
    _refuse_unsupported(folder / FILE, proto)
    named = {name: _content(settings.get(name) or token) for name, token in NAMED.items()}
    added = _added(settings)
    core = _core(proto, {token_id: token.content for token_id, token in added.items()})
    missing = [AddedToken(token, special=True, normalized=False) for token in named.values()]
    taken = {token.content for token in added.values()}
    core.add_tokens([*added.values(), *(token for token in missing if token.content not in taken)])
    for token_id, token in added.items():
        if core.token_to_id(token.content) != token_id:
            raise InputError(
                f"{folder / SETTINGS} gives {token.content} the id {token_id}, but it would be "
                f"{core.token_to_id(token.content)} behind the pieces of {FILE}; the two files are "
                f"not of one tokenizer"
            )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        add_bos_token=settings.get("add_bos_token", True),
        add_eos_token=settings.get("add_eos_token", False),
        clean_up_tokenization_spaces=False,
        padding_side="left",
        name_or_path=str(folder),
        **named,
        **{key: settings[key] for key in PASSED_ON if settings.get(key) is not None},
    )


def _read(path: Path) -> Any:
    """Return the content of a SentencePiece file."""
    proto = import_protobuf().ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except Exception as error:  # noqa: BLE001 - protobuf's class depends on its implementation
        raise InputError(f"{path} is damaged: {error}; copy it again") from None
    if not proto.pieces:
        raise InputError(f"{path} is damaged: it holds no pieces; copy it again")
    return proto


def _core(proto: Any, renamed: Mapping[int, str]) -> Tokenizer:
    """Return the byte-pair model with its user-defined pieces.

    Args:
        proto: content of a SentencePiece file.
        renamed: id -> the special token that takes the place of its piece.
    """
    names = {index: renamed.get(index) or _name(piece) for index, piece in enumerate(proto.pieces)}
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    core = Tokenizer(
        models.BPE(
            vocab={name: index for index, name in names.items()},
            merges=list(_merges(proto, renamed)),
            unk_token=names[trainer.unk_id],
            fuse_unk=True,
            byte_fallback=trainer.byte_fallback,
        )
    )
    steps: list[Any] = [normalizers.Replace(" ", BLANK)]
    back: list[Any] = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    if normalizer.add_dummy_prefix:
        steps = [normalizers.Prepend(BLANK), *steps]
        back.append(decoders.Strip(" ", left=1))
    core.normalizer = normalizers.Sequence(steps)
    core.decoder = decoders.Sequence(back)
    core.add_tokens(
        [
            AddedToken(names[index], normalized=False, special=False)
            for index, piece in enumerate(proto.pieces)
            if piece.type == USER_DEFINED and index not in renamed
        ]
    )
    return core


def _merges(proto: Any, renamed: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Yield all pairs of pieces that make a piece: the piece of the highest score first.

    SentencePiece merges any two neighbours that are a piece together. Of pieces with one score, and
    of pairs that make one piece, those with lower ids come first.
    """
    plain = {
        piece.piece: (-piece.score, index)
        for index, piece in enumerate(proto.pieces)
        if piece.type == NORMAL and index not in renamed
    }
    for name in sorted(plain, key=plain.__getitem__):
        pairs = ((name[:cut], name[cut:]) for cut in range(1, len(name)))
        known = [pair for pair in pairs if pair[0] in plain and pair[1] in plain]
        yield from sorted(known, key=lambda pair: (plain[pair[0]][1], plain[pair[1]][1]))


def _name(piece: Any) -> str:
    """Return the token of a piece: user-defined ones are compared with the text as it is typed."""
    name: str = piece.piece
    return name.replace(BLANK, " ") if piece.type == USER_DEFINED else name


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings of a tokenizer")
    return content


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _added(settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    """Return the added tokens of `tokenizer_config.json` by their ids, in this order."""
    entries = settings.get("added_tokens_decoder", {})
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {
        token_id: AddedToken(entry["content"], **{flag: entry.get(flag, False) for flag in flags})
        for token_id, entry in sorted((int(key), value) for key, value in entries.items())
    }


def _refuse_unsupported(path: Path, proto: Any) -> None:
    """Reject files whose ids would not be those of SentencePiece."""
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    is_defined = any(piece.type == USER_DEFINED for piece in proto.pieces)
    reasons = {
        "its pieces are no byte pairs": trainer.model_type != BPE,
        "it normalises texts": bool(normalizer.precompiled_charsmap),
        "it removes spaces": normalizer.remove_extra_whitespaces,
        "it does not write spaces as pieces do": not normalizer.escape_whitespaces,
        "spaces end its pieces": trainer.treat_whitespace_as_suffix,
        "some of its pieces are marked as unused": any(p.type == UNUSED for p in proto.pieces),
        "it begins texts with a space and has user-defined pieces": (
            normalizer.add_dummy_prefix and is_defined
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            raise NotAvailableError(
                f"the tokenizer {path} cannot be read here without foreign code: {reason}; save it "
                f"as tokenizer.json with the program that made it, and place that beside it"
            )
