"""Checks of the tensors in model files.

None is missing, none is unexpected, each has the shape of the architecture, and every
element is finite. transformers and PEFT initialise missing ones at random, and skip others with a
warning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Conv1D, PreTrainedModel

from musicllm import console
from musicllm.errors import InputError

MAX_FAULTS = 5
"""Maximum number of faults to list; the rest are counted."""

CONVERTED = re.compile(r"^(\S+) +\| \S*CONVERSION", re.MULTILINE)
"""A tensor that transformers could not convert, in the table that it logs."""


def summarise(faults: Iterable[str]) -> str:
    """Return the first faults in alphabetical order, and the number of further ones."""
    ordered = sorted(set(faults))
    more = f"; and {len(ordered) - MAX_FAULTS} more" if len(ordered) > MAX_FAULTS else ""
    return "; ".join(ordered[:MAX_FAULTS]) + more


def shape_faults(
    stored: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]], stranger: str
) -> Iterator[str]:
    """Yield missing tensors, unexpected ones, and those of another shape.

    Args:
        stored: shapes of the tensors in the files.
        expected: shapes of the tensors of the model.
        stranger: message for a tensor that is not expected.
    """
    yield from (f"{name} is missing" for name in expected.keys() - stored.keys())
    yield from (f"{name} {stranger}" for name in stored.keys() - expected.keys())
    for name in stored.keys() & expected.keys():
        if list(stored[name]) != list(expected[name]):
            yield f"{name} has shape {list(stored[name])} instead of {list(expected[name])}"


def refuse_loading_faults(
    path: object, model: PreTrainedModel, info: Mapping[str, Any], ignored: Sequence[str] = ()
) -> None:
    """Reject weights that transformers initialised, dropped or replaced.

    Args:
        path: folder or hub id of the weights.
        model: the loaded model.
        info: from `from_pretrained(output_loading_info=True)`. It does not list tied weights and
            buffers of old versions, such as `rotary_emb.inv_freq`.
        ignored: regular expressions of stored tensors that may be left out; they are counted.

    Raises:
        InputError: with the first tensors and the number of further ones.
    """
    left_out = [
        name
        for name in info["unexpected_keys"]
        if any(re.search(pattern, name) for pattern in ignored)
    ]
    if left_out:
        console.note(
            f"{len(left_out)} tensors of {path} are left out, such as {min(left_out)}: see "
            f"model.ignored_tensors"
        )
    faults = [
        *(f"{name} is missing" for name in info["missing_keys"]),
        *(
            f"{name} is not known to transformers' {type(model).__name__}"
            for name in info["unexpected_keys"]
            if name not in left_out
        ),
        *(
            f"{name} has shape {list(stored)} instead of {list(expected)}"
            for name, stored, expected in info["mismatched_keys"]
        ),
    ]
    if faults:
        more = set(info["unexpected_keys"]) - set(left_out)
        way = (
            "; tensors that are no part of the model go into model.ignored_tensors" if more else ""
        )
        raise InputError(
            f"the weights of {path} do not fit its config.json: {summarise(faults)}{way}"
        )
    refuse_untied_head(path, model)


FLOATS = ("F64", "F32", "F16", "BF16")
"""Dtypes of safetensors in which weights are stored as they are."""


def refuse_other_dtypes(path: object, model: PreTrainedModel, dtypes: Mapping[str, str]) -> None:
    """Reject weights that are stored as integers or in 8 bits, which loading would only cast.

    Args:
        path: folder of the weights.
        model: the loaded model.
        dtypes: of the tensors in its files, by the names of the model.

    Raises:
        InputError: with the first tensors and the number of further ones.
    """
    faults = [
        f"{name} is {dtypes[name]}"
        for name, weight in model.named_parameters()
        if weight.is_floating_point() and dtypes.get(name, FLOATS[0]) not in FLOATS
    ]
    if faults:
        raise InputError(
            f"the weights of {path} are not stored as floating-point numbers of 16 or 32 bits: "
            f"{summarise(faults)}; use a copy that is not quantized"
        )


def refuse_linear_shapes(
    path: object, model: PreTrainedModel, stored: Mapping[str, Sequence[int]]
) -> None:
    """Reject linear layers of another shape, which transformers does not check if it quantizes.

    Args:
        path: folder of the weights.
        model: the loaded model.
        stored: shapes of the tensors in its files.

    Raises:
        InputError: with the first tensors and the number of further ones.
    """
    faults = []
    for name, module in model.named_modules():
        shape = stored.get(f"{name}.weight")
        if isinstance(module, nn.Linear) and shape is not None:
            expected = [module.out_features, module.in_features]
            if issubclass(getattr(module, "source_cls", nn.Linear), Conv1D):
                expected.reverse()  # bitsandbytes turns such matrices
            if list(shape) != expected:
                faults.append(f"{name}.weight has shape {list(shape)} instead of {expected}")
    if faults:
        raise InputError(f"the weights of {path} do not fit its config.json: {summarise(faults)}")


def refuse_untied_head(path: object, model: PreTrainedModel) -> None:
    """Reject a head that config.json ties to the embeddings, but that differs from them.

    Raises:
        InputError: the files contain both, with different elements.
    """
    head = model.get_output_embeddings()
    tied = getattr(model.config, "tie_word_embeddings", False) and head is not None
    if tied and head.weight is not model.get_input_embeddings().weight:
        raise InputError(untied(path))


def untied(path: object) -> str:
    """Return the error message for a tied model with a head of its own."""
    return (
        f"the weights of {path} do not fit its config.json: it says tie_word_embeddings=true, but "
        f"the files hold a head that differs from the embeddings; write the value that is true"
    )


def refuse_not_finite(path: object, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Reject NaN and infinity; reads every element once.

    Args:
        path: folder or hub id of the weights.
        tensors: by name; integer tensors, such as quantized ones, are skipped.

    Raises:
        InputError: with the first tensors and the number of further ones.
    """
    faults = [
        f"{name} in {str(tensor.dtype).removeprefix('torch.')}"
        for name, tensor in tensors
        if not is_finite(tensor)
    ]
    if faults:
        raise InputError(
            f"the weights of {path} hold NaN or infinity: {summarise(faults)}; copy them again, or "
            f"take a wider dtype where float16 is too narrow for them"
        )


@torch.no_grad()
def is_finite(tensor: Tensor) -> bool:
    """Return whether all elements are finite, without copying the tensor."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    return bool(torch.stack(torch.aminmax(tensor)).isfinite().all())


@contextmanager
def reported(path: object) -> Iterator[None]:
    """Suppress transformers' table of loading faults, and raise for tensors that it cannot convert.

    Raises:
        InputError: in place of the error that only refers to the table.
    """
    logger = logging.getLogger("transformers.modeling_utils")
    table = _Table()
    logger.addFilter(table)
    try:
        yield
    except RuntimeError as error:
        names = CONVERTED.findall(table.text)
        if not names:
            raise
        raise InputError(
            f"the weights of {path} do not fit its config.json: "
            f"{summarise(f'{name} cannot be put together from its parts' for name in names)}"
        ) from error
    finally:
        logger.removeFilter(table)


class _Table(logging.Filter):
    """Removes transformers' table from the log."""

    text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is not the table."""
        message = record.getMessage()
        if "LOAD REPORT" not in message:
            return True
        self.text = message
        return False
