"""The fixtures of `tests.character_model`."""

from tests.character_model import model, tokenizer

__all__ = ["model", "tokenizer"]
