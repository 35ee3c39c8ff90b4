"""The constraint of `constraint` for `generate` of transformers, as a processor of logits."""

from __future__ import annotations

from torch import LongTensor, Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.inference.decoding.constraint import Constraint, Progress, Vocabulary
from musicllm.music.grammar import TuneRules


class GrammarLogitsProcessor(LogitsProcessor):  # type: ignore[misc]
    """Leaves the logits of allowed tokens as they are, and sets all others to -inf.

    Every call looks up all tokens that are allowed, which takes longer than our own loop, where
    tokens are tried in the order in which they would be drawn.

    Args:
        tokenizer: of the model.
        rules: of the tunes.
        prompt_length: tokens of the prompts, with their padding; what follows is constrained.
        max_new_tokens: as `generate` has it; tunes end before.

    Raises:
        InputError: the vocabulary cannot spell a note, or the budget is too small.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rules: TuneRules,
        *,
        prompt_length: int,
        max_new_tokens: int,
    ) -> None:
        encoder = Encoder(tokenizer)
        self._constraint = Constraint.of(Vocabulary.of(encoder), rules, max_new_tokens)
        self._constraint.begin()
        self._end_ids = frozenset(encoder.end_ids)
        self._prompt_length = prompt_length
        self._progress: dict[tuple[int, ...], Progress] = {}

    def __call__(self, input_ids: LongTensor, scores: Tensor) -> Tensor:
        """Return scores [B, V] behind tokens [B, T]; those of texts that have ended stay."""
        texts = [tuple(ids) for ids in input_ids[:, self._prompt_length :].tolist()]
        self._progress = {text: self._after(text) for text in set(texts) if not self._ended(text)}
        result = scores.clone()
        for row, text in enumerate(texts):
            if text in self._progress:
                allowed = sorted(self._progress[text].allowed())
                result[row] = float("-inf")
                result[row, allowed] = scores[row, allowed]
        return result

    def _ended(self, text: tuple[int, ...]) -> bool:
        return not self._end_ids.isdisjoint(text)

    def _after(self, text: tuple[int, ...]) -> Progress:
        """Return where a text stands, from where it stood before its last token if possible."""
        before = self._progress.get(text[:-1]) if text else None
        progress = self._constraint.begin() if before is None else before.copy()
        for token in text if before is None else text[-1:]:
            accepted = progress.accept(token)
            assert accepted, f"token {token} was not allowed"
        return progress
