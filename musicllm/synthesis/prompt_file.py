"""Prompts as Jinja files: what the teacher is told, and what it is told when its answer was bad.

A file has up to four blocks: `system`, `user`, `again` and, for the kind `prompt`, `record`. A file
without blocks is what the user says. In every block the item's variables are there; in `again` also
`answer`, `reason` and `detail` of what was rejected. Where there is no block `again`, the same
question is asked again with other random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from musicllm.artifacts import fingerprint
from musicllm.data.records import Message
from musicllm.errors import InputError
from musicllm.synthesis.kind import Rejected

BLOCKS = ("system", "user", "again", "record")

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_ENVIRONMENT.policies["json.dumps_kwargs"] = {"ensure_ascii": False}


class PromptFile:
    """A compiled prompt.

    Args:
        path: of the file.

    Attributes:
        version: fingerprint of its text, which the provenance of records names.

    Raises:
        InputError: it cannot be read, is no Jinja, or has unknown blocks or none that asks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            source = path.read_text(encoding="utf-8")
            self._template = _ENVIRONMENT.from_string(source)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"synthesis.prompt={path} cannot be read: {error}") from None
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"{path}:{error.lineno} is no Jinja: {error.message}") from None
        blocks = self._template.blocks
        if unknown := sorted(blocks.keys() - set(BLOCKS)):
            raise InputError(
                f"{path} has a block {unknown[0]}, which nothing reads; blocks are "
                f"{', '.join(BLOCKS)}"
            )
        if blocks and "user" not in blocks:
            raise InputError(f"{path} has no block user, which says what the teacher is to do")
        self.version = fingerprint(source)

    def has(self, block: str) -> bool:
        """Return whether the file has a block."""
        return block in self._template.blocks

    def messages(self, variables: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the conversation that asks about an item.

        Raises:
            InputError: the prompt uses a variable that the item does not have, or says nothing.
        """
        question = self.text("user", variables).strip()
        if not question:
            raise InputError(f"{self.path}: the user says nothing; write what is to be done")
        system = self.text("system", variables).strip() if self.has("system") else ""
        messages: list[Message] = [{"role": "system", "content": system}] if system else []
        return (*messages, {"role": "user", "content": question})

    def again(
        self,
        messages: Sequence[Message],
        variables: Mapping[str, Any],
        answer: str,
        rejected: Rejected,
    ) -> tuple[Message, ...]:
        """Return the conversation that asks again after an answer that did not fit.

        Args:
            messages: with which the item was asked about first.
            variables: of the item.
            answer: that was rejected.
            rejected: why.
        """
        if not self.has("again"):
            return tuple(messages)
        extra = {"answer": answer, "reason": rejected.reason, "detail": rejected.detail}
        text = self.text("again", {**variables, **extra}).strip()
        return (
            *messages,
            {"role": "assistant", "content": answer},
            {"role": "user", "content": text},
        )

    def text(self, block: str, variables: Mapping[str, Any]) -> str:
        """Return a block in full, or the whole file where it has no blocks.

        Raises:
            InputError: the block uses what is not there, or fails.
        """
        try:
            if not self._template.blocks:
                return self._template.render(variables)
            context = self._template.new_context(dict(variables))
            return "".join(self._template.blocks[block](context))
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise InputError(f"{self.path}, block {block}: {error}") from None
