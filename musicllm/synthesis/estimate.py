"""About how many tokens a run takes and what they cost, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from musicllm.synthesis import tokens
from musicllm.synthesis.kind import Item, Synthesis
from musicllm.synthesis.limits import Prices, Usage
from musicllm.synthesis.prompt_file import PromptFile

SAMPLE = 5000
"""So many items are looked at; the others are counted, and taken to be like them."""


@dataclass(frozen=True)
class Estimate:
    """What a run takes.

    Attributes:
        num_items: asked about.
        expected: tokens if the first answer to every item fits and is as long as expected.
        longest: tokens if every try is needed and every answer is as long as it may be; prompts as
            expected.
        is_known: the kind knows about how long answers are; otherwise the longest count.
    """

    num_items: int
    expected: Usage
    longest: Usage
    is_known: bool

    def rows(self, prices: Prices) -> list[tuple[str, str]]:
        """Return rows for the table of a plan."""
        kind = "expected" if self.is_known else "at most"
        rows = [
            ("items", f"{self.num_items:,}"),
            ("tokens of prompts", f"about {self.expected.input_tokens:,}"),
            ("tokens of answers", f"{kind} {self.expected.output_tokens:,}"),
            ("with every try", f"at most {self.longest.total:,} tokens"),
        ]
        if prices.input or prices.output:
            expected, longest = prices.cost(self.expected), prices.cost(self.longest)
            rows.append(("cost", f"about {expected:,.2f}, with every try at most {longest:,.2f}"))
        return rows


def estimate(
    items: Iterable[Item],
    synthesis: Synthesis[Any],
    prompt: PromptFile,
    *,
    max_new_tokens: int,
    max_tries: int,
) -> Estimate:
    """Return what asking about items takes, were no answer there yet.

    Cost: the prompts of at most `SAMPLE` items are rendered; the other items are only counted.

    Args:
        items: in their order.
        synthesis: the opened kind.
        prompt: asks.
        max_new_tokens: of an answer.
        max_tries: answers to an item.
    """
    iterator = iter(items)
    num_items = num_input = num_output = 0
    is_known = True
    for item in islice(iterator, SAMPLE):
        num_items += 1
        num_input += tokens.about_prompt(prompt.messages(item.variables))
        expected = synthesis.expected_tokens(item)
        is_known = is_known and expected is not None
        num_output += max_new_tokens if expected is None else min(max_new_tokens, expected)
    num_rendered = max(1, num_items)
    num_items += sum(1 for _ in iterator)
    scale = num_items / num_rendered
    num_input, num_output = round(num_input * scale), round(num_output * scale)
    # asked again, a question is longer by the rejected answer
    again = (max_tries - 1) * (num_input + num_items * max_new_tokens)
    longest = Usage(num_input + again, num_items * max_tries * max_new_tokens)
    return Estimate(num_items, Usage(num_input, num_output), longest, is_known and num_items > 0)
