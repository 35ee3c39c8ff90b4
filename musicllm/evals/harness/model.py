"""Our scorer as a model of lm-evaluation-harness, whose tasks are scored several times faster so.

Prompts and options are divided into tokens exactly as the harness's `hf` model does it, so both
give the same numbers. Text is written by a function from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import PreTrainedTokenizerBase

from musicllm.data.lexicon import Lexicon
from musicllm.errors import InputError
from musicllm.inference.scorer.planning import Item
from musicllm.inference.scorer.scorer import Memoize, Scorer

WriteTexts = Callable[[Sequence[list[int]], Sequence[Mapping[str, Any]]], list[str]]
"""From the tokens of prompts and the harness's settings of generation to what the model writes."""


class HarnessModel(TemplateLM):  # type: ignore[misc]
    """A model in the harness's interface.

    Args:
        scorer: of the model.
        tokenizer: its tokenizer, with a tokenizer.json.
        add_bos: put the mark of the beginning before every prompt, where the tokenizer has one.
        whole_prompts: also score the prompts themselves, for `mean_nll`.
        max_length: tokens of a prompt with its option at most; None: the model's context.
        generate: writes answers; None where no task asks for any.
        as_message: from a prompt that is answered in words to its tokens as a user's message, up
            to where the answer begins; None: it is plain text.
        memoize: where finished portions are stored and looked up.

    Raises:
        InputError: the model's vocabulary is smaller than the tokenizer's.
    """

    def __init__(
        self,
        scorer: Scorer,
        tokenizer: PreTrainedTokenizerBase,
        *,
        add_bos: bool = False,
        whole_prompts: bool = False,
        max_length: int | None = None,
        generate: WriteTexts | None = None,
        as_message: Callable[[str], list[int]] | None = None,
        memoize: Memoize | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self._lexicon = Lexicon.of(tokenizer)
        self._scorer = scorer
        refuse_larger_vocabulary(tokenizer, self._scorer.reader.vocab_size)
        begin = self._lexicon.id_of("bos_token")
        self._begin = [begin] if add_bos and begin is not None else []
        # the harness encodes a prompt anew for each of its options, which are to share its tokens
        self._encoded = lru_cache(maxsize=2)(partial(_encode, self._lexicon, self._begin))
        self._whole_prompts = whole_prompts
        limits = [limit for limit in (max_length, scorer.reader.context) if limit]
        self.max_length = min(limits, default=None)
        self._generate = generate
        self._as_message = as_message
        self._memoize = memoize
        self._means: dict[tuple[str, str], float] = {}

    @property
    def eot_token_id(self) -> int:
        """The end of text."""
        end = self._lexicon.id_of("eos_token")
        assert end is not None, "a tokenizer of ours has an end of text"
        return end

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that has nothing before it."""
        begin = self._lexicon.id_of("bos_token")
        return self.eot_token_id if begin is None else begin

    @property
    def tokenizer_name(self) -> str:
        """Under which name the harness keeps prompts that went through a chat template."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: object
    ) -> list[int]:
        """Return the tokens of a text, behind the mark of the beginning if prompts have it.

        The list is not to be changed: the next call with this text returns it again.
        """
        if add_special_tokens is False:
            return _encode(self._lexicon, [], string)
        return self._encoded(string)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens prompts have, those of the chat template about them included."""
        around = 0 if self._as_message is None else len(self._as_message(""))
        return [around + len(_begun(self._begin, list(ids))) for ids in self._lexicon.encode(texts)]

    def mean_nll(self, context: str, continuation: str) -> float:
        """Return nats per token of a prompt with an option, as OpenCompass's PPL mode ranks them.

        Its divisor also counts the first token, which nothing predicts.
        """
        return self._means[context, continuation]

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Return the log-likelihood of options, and whether each is what the model would write."""
        del disable_tqdm
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return answers

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **unused: object
    ) -> list[tuple[float, bool]]:
        del unused
        items = [_item(context, option, self.max_length) for _, context, option in requests]
        wholes = list({item.ids[: item.start] for item in items if item.start > 1})
        prompts = [Item(ids, 1) for ids in wholes] if self._whole_prompts else []
        scored = self._scorer.score([*items, *prompts], "scoring options", self._memoize)
        of_items, of_prompts = scored[: len(items)], scored[len(items) :]
        before = {
            prompt.ids: score.logprob for prompt, score in zip(prompts, of_prompts, strict=True)
        }
        for (pair, _, _), item, score in zip(requests, items, of_items, strict=True):
            self.cache_hook.add_partial("loglikelihood", pair, (score.logprob, score.is_greedy))
            if self._whole_prompts:
                total = score.logprob + before.get(item.ids[: item.start], 0.0)
                self._means[pair] = -total / len(item.ids)
        return [(score.logprob, score.is_greedy) for score in of_items]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Return the log-likelihood of whole texts, in windows where one is longer than them."""
        del disable_tqdm
        windows: list[Item] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            for before, scored in get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            ):
                context, own = make_disjoint_window((before, scored))
                windows.append(Item((*context, *own), len(context)))
                owners.append(number)
        totals = [0.0] * len(requests)
        scores = self._scorer.score(windows, "scoring texts", self._memoize)
        for owner, score in zip(owners, scores, strict=True):
            totals[owner] += score.logprob
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return what the model writes after prompts, up to the first of the harness's stops."""
        del disable_tqdm
        assert self._generate is not None, "a task asks for text, and nothing was given to write it"
        encode = self._as_message or self.tok_encode
        prompts = [encode(request.args[0]) for request in requests]
        texts = self._generate(prompts, [request.args[1] for request in requests])
        answers = []
        for request, text in zip(requests, texts, strict=True):
            answers.append(_until(text, request.args[1]))
            self.cache_hook.add_partial("generate_until", request.args, answers[-1])
        return answers


def refuse_larger_vocabulary(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
    """Refuse a tokenizer with tokens that the model does not know.

    Raises:
        InputError: with both sizes.
    """
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocab_size:
        raise InputError(
            f"the tokenizer {tokenizer.name_or_path} has tokens up to {largest:,}, and the model "
            f"knows {vocab_size:,}; take the tokenizer that belongs to the model, or resize the "
            f"model's embeddings"
        )


def _encode(lexicon: Lexicon, begin: list[int], text: str) -> list[int]:
    return _begun(begin, list(next(lexicon.encode([text]))))


def _begun(begin: list[int], ids: list[int]) -> list[int]:
    """Put the mark of the beginning before tokens, unless they have it."""
    return ids if ids[: len(begin)] == begin else [*begin, *ids]


def _item(context: Sequence[int], option: Sequence[int], max_length: int | None) -> Item:
    """Return a prompt with its option; what is too long loses its beginning, as in the harness."""
    ids = (*context, *option)
    left_out = max(0, len(ids) - (max_length + 1)) if max_length else 0
    return Item(ids[left_out:], max(1, len(context) - left_out))


def _until(text: str, settings: Mapping[str, Any]) -> str:
    stops = settings.get("until", [])
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0] if stop else text
    return text
