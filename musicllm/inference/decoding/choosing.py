"""Which token comes next: a race of scores with noise, from the random stream of each prompt.

Penalty, temperature, top-k and top-p are those of transformers. A token is drawn by the Gumbel
trick: to the log-probability of every token that is left its own noise is added, and the largest
sum wins. The noise of a token is a function of (seed of the prompt, number of the token in the
answer, token), so neither other prompts nor the order of the work change it. The next largest sums
are what would be drawn if the winner were excluded, so walking down them until a token is allowed
draws from the distribution of the allowed ones, renormalised.

Axes: B rows, V vocabulary, K candidates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from musicllm.errors import StageError
from musicllm.inference.requests import SamplingSettings

FEW = 256
"""Candidates that are sorted at first for top-p; more where they do not have the probability."""

_PRIME_1, _PRIME_2 = 0x7FEB352D, 0x846CA68B - (1 << 32)
"""Factors of the hash (Chris Wellons' lowbias32, public domain), as int32."""


class NotNumbersError(StageError):
    """The scores of some rows are not numbers.

    Attributes:
        rows: which.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(
            "the model gives scores that are not numbers; its weights or their dtype are to "
            "blame: load it in bfloat16 or float32 (hardware.precision=bf16 or fp32)"
        )
        self.rows = frozenset(rows)


@dataclass(frozen=True)
class Race:
    """One row's candidates.

    Attributes:
        keys: float32 [K], larger is earlier; -inf: filtered out.
        ids: int64 [K], their tokens; None: the tokens are 0 to K - 1.
        scores: float32 [V], the row's scores, unfiltered.
        draw: seed and number of the token, of its noise; None: greedy.
    """

    keys: Tensor
    ids: Tensor | None
    scores: Tensor
    draw: tuple[int, int] | None

    def order(self) -> Iterator[int]:
        """Yield the candidates in the order in which they would be drawn, and then the others.

        The others come up only where no candidate is allowed.
        """
        keys = self.keys.cpu().clone()
        seen = set()
        for _ in range(len(keys)):
            place = int(keys.argmax())
            if keys[place] == float("-inf"):
                break
            keys[place] = float("-inf")
            token = place if self.ids is None else int(self.ids[place])
            seen.add(token)
            yield token
        if self.ids is None and len(seen) == len(self.scores):
            return
        for token in self.all_keys().sort(descending=True, stable=True).indices.tolist():
            if token not in seen:
                yield token

    def order_of(self, tokens: Sequence[int]) -> list[int]:
        """Return some tokens in the order in which they would be drawn.

        As in `order`, those that were filtered out come after the candidates.
        """
        among = torch.tensor(tokens, dtype=torch.long)
        keys = torch.full((len(self.scores),), float("-inf"))
        own = self.keys.cpu()
        keys[torch.arange(len(own)) if self.ids is None else self.ids.cpu()] = own
        is_candidate = keys > float("-inf")
        by_key = among[self.all_keys()[among].argsort(descending=True, stable=True)]
        first = is_candidate[by_key]
        return [*by_key[first].tolist(), *by_key[~first].tolist()]

    def all_keys(self) -> Tensor:
        """Return the keys of all tokens, float32 [V] on the CPU, as if nothing were filtered."""
        scores = self.scores.cpu()
        if self.draw is None:
            return scores
        return scores + gumbel(torch.arange(len(scores))[None], [self.draw])[0]


def choose(
    scores: Tensor, settings: Sequence[SamplingSettings], draws: Sequence[tuple[int, int]]
) -> tuple[list[int], Callable[[int], Race]]:
    """Draw a token for every row.

    Args:
        scores: float32 [B, V], after the penalty.
        settings: of every row.
        draws: seed of the prompt and number of the token in its answer, of every row.

    Returns:
        The tokens, and what returns the race of a row, to draw again where its token is excluded.

    Raises:
        NotNumbersError: scores are not numbers.
    """
    groups: dict[SamplingSettings, list[int]] = {}
    for row, setting in enumerate(settings):
        groups.setdefault(setting, []).append(row)
    tokens = [0] * len(settings)
    races: dict[int, Callable[[], Race]] = {}
    for setting, rows in groups.items():
        part = scores if len(rows) == len(scores) else scores[rows]
        drawn = None if setting.temperature == 0 else [draws[row] for row in rows]
        ids: Tensor | None = None
        keys = part
        if drawn is not None:
            part = part / setting.temperature
            keys, ids = filtered(part, setting)
            every = torch.arange(keys.shape[1], device=keys.device)[None]
            keys = keys + gumbel(every if ids is None else ids, drawn)
        best, places = keys.max(-1)
        if not bool(best.isfinite().all()):
            raise NotNumbersError([rows[n] for n in (~best.isfinite()).nonzero()[:, 0].tolist()])
        chosen = places if ids is None else ids.gather(1, places[:, None])[:, 0]
        for number, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
            tokens[row] = token
            races[row] = partial(
                Race,
                keys[number],
                None if ids is None else ids[number],
                part[number],
                None if drawn is None else drawn[number],
            )
    return tokens, lambda row: races[row]()


def penalised(scores: Tensor, seen: Tensor, penalty: Sequence[float]) -> Tensor:
    """Divide positive scores of tokens that came before by a penalty, and multiply negative ones.

    Args:
        scores: float32 [B, V].
        seen: bool [B, V].
        penalty: of every row (arXiv 1909.05858, as in transformers).
    """
    by = torch.tensor(penalty, device=scores.device)[:, None]
    return torch.where(seen, torch.where(scores < 0, scores * by, scores / by), scores)


def filtered(scores: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor | None]:
    """Return what top-k and top-p leave.

    Args:
        scores: float32 [B, V], divided by the temperature.
        settings: of all rows.

    Returns:
        Scores [B, K], -inf where filtered out, and the tokens [B, K] they belong to; None where
        nothing was filtered, and the scores are those of all tokens.
    """
    vocab_size = scores.shape[1]
    if 0 < settings.top_k < vocab_size:
        values, ids = _top_k(scores, settings.top_k)
        probabilities = values.softmax(-1)
    elif settings.top_p < 1:
        values, ids, probabilities = _likeliest(scores, settings.top_p)
    else:
        return scores, None
    if settings.top_p < 1:
        before = probabilities.cumsum(-1) - probabilities
        is_out = before >= settings.top_p
        is_out[:, 0] = False
        values = values.masked_fill(is_out, float("-inf"))
    return values, ids


def gumbel(ids: Tensor, draws: Sequence[tuple[int, int]]) -> Tensor:
    """Return noise with the standard Gumbel distribution for tokens.

    Args:
        ids: tokens, [B, K] or [1, K] for every row.
        draws: seed of the prompt and number of the token in its answer, of every row.

    Returns:
        float32 [B, K].
    """
    words = [_words(seed, number) for seed, number in draws]
    first, second = torch.tensor(words, dtype=torch.int32, device=ids.device).unbind(1)
    hashed = _mixed(_mixed(ids.int()) ^ first[:, None]) + second[:, None]
    # 31 bits as a number between 0 and 1, finest near 0, where -log(1 - u) is smallest
    uniform = ((hashed & 0x7FFFFFFF).float() + 0.5) * 2.0**-31
    return -((-uniform.clamp_(max=1 - 2.0**-24)).log1p_().neg_().log_())


def _words(seed: int, number: int) -> tuple[int, int]:
    """Return two int32 that are a function of a seed and a number."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    return (
        int.from_bytes(digest[:4], "little", signed=True),
        int.from_bytes(digest[4:], "little", signed=True),
    )


def _mixed(words: Tensor) -> Tensor:
    """Return int32 words after a hash that changes half of the bits when one bit changes."""
    words = words ^ ((words >> 16) & 0xFFFF)
    words = words * _PRIME_1
    words = words ^ ((words >> 15) & 0x1FFFF)
    words = words * _PRIME_2
    return words ^ ((words >> 16) & 0xFFFF)


def _top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest scores and their tokens, with all that equal the last of them."""
    values, ids = scores.topk(k)
    least = values[:, -1:]
    most = int((scores >= least).sum(-1).max())
    if most > k:
        values, ids = scores.topk(most)
        values = values.masked_fill(values < least, float("-inf"))
    return values, ids


def _likeliest(scores: Tensor, top_p: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest scores that have a probability, their tokens, and their probabilities."""
    probabilities = scores.softmax(-1)
    number = min(FEW, scores.shape[1])
    while True:
        values, ids = scores.topk(number)
        chosen = probabilities.gather(1, ids)
        if number == scores.shape[1] or bool((chosen.sum(-1) > top_p).all()):
            return values, ids, chosen
        number = min(4 * number, scores.shape[1])
