"""One GGUF file, for llama.cpp and what is built on it, proven to be the model.

See `musicllm.model.export.gguf`. Beside the file: a Modelfile for Ollama and a grammar of tunes for
llama.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from musicllm.model.export import EXPORTERS, Export, Exported, Exporter, size_in_words

if TYPE_CHECKING:
    from musicllm.model.export.gguf.proof import Proof
    from musicllm.model.export.gguf.writing import Written


class Gguf(Exporter):
    """A file that llama.cpp, Ollama and LM Studio run."""

    name = "gguf"
    label = "GGUF file"
    quantizations: ClassVar = ("f16", "q8_0", "q4_k_m")
    modules: ClassVar = ("gguf", "xllamacpp")
    extra = "gguf"
    library = "gguf"

    def export(self, export: Export) -> Exported:
        """See `Exporter`."""
        from musicllm.model.export.gguf.exporting import export_gguf

        quantization = self.quantization(export.settings)
        assert quantization is not None, "the format has quantizations"
        written, proof = export_gguf(export, quantization)
        return Exported(
            rows_of(written, proof, quantization),
            {
                "file": written.path.name,
                "num_parameters": written.num_parameters,
                "num_bytes": written.num_bytes,
                "tensors": written.kinds,
                "notes": list(written.notes),
                "proof": vars(proof),
            },
            usage=USAGE.format(file=written.path.name, notes=_notes(written.notes)),
        )


def rows_of(written: Written, proof: Proof, quantization: str) -> list[tuple[str, object]]:
    """Return what was written and compared, for the summary."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in written.kinds.items())
    rows: list[tuple[str, object]] = [
        ("file", f"{written.path.name}, {size_in_words(written.num_bytes)}"),
        ("parameters", f"{written.num_parameters:,}"),
        ("tensors", kinds),
        ("same prompts and tokens", f"{proof.num_prompts} prompts, {proof.num_texts} texts"),
        (
            "same most likely token",
            f"{proof.same_tokens:.2%}"
            + (f" ({proof.num_ties} ties)" if quantization == "f16" else ""),
        ),
    ]
    if quantization == "f16":
        difference = f"{proof.max_difference:.2g}, allowed {proof.tolerance:.2g}"
        rows.append(("largest difference of a log-probability", difference))
    rise = proof.perplexity / proof.reference_perplexity - 1
    rows.append(("perplexity", f"{proof.perplexity:.4f}, {rise:+.2%} of the model's"))
    rows += [("note", note) for note in written.notes]
    return rows


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"- {note}\n" for note in notes)


USAGE = """\
With [llama.cpp](https://github.com/ggml-org/llama.cpp), as a conversation or as a server with the
OpenAI protocol:

```bash
llama-cli -m {file}
llama-server -m {file}
```

`--grammar-file abc.gbnf` lets them write nothing but one tune; it does not count bars.

With [Ollama](https://ollama.com): `ollama create music -f Modelfile`, then `ollama run music`.

The file was compared with the model in transformers before it was published: chat template, tokens,
most likely tokens or perplexity; see the figures in this card.
{notes}"""

EXPORTERS.register(Gguf())
