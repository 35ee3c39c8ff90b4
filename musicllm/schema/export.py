"""How a model leaves the framework."""

from __future__ import annotations

from typing import Any, Literal

from musicllm.schema.keys import group, key


@group
class ExportConfig:
    """A model for other programs, its card, and its upload."""

    format: str = key("format of the result", kinds="musicllm.model.export:EXPORTERS")
    quantization: str | None = key(
        "numbers of the weights, where the format has a choice", null="the format's first"
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = key(
        "dtype of weights that are not quantized: float32, float16, bfloat16 or auto (as stored)"
    )
    max_shard_gb: float = key("size of a weight file", 0.001, 1000, "GB")
    num_texts: int = key("texts of inputs.texts on which scales are fitted", 1, 100_000)
    max_perplexity_rise: float = key(
        "largest rise of the perplexity by quantization that is accepted, as a share", 0, 100
    )
    model_name: str | None = key(
        "name of the model in its card and files", null="name of the recipe or folder it comes from"
    )
    override_licences: list[str] = key(
        "licences that are overridden: names of sources of data, or model, whose terms you have "
        "permission for"
    )
    push_to_hub: str | None = key("hub repository to upload to, as owner/name", null="no upload")
    dry_run: bool = key("with push_to_hub: list the files and their sizes, and upload nothing")
    private: bool = key("with push_to_hub: a new repository is private")
    options: dict[str, Any] = key("settings of a format of your own (extensions)")
