"""Every kernel but flex against plain attention in float32: outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from tests.gpu.check.finding import Finding, Setting, at_most, attempt
from tests.gpu.check.shapes import CASES, LENGTHS, Case, ends, inputs, plain

SLACK = 4.0
"""A kernel may be so many times as far from float32 as plain attention in its dtype is."""

WIDE = {
    "gpt2": {"hidden_size": 128, "n_embd": 128},
    "phi3": {"hidden_size": 128},
    "granite": {"hidden_size": 128},
}
"""Changes that give families without `head_dim` heads of 32, which every kernel takes."""

DTYPES = {"cuda": (torch.bfloat16, torch.float16), "cpu": (torch.float32, torch.bfloat16)}


def run(setting: Setting) -> Iterator[Finding]:
    """Yield the largest error of each kernel, dtype and case."""
    yield from compare(setting, ("varlen", "flash_attention_2", "varlen_sdpa"), CASES)
    yield from attempt("classes", lambda: _classes(setting))


def compare(
    setting: Setting, kernels: tuple[str, ...], cases: tuple[Case, ...]
) -> Iterator[Finding]:
    """Yield the largest error of kernels in outputs and gradients, relative to plain attention."""
    from musicllm.model.attention.kernels import KERNELS
    from musicllm.train.capabilities import probe

    lacking = probe(setting.accelerator).lacking
    for name in kernels:
        if setting.device == "cpu" and name != "varlen_sdpa":
            yield Finding(name, verdict="not here", note="it needs a GPU")
            continue
        if name in lacking:
            yield Finding(name, verdict="not here", note=lacking[name])
            continue
        for dtype in DTYPES[setting.device]:
            for case in cases:
                text = f"{name}, {str(dtype).removeprefix('torch.')}, {case.text()}"
                kernel = KERNELS[name]

                def check(
                    text: str = text,
                    kernel: Callable[..., Tensor] = kernel,
                    case: Case = case,
                    dtype: torch.dtype = dtype,
                ) -> Iterator[Finding]:
                    yield _compare(setting, text, kernel, case, dtype)

                yield from attempt(text, check)


def _compare(
    setting: Setting, text: str, kernel: Callable[..., Tensor], case: Case, dtype: torch.dtype
) -> Finding:
    from musicllm.model.attention.kernels import Variant

    lengths = [1, 37, 2, 20] if setting.dry else LENGTHS
    if setting.dry and case.window is not None:
        case = Case(**{**vars(case), "window": 8})
    drawn = inputs(case, lengths, setting.device)
    boundaries = ends(lengths, setting.device)

    def ours(tensors: tuple[Tensor, ...]) -> Tensor:
        query, key, value, *sinks = tensors
        variant = Variant(
            scale=case.scale,
            window=case.window,
            softcap=case.softcap,
            sinks=sinks[0] if sinks else None,
        )
        return kernel(query, key, value, boundaries, max(lengths), variant=variant)

    def reference(tensors: tuple[Tensor, ...]) -> Tensor:
        return plain(case, tensors, lengths)

    rounded = tuple(tensor.to(dtype).float() for tensor in drawn.tensors)
    expected = _with_gradients(reference, rounded, drawn.weights, torch.float32)
    try:
        actual = _with_gradients(ours, rounded, drawn.weights, dtype)
    except AssertionError as error:
        return Finding(text, verdict="not here", note=str(error))
    usual = _with_gradients(reference, rounded, drawn.weights, dtype)
    pairs = zip(actual, expected, usual, strict=True)
    ratios = [
        float((a - e).abs().max() / ((u - e).abs().max() + 1e-5 * e.abs().max()))
        for a, e, u in pairs
    ]
    return at_most(text, max(ratios), SLACK, "x", "error against that of plain attention")


def _with_gradients(
    attend: Callable[[tuple[Tensor, ...]], Tensor],
    tensors: tuple[Tensor, ...],
    weights: Tensor,
    dtype: torch.dtype,
) -> list[Tensor]:
    """Return the output and the gradient of every input, in float32."""
    leaves = tuple(tensor.to(dtype).requires_grad_() for tensor in tensors)
    out = attend(leaves)
    gradients = torch.autograd.grad(out, leaves, weights.to(out.dtype))
    return [out.detach().float(), *(gradient.float() for gradient in gradients)]


def _classes(setting: Setting) -> Iterator[Finding]:
    """Yield packed rows of whole models against each document alone in eager."""
    from musicllm.model.attention import ALL
    from musicllm.train.capabilities import probe
    from tests.model import families

    kernels = [name for name in ALL if name not in probe(setting.accelerator).lacking]
    if setting.device == "cpu":
        kernels = ["varlen_sdpa"]
    packing = [name for name in families.ONE_OF_EACH_KIND if name in families.ATTENTION]
    for family in packing[:2] if setting.dry else packing:
        changes = WIDE.get(family, {"hidden_size": 64, "head_dim": 32})
        for name in kernels:

            def check(
                family: str = family, name: str = name, changes: dict[str, int] = changes
            ) -> Iterator[Finding]:
                yield _packed(setting, family, name, changes)

            yield from attempt(f"{family}, {name}", check)


def _packed(setting: Setting, family: str, kernel: str, changes: dict[str, int]) -> Finding:
    from musicllm.errors import MusicLLMError
    from musicllm.model.attention import implementation, register
    from tests.model import families
    from tests.packed_rows import alone, forward, make_documents, pack

    register()
    documents = make_documents([1, 40, 2, 130, 33], 300)
    half = torch.bfloat16 if setting.device == "cuda" else torch.float32
    eager = families.build(family, **changes).to(setting.device)
    with torch.no_grad():
        expected = alone(eager, documents, setting.device).float()
        usual = alone(eager.to(half), documents, setting.device).float()
        eager.set_attn_implementation(implementation(kernel))
        row = pack(documents, setting.device)
        try:
            actual = forward(eager, row, use_cache=False).float()
        except (AssertionError, MusicLLMError) as error:  # a kernel names what it lacks
            return Finding(f"{family}, {kernel}", verdict="not here", note=str(error)[:200])
    far = (actual - expected).norm() / ((usual - expected).norm() + 1e-3 * expected.norm())
    note = "packed in this kernel against each document alone in eager"
    return at_most(f"{family}, {kernel}, {half}".replace("torch.", ""), float(far), 5.0, "x", note)
