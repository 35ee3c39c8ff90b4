"""`--model musicllm` of the harness's command line: our scorer around a model by its name.

Scores options and texts. Tasks that are answered in words need `--model hf`.
"""

from __future__ import annotations

from pathlib import Path

from musicllm import console
from musicllm.errors import NotAvailableError
from musicllm.evals.harness.model import HarnessModel
from musicllm.inference.scorer.scorer import Scorer
from musicllm.model import adapters, base


class NamedModel(HarnessModel):
    """A model as `--model_args` names it; arguments as those of `--model hf`.

    Args:
        pretrained: folder or hub id.
        peft: folder of an adapter.
        revision: of the hub's repository.
        dtype: float32, bfloat16 or float16; `auto`: as stored.
        device: for torch; None: the GPU if there is one. A GPU that is not there becomes the CPU,
            with a note.
        add_bos_token: put the mark of the beginning before prompts.
        max_length: tokens; None: the model's context.
        batch_size: accepted, since the harness always gives one; batches find their size here.
        max_batch_size: likewise.

    Raises:
        InputError: files are missing, or the tokenizer does not belong to the model.
        NotAvailableError: the hub cannot be reached.
    """

    def __init__(
        self,
        pretrained: str,
        *,
        peft: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        add_bos_token: bool = False,
        max_length: int | None = None,
        batch_size: object = None,
        max_batch_size: object = None,
    ) -> None:
        import torch

        del batch_size, max_batch_size
        if dtype == "auto":
            stored = base.load_config(pretrained, revision=revision).dtype
            dtype = str(stored or torch.float32).removeprefix("torch.")
        model = base.load(pretrained, dtype=dtype, attention=None, revision=revision)
        if peft is not None:
            model = adapters.load_adapter(model, Path(peft))
        tokenizer = base.load_tokenizer(pretrained, revision=revision)
        scorer = Scorer(model.to(usable(device)))
        super().__init__(scorer, tokenizer, add_bos=add_bos_token, max_length=max_length)

    def generate_until(self, *_: object, **__: object) -> list[str]:
        """Refuse to write.

        Raises:
            NotAvailableError: always.
        """
        raise NotAvailableError(
            "--model musicllm scores options and texts and writes nothing; use --model hf for "
            "tasks that are answered in words, or recipe=musictheorybench of musicllm itself"
        )


def usable(device: str | None) -> str:
    """Return the device to use for `--device`."""
    import torch

    has_gpu = torch.cuda.is_available()
    if device is None:
        return "cuda" if has_gpu else "cpu"
    if device.startswith("cuda") and not has_gpu:
        console.note(f"--device {device} is not there; the CPU is taken")
        return "cpu"
    return device
