"""4-bit weights in the layout of AutoAWQ, which vLLM, SGLang and LMDeploy read.

Activation-aware weight quantization (AWQ, arXiv 2306.00978) by the library auto-round: channels
that see large activations are scaled up before all weights are rounded to 4 bits in groups with a
scale and a zero point. Embeddings, head and norms stay in float16.
"""

from __future__ import annotations

from typing import ClassVar

from musicllm.model.export import EXPORTERS, Export, Exported, Exporter, size_in_words


class Awq(Exporter):
    """AWQ with 4 bits for servers on GPUs."""

    name = "awq"
    label = "4-bit weights (AWQ)"
    quantizations: ClassVar = ("w4a16",)
    keys: ClassVar = ("max_shard_gb", "num_texts")
    needs_texts = "the scales of export.format=awq are fitted on its training split, and its test \
split shows what the rounding costs"
    modules: ClassVar = ("auto_round",)
    extra = "awq"

    def export(self, export: Export) -> Exported:
        """See `Exporter`."""
        from musicllm.model.export.awq import quantize

        result = quantize(export)
        return Exported(
            [
                ("quantized", f"{result.num_quantized} matrices to 4 bits, {result.group_size} "
                              f"weights to a scale"),
                ("weights", f"{size_in_words(result.num_bytes)}, were "
                            f"{size_in_words(result.num_bytes_before)} in 16 bits"),
                ("perplexity", f"{result.after:.4g}, was {result.before:.4g} "
                               f"({result.rise:+.2%}, allowed "
                               f"{export.settings.max_perplexity_rise:+.2%}) on "
                               f"{result.num_tokens:,} tokens"),
            ],
            {
                "num_bytes": result.num_bytes,
                "group_size": result.group_size,
                "perplexity": {"before": result.before, "after": result.after},
                "num_perplexity_tokens": result.num_tokens,
            },
            usage=USAGE if result.group_size == 128 else USAGE + SMALL_GROUPS,
        )  # fmt: skip


USAGE = """\
As a server with the OpenAI protocol, on a GPU:

```bash
vllm serve <this folder>                                   # vLLM
lmdeploy serve api_server <this folder> --model-format awq  # LMDeploy
```
"""

SMALL_GROUPS = """
The matrices of this model do not divide into groups of 128, which some kernels need; if a server
refuses the group size, its plain kernel for AWQ reads it.
"""

EXPORTERS.register(Awq())
