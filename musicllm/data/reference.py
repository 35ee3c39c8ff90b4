"""What ChatMusician's published preprocessing makes of a conversation, token for token.

Its script encodes what stands before the answer as one text, keeps 1,536 tokens of it, and as many
of the answer as fit into 2,048 with a margin of 3; `</s>` follows unless the answer is written with
it. Only the answer is supervised, and no other special token is added. Texts of its pre-training
are encoded as they are. Source: the repository ChatMusician, model/train/data_preprocess.py.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence

from musicllm.data.lexicon import Lexicon
from musicllm.data.records import Message, Record, is_masked
from musicllm.data.stretches import Stretch, TokenDocument
from musicllm.data.templates import Part
from musicllm.errors import InputError

MAX_SOURCE = 1536
MAX_TOTAL = 2048
MARGIN = 3


def check(max_length: int) -> None:
    """Refuse rows that hold less than the published samples.

    Raises:
        InputError: they do.
    """
    if max_length < MAX_TOTAL:
        raise InputError(
            f"data.max_length={max_length} is less than the {MAX_TOTAL} tokens at which "
            f"data.compat=reference cuts; write data.max_length={MAX_TOTAL}"
        )


def speller(lexicon: Lexicon) -> Callable[[str], str]:
    """Return what makes of a text the one whose tokens are those of the published tokenizer.

    The published code uses the Python tokenizer of transformers 4, where SentencePiece puts a blank
    before every stretch between special tokens (`legacy: true`) or before a text (`legacy: false`),
    also where a blank is there already. The Metaspace of transformers 5 then puts none, so it is
    put here. Other tokenizers are taken as they are.
    """
    added = sorted(lexicon.core.get_added_tokens_decoder().values(), key=lambda t: -len(t.content))
    token = "|".join(re.escape(entry.content) for entry in added) or "(?!)"
    match lexicon.blank_goes_before:
        case "always":
            before_blank = re.compile(f"(^|{token})(?=[ \u2581])")
        case "first":
            before_blank = re.compile(f"(^)(?!{token})(?=[ \u2581])")
        case _:
            return str
    return lambda text: before_blank.sub(r"\1 ", text)


def parts(rendered: Sequence[Part], messages: Sequence[Message]) -> list[Part]:
    """Return the source and the target of a conversation, or the source when no answer ends it.

    Args:
        rendered: by the chat template, without a beginning of text.
        messages: the same conversation; its last answer is taken as it is, without an end, and
            is the only one that can be learned.
    """
    texts = [text for text, _ in rendered]
    if messages[-1]["role"] != "assistant":
        return [("".join(texts), False)]
    last = max((i for i, (_, is_answer) in enumerate(rendered) if is_answer), default=len(texts))
    target = messages[-1]
    return [("".join(texts[:last]), False), (target["content"], not is_masked(target))]


def target(record: Record) -> str:
    """Return the answer as it was published, or else as it stands in the messages.

    Readers that take marks such as a closing `</s>` out of a conversation keep its two texts as
    they were in `published`: source and target.
    """
    if "published" in record:
        return str(record["published"][1])
    return str(record["messages"][-1]["content"])


def cut(stretches: Sequence[Stretch], end_id: int | None) -> TokenDocument:
    """Cut source and target, and end the target.

    Args:
        stretches: of `parts`.
        end_id: token to append; None when the answer is written with its end.
    """
    source = stretches[0][0]
    target, is_learned = stretches[1] if len(stretches) > 1 else (array("i"), True)
    kept_source = source[:MAX_SOURCE]
    kept_target = target[: MAX_TOTAL - MARGIN - len(kept_source)]
    is_cut = len(kept_source) + len(kept_target) < len(source) + len(target)
    end = array("i", [] if end_id is None or len(stretches) == 1 else [end_id])
    return TokenDocument([(kept_source, False), (kept_target + end, is_learned)], is_cut)
