"""What stands at the beginning of a GGUF file: architecture, context, vocabulary, chat template.

Only the key-value pairs are read, as the specification of the format lays them out
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md); `gguf.GGUFReader` makes an array of
every string and needs seconds to minutes for a large vocabulary. Tensors are not looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from musicllm.errors import InputError

SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?",
            10: "<Q", 11: "<q", 12: "<d"}  # fmt: skip
"""Type of a value -> its form for `struct`."""
_STRING, _ARRAY = 8, 9

_CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens that are never made of a text's own characters."""

MAX_CHARS = 1 << 26
"""A longer string or array is damage, not content."""


@dataclass(frozen=True)
class GgufFile:
    """The key-value pairs of a GGUF file.

    Attributes:
        path: of the file.
        values: by their full keys, such as `general.architecture`.
    """

    path: Path
    values: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        """Such as `llama`."""
        return str(self.values["general.architecture"])

    @property
    def context(self) -> int | None:
        """Tokens of the longest text that the model was trained for."""
        return self.values.get(f"{self.architecture}.context_length")

    @property
    def bytes_per_token(self) -> int:
        """Memory of the keys and values of one token in half precision (bytes)."""
        num_layers, width, heads = (
            self._number(key) for key in ("block_count", "embedding_length", "attention.head_count")
        )
        head = width // heads if heads else 0
        sizes = (self._number(f"attention.{part}_length") or head for part in ("key", "value"))
        return 2 * num_layers * (self._number("attention.head_count_kv") or heads) * sum(sizes)

    def _number(self, key: str) -> int:
        """Return a number of the architecture; the largest where each layer has its own."""
        value = self.values.get(f"{self.architecture}.{key}", 0)
        return max(value) if isinstance(value, list) else int(value)

    @property
    def template(self) -> str | None:
        """The chat template; None for a model that does not chat."""
        return self.values.get("tokenizer.chat_template")

    @property
    def adds_blank(self) -> bool:
        """Whether the tokenizer writes a blank before every text, as SentencePiece does."""
        is_sentence_piece = self.values.get("tokenizer.ggml.model") == "llama"
        return is_sentence_piece and bool(self.values.get("tokenizer.ggml.add_space_prefix", True))

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Tokens that are no text, such as `<|im_end|>`."""
        tokens = self.values["tokenizer.ggml.tokens"]
        types = self.values.get("tokenizer.ggml.token_type", [])
        return tuple(
            token
            for token, kind in zip(tokens, types, strict=False)
            if kind in (_CONTROL, _USER_DEFINED)
        )

    def id_of(self, role: str) -> int | None:
        """Return the id of a token such as `bos` or `eos`; None if the file names none."""
        return self.values.get(f"tokenizer.ggml.{role}_token_id")

    def token_of(self, role: str) -> str | None:
        """Return a token such as `bos` or `eos`; None if the file names none."""
        number = self.id_of(role)
        return None if number is None else str(self.values["tokenizer.ggml.tokens"][number])


def find(path: Path) -> Path:
    """Return a GGUF file: the path itself, or the only one in a folder.

    Raises:
        InputError: a folder has none or several.
    """
    if not path.is_dir():
        return path
    files = sorted(path.glob(f"*{SUFFIX}"))
    if len(files) == 1:
        return files[0]
    if not files:
        raise InputError(f"{path} holds no {SUFFIX} file")
    names = ", ".join(file.name for file in files)
    raise InputError(f"{path} holds {len(files)} {SUFFIX} files ({names}); name one of them")


def read(path: Path) -> GgufFile:
    """Read the key-value pairs of a file. Time is linear in its vocabulary, not in its weights.

    Raises:
        InputError: the file is missing, is no GGUF file, ends too early, or lacks what a model has.
    """
    try:
        with path.open("rb") as file:
            values = _values(path, file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (struct.error, EOFError):
        raise InputError(
            f"{path} is damaged: its beginning cannot be read; copy it again"
        ) from None
    for key in ("general.architecture", "tokenizer.ggml.tokens"):
        if key not in values:
            raise InputError(f"{path} has no {key}, so it is no language model that can write")
    return GgufFile(path, values)


def _values(path: Path, file: BinaryIO) -> dict[str, Any]:
    magic = file.read(4)
    if magic != MAGIC:
        raise InputError(
            f"{path} is no GGUF file: it begins with {magic!r} instead of {MAGIC!r}; "
            f"recipe=export export.format=gguf makes one of a model"
        )
    version = _number(file, "<I")
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise InputError(f"{path} is of version {version} of the format, and {known} can be read")
    _number(file, "<Q")  # tensors
    return dict(_pair(file) for _ in range(_length(file)))


def _pair(file: BinaryIO) -> tuple[str, Any]:
    key = _string(file)
    return key, _value(file, _number(file, "<I"))


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        kind, length = _number(file, "<I"), _length(file)
        if kind in _NUMBERS:
            return _numbers(file, _NUMBERS[kind], length)
        return [_value(file, kind) for _ in range(length)]
    if kind not in _NUMBERS:
        raise EOFError
    return _number(file, _NUMBERS[kind])


def _numbers(file: BinaryIO, form: str, count: int) -> list[Any]:
    row = struct.Struct(f"<{count}{form[1]}")
    return list(row.unpack(file.read(row.size)))


def _number(file: BinaryIO, form: str) -> Any:
    return _numbers(file, form, 1)[0]


def _string(file: BinaryIO) -> str:
    length = _length(file)
    content = file.read(length)
    if len(content) < length:
        raise EOFError
    return content.decode("utf-8", "surrogateescape")


def _length(file: BinaryIO) -> int:
    length: int = _number(file, "<Q")
    if length > MAX_CHARS:
        raise EOFError
    return length
