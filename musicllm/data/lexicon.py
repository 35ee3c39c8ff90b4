"""What a tokenizer is made of, read from its folder without transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, pre_tokenizers

from musicllm.data.bytepairs import BytePairs, Ids, plain
from musicllm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Lexicon:
    """A tokenizer's core, its named tokens and its chat template.

    Attributes:
        name: folder or hub id, for messages.
        core: encodes and decodes.
        named_tokens: such as `bos_token` -> `<s>`.
        template: Jinja source of its chat template, or None.
    """

    name: str
    core: Tokenizer
    named_tokens: Mapping[str, str]
    template: str | None

    @classmethod
    def read(cls, folder: Path) -> Lexicon:
        """Read what `save_pretrained` of transformers 5 wrote.

        Raises:
            InputError: a file is missing.
        """
        files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json")]
        if missing := [file.name for file in files if not file.is_file()]:
            raise InputError(f"{folder} has no {' and no '.join(missing)}; save a tokenizer there")
        core = Tokenizer.from_file(str(files[0]))
        settings = json.loads(files[1].read_text(encoding="utf-8"))
        named_tokens = {
            name: value if isinstance(value, str) else value["content"]
            for name, value in settings.items()
            if name.endswith("_token") and isinstance(value, str | dict)
        }
        template = folder / "chat_template.jinja"
        return cls(
            str(folder),
            core,
            named_tokens,
            template.read_text(encoding="utf-8") if template.is_file() else None,
        )

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Lexicon:
        """Take a loaded tokenizer apart.

        Raises:
            InputError: it has no tokenizer.json.
        """
        if not tokenizer.is_fast:
            raise InputError(
                f"the tokenizer {tokenizer.name_or_path} lacks a tokenizer.json; choose another one"
            )
        template = tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        tokens = tokenizer.special_tokens_map.items()
        named = {name: str(token) for name, token in tokens if name.endswith("_token")}
        return cls(tokenizer.name_or_path, tokenizer.backend_tokenizer, named, template)

    def __post_init__(self) -> None:
        """Switch off what other uses of the core, or its file, may have set."""
        self.core.no_truncation()
        self.core.no_padding()

    @cached_property
    def special_tokens(self) -> tuple[str, ...]:
        """Every token that a text must not spell out; sorted."""
        added = self.core.get_added_tokens_decoder().values()
        marked = {token.content for token in added if token.special}
        return tuple(sorted(marked | set(self.named_tokens.values())))

    @cached_property
    def special_ids(self) -> frozenset[int | None]:
        """Their ids."""
        return frozenset(map(self.core.token_to_id, self.special_tokens))

    @cached_property
    def adds_blank(self) -> bool:
        """Whether every text begins with a blank of the tokenizer's own, as in SentencePiece."""
        normalizer, splitter = self.core.normalizer, self.core.pre_tokenizer
        text = normalizer.normalize_str("a") if normalizer else "a"
        pieces = splitter.pre_tokenize_str(text) if splitter else [(text, (0, 1))]
        return len(pieces[0][0]) > 1

    @cached_property
    def blank_goes_before(self) -> str | None:
        """Before which stretches of a text, that special tokens divide, a blank goes by itself.

        `first`, `always` or `never`, where it is the pre-tokenizer that puts it there, as in
        tokenizers of transformers 5: before a stretch that begins with a blank it puts none. None
        where another step does.
        """
        splitter = self.core.pre_tokenizer
        return splitter.prepend_scheme if isinstance(splitter, pre_tokenizers.Metaspace) else None

    def id_of(self, name: str) -> int | None:
        """Return the id of a named token, such as `bos_token`, or None when there is none."""
        token = self.named_tokens.get(name)
        return None if token is None else self.core.token_to_id(token)

    def encode(self, texts: Sequence[str]) -> Iterator[Ids]:
        """Yield the tokens of texts; special tokens that they spell out, but no further ones."""
        yield from self._quick.encode(texts) if self._quick else plain(self.core, texts)

    @cached_property
    def _quick(self) -> BytePairs | None:
        return BytePairs.of(self.core)
