"""Tokenizers with further tokens: made from one of a base model, and recognised as such.

Old tokens keep their ids, new ones follow the highest. Tokens chosen by gain are merges behind the
old ones (see `gain`): the encoding of any text, every new token replaced by its pieces, is the old
one. Tokens that a user names become added tokens of tokenizers, which stand for their text wherever
it occurs; texts without them are encoded as before. Either way decoding gives the text back as the
old tokenizer does; `extended` proves that on probes, on the reloaded tokenizer, or refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer

from musicllm.data.gain import Merge, other_kind
from musicllm.errors import InputError, StageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pieces = Mapping[int, Sequence[int]]
"""Id of a new token -> ids of the old tokens that it stands for."""

TOKENIZER_FILE = "tokenizer.json"
WORDS = "The tune ends, and there it is: (A2 B>c|d4)\n\t K:Dmix ein Stück für 2 Flöten 音楽 🎻"
"""What is encoded as before beside texts of the corpus."""


def read_tokens(path: Path) -> tuple[str, ...]:
    """Read tokens from a file: a JSON list, or as text one a line, with blanks around it.

    Raises:
        InputError: it is missing, is no list of texts, or holds nothing.
    """
    path = path.expanduser()
    try:
        content = path.read_text(encoding="utf-8")
        tokens = json.loads(content) if path.suffix == ".json" else content.split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"data.new_tokens={path} cannot be read: {error}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise InputError(f"data.new_tokens={path} is no JSON list of texts")
    if not (tokens := [token for token in tokens if token]):
        raise InputError(f"data.new_tokens={path} has no tokens; write one a line")
    return tuple(tokens)


def with_merges(
    tokenizer: PreTrainedTokenizerBase, merges: Sequence[Merge], texts: Sequence[str]
) -> PreTrainedTokenizerBase:
    """Return a tokenizer with one more token for each merge.

    Args:
        tokenizer: a byte-pair one; not changed.
        merges: of `gain.choose_merges`.
        texts: on which the result is compared with the old one.

    Raises:
        StageError: transformers loads another tokenizer than was written.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content["model"]
    # the ids of added tokens that the model lacks would be counted from the end of its vocabulary
    model["vocab"] |= {token["content"]: token["id"] for token in content["added_tokens"]}
    first = max(model["vocab"].values()) + 1
    model["vocab"] |= {"".join(merge): first + i for i, merge in enumerate(merges)}
    model["merges"] += [list(merge) for merge in merges]
    return _reloaded(tokenizer, content, texts)


def with_tokens(
    tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str], texts: Sequence[str]
) -> PreTrainedTokenizerBase:
    """Return a tokenizer with tokens that a user names.

    Args:
        tokenizer: of any kind; not changed.
        tokens: their texts, none of which is one old token.
        texts: on which the result is compared with the old one.

    Raises:
        InputError: a token holds a special one, cannot be decoded, or is one beside which the
            tokenizer puts blanks.
        StageError: transformers loads another tokenizer than was written.
    """
    special = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
    if odd := [token for token in tokens if any(mark in token for mark in special)]:
        raise InputError(
            f"data.new_tokens: {odd[0]!r} holds a special token of {tokenizer.name_or_path}; leave "
            "it out"
        )
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.add_tokens([AddedToken(token, normalized=False, special=False) for token in tokens])
    old = tokenizer.backend_tokenizer
    for token in tokens:
        for text in (token, f"a{token}b", f"a {token} b\n", token * 2):
            decoded = _decoded(core, text)
            if decoded not in (text, _decoded(old, text)):
                fix = "leave it out"
                if other_kind(core) is None:
                    fix += ", or let tokens be chosen by gain: data.new_tokens=null "
                    fix += "data.num_new_tokens=<number>"
                raise InputError(
                    f"{token!r} cannot be a token of {tokenizer.name_or_path}: {text!r} would be "
                    f"decoded as {decoded!r}; {fix}"
                )
    return _reloaded(tokenizer, json.loads(core.to_str()), texts)


def split_known(
    tokenizer: PreTrainedTokenizerBase, tokens: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Return those texts that are no token yet, and those that are one."""
    old = _without_prefix(tokenizer.backend_tokenizer)
    new: list[str] = []
    known: list[str] = []
    for token in dict.fromkeys(tokens):
        is_known = token in old.get_vocab() or len(_ids(old, token)) == 1
        (known if is_known else new).append(token)
    return new, known


def replaced_pieces(old: Tokenizer, new: Tokenizer) -> Pieces | None:
    """Return what the new tokens of an extension stand for; None if it is no extension.

    Args:
        old: the tokenizer of a model.
        new: that of a corpus; equal to `old` but for tokens behind its last one, and their merges.

    Returns:
        Empty when both are equal.
    """
    before, after = json.loads(old.to_str()), json.loads(new.to_str())
    old_ids, new_ids = old.get_vocab(), new.get_vocab()
    if any(new_ids.get(token) != id_ for token, id_ in old_ids.items()):
        return None
    ids = {id_: token for token, id_ in new_ids.items() if token not in old_ids}
    if _without(before, frozenset(), before) != _without(after, frozenset(ids.values()), before):
        return None
    if ids and min(ids) <= max(old_ids.values()):
        return None
    plain, added = _without_prefix(old), new.get_added_tokens_decoder()
    return {
        id_: _ids(plain, token)
        if id_ in added
        else [piece.id for piece in old.model.tokenize(token)]
        for id_, token in sorted(ids.items())
    }


def _reloaded(
    tokenizer: PreTrainedTokenizerBase, content: Any, texts: Sequence[str]
) -> PreTrainedTokenizerBase:
    """Return the tokenizer with another core, as transformers reads it, after comparing both."""
    from transformers import AutoTokenizer

    with TemporaryDirectory() as name:
        tokenizer.save_pretrained(name)
        file = Path(name) / TOKENIZER_FILE
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        made = AutoTokenizer.from_pretrained(name)
    made.name_or_path = tokenizer.name_or_path
    old, new = tokenizer.backend_tokenizer, made.backend_tokenizer
    pieces = replaced_pieces(old, new)
    kept = ("special_tokens_map", "chat_template", "model_max_length")
    if not pieces or any(getattr(made, name) != getattr(tokenizer, name) for name in kept):
        raise StageError(
            f"the tokenizer {tokenizer.name_or_path} changes when transformers saves and loads it "
            "with further tokens, so it cannot be extended; use data.tokenizer=model"
        )
    decoder = new.get_added_tokens_decoder()
    added = [token.content for id_, token in decoder.items() if id_ in pieces]
    for text in (*texts, WORDS):
        before, after = _ids(old, text), _ids(new, text)
        is_same = (
            any(token in text for token in added)
            or [piece for id_ in after for piece in pieces.get(id_, (id_,))] == before
        )
        if not is_same or new.decode(after) != old.decode(before):
            raise StageError(
                f"the tokenizer {tokenizer.name_or_path} divides {text[:60]!r} otherwise when "
                "further tokens are there, so it cannot be extended; use data.tokenizer=model"
            )
    return made


def _without(content: Any, new: frozenset[str], old: Any) -> Any:
    """Return what both tokenizers must have in common.

    Args:
        content: of one of them.
        new: its tokens that the other lacks.
        old: content of the other; merges behind its last one do not count.
    """
    model = dict(content["model"])
    model.pop("vocab")
    merges = model.pop("merges", None)
    num_old = len(old["model"].get("merges", ()))
    if merges is not None:
        model["merges"] = [merge if isinstance(merge, str) else tuple(merge) for merge in merges]
        rest = model["merges"][num_old:]
        model["merges"][num_old:] = [m for m in rest if "".join(m) not in new]
    added = [token for token in content["added_tokens"] if token["content"] not in new]
    return content | {"model": model, "added_tokens": added, "padding": None, "truncation": None}


def _without_prefix(core: Tokenizer) -> Tokenizer:
    """Return a copy that divides a text as in the middle of one, without a blank before it."""
    return Tokenizer.from_str(json.dumps(_free(json.loads(core.to_str()))))


def _free(value: Any) -> Any:
    if isinstance(value, list):
        return [_free(item) for item in value if not _prepends(item)]
    if not isinstance(value, dict):
        return value
    if _prepends(value):
        return None
    value = {key: inner if key == "vocab" else _free(inner) for key, inner in value.items()}
    if value.get("type") == "Metaspace" and "prepend_scheme" in value:
        value["prepend_scheme"] = "never"
    if value.get("type") == "ByteLevel" and "trim_offsets" in value:
        value["add_prefix_space"] = False
    return value


def _prepends(step: Any) -> bool:
    return isinstance(step, dict) and step.get("type") == "Prepend"


def _ids(core: Tokenizer, text: str) -> list[int]:
    ids: list[int] = core.encode(text, add_special_tokens=False).ids
    return ids


def _decoded(core: Tokenizer, text: str) -> str:
    return str(core.decode(_ids(core, text), skip_special_tokens=False))
