"""The merged folder: as transformers' class has the model, or in the layout of the base's files.

The two differ only for models that were published with a layout of their own (`checkpoint`), which
other programs of that family read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.errors import ConfigError, Problem
from musicllm.model import internlm2, piece_model, published

Layout: TypeAlias = Literal["transformers", "source"]

COPIED = ("*.py", piece_model.FILE, piece_model.SETTINGS, "special_tokens_map.json")
"""Files of a base with its own layout that go with its weights and its tokenizer."""

IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


class Sink(Protocol):
    """Takes the tensors of a model under the names of its class."""

    def add(self, name: str, tensor: Tensor) -> None:
        """Take a tensor."""

    def close(self) -> None:
        """Make sure that none is still to come."""


class _Direct:
    """Passes tensors on as they are."""

    def __init__(self, write: Callable[[str, Tensor], None]) -> None:
        self.add = write

    def close(self) -> None:
        """Nothing waits."""


def sink(source: Path, layout: Layout, write: Callable[[str, Tensor], None]) -> Sink:
    """Return what the tensors of the result are given to.

    Args:
        source: folder of the base.
        layout: of the result.
        write: receives names and tensors as they stand in the files.

    Raises:
        ConfigError: the base's layout has parts that are not merged.
    """
    config = published.read(source)
    if layout == "source" and _is_internlm2(config):
        return internlm2.Restacker(config, write)
    if layout == "source" and "text_config" in config:
        rule = (
            f"cannot be: {source} is a multimodal model, of which only the text decoder is merged"
        )
        raise ConfigError([Problem("merge.layout", layout, rule, "write transformers")])
    return _Direct(write)


def save_settings(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: Path,
    folder: Path,
    layout: Layout,
) -> None:
    """Write configuration, generation settings, tokenizer and chat template.

    In the base's own layout config.json is the base's but for the vocabulary, the dtype and the
    special tokens; its code, which other programs run, is copied, and so are the files of its
    tokenizer while that has the same tokens.
    """
    model.generation_config.save_pretrained(folder)
    content = published.read(source)
    if layout == "transformers" or not _is_internlm2(content):
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return
    dtype = "dtype" if "dtype" in content else "torch_dtype"
    content |= {key: getattr(model.config, key) for key in ("vocab_size", *IDS)}
    content |= {dtype: str(model.config.dtype).removeprefix("torch.")}
    _write(folder / "config.json", content)
    is_same = piece_model.folder_of(source, None) is not None and _core(
        piece_model.load(source)
    ) == _core(tokenizer)
    if not is_same:
        tokenizer.save_pretrained(folder)
    for pattern in COPIED if is_same else COPIED[:1]:
        for file in source.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    if is_same:
        settings = json.loads((source / piece_model.SETTINGS).read_text(encoding="utf-8"))
        _write(folder / piece_model.SETTINGS, settings | {"chat_template": tokenizer.chat_template})


def _is_internlm2(config: dict[str, Any]) -> bool:
    return bool(config["model_type"] == internlm2.MODEL_TYPE)


def _core(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return what a tokenizer does, without the state of earlier calls."""
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return content | {"padding": None, "truncation": None, "post_processor": None}


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
