"""Whether prompts fit a context, with the texts that follow them."""

from __future__ import annotations

from collections.abc import Sequence

from musicllm.errors import InputError
from musicllm.inference.requests import WritingRequest


def refuse_misfits(
    lengths: Sequence[int], requests: Sequence[WritingRequest], context: int | None
) -> None:
    """Refuse prompts that leave no room for their text.

    Args:
        lengths: tokens of the prompts.
        requests: of the same prompts.
        context: tokens of prompt and text together; None sets no limit.

    Raises:
        InputError: with the first such prompt.
    """
    for number, (length, request) in enumerate(zip(lengths, requests, strict=True), start=1):
        if not length:
            raise InputError(f"prompt {number} is empty: there is nothing to continue")
        longest = request.settings.max_new_tokens
        if context is not None and length + longest > context:
            raise InputError(
                f"prompt {number} has {length} tokens, and with "
                f"generation.max_new_tokens={longest} the text could pass the model's {context} "
                f"positions; at most {max(0, context - length)} fit"
            )
