"""A plain Hugging Face folder: weights in safetensors, configuration, tokenizer and template.

Weights are copied tensor by tensor, to the dtype of `export.dtype`, and read again afterwards.
"""

from __future__ import annotations

from typing import ClassVar

from musicllm.model.export import EXPORTERS, Export, Exported, Exporter, size_in_words


class HuggingFace(Exporter):
    """The folder that transformers loads, and that vLLM, SGLang and LMDeploy serve."""

    name = "hf"
    label = "Hugging Face folder"
    kind = "model"
    keys: ClassVar = ("dtype", "max_shard_gb")

    def export(self, export: Export) -> Exported:
        """See `Exporter`."""
        from musicllm.model.export.copying import copy_model

        copied = copy_model(
            export.source,
            export.folder,
            dtype=export.settings.dtype,
            max_shard_gb=export.settings.max_shard_gb,
            ignored_tensors=export.ignored_tensors,
        )
        files = "1 file" if copied.num_shards == 1 else f"{copied.num_shards} files"
        return Exported(
            [
                ("parameters", f"{copied.num_parameters:,}"),
                ("dtype", ", ".join(copied.dtypes)),
                ("weights", f"{size_in_words(copied.num_bytes)} in {files}, each tensor compared"),
            ],
            {"num_parameters": copied.num_parameters, "num_bytes": copied.num_bytes},
            usage=USAGE,
        )


USAGE = """\
With [transformers](https://huggingface.co/docs/transformers):

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder, or the repository's name on the hub
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
```

As a server with the OpenAI protocol: `vllm serve <this folder>`.
"""

EXPORTERS.register(HuggingFace())
