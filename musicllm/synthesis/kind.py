"""What a kind of synthesis is: requests from records, answers read, records made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from musicllm.data.records import Record
from musicllm.errors import Problem
from musicllm.registry import Registry
from musicllm.schema import SynthesisConfig

V = TypeVar("V")

PROMPTS = Path(__file__).parent / "prompts"
"""The prompts that come with musicllm."""

SHARED_KEYS = (
    "kind", "prompt", "max_items", "max_tries", "max_reject_fraction", "requests_per_minute",
    "tokens_per_minute", "input_price", "output_price", "max_cost", "max_tokens",
)  # fmt: skip
"""Keys of the group `synthesis` that every kind follows; others must be named in `keys`."""


@dataclass(frozen=True)
class Item:
    """One thing that the teacher is asked about.

    Attributes:
        id: unique in a run, and the same whenever the run is repeated.
        variables: what the prompt can use, and `parse` and `record` need; JSON values alone.
        variant: items with equal prompts get answers of their own if their variants differ; with
            equal ones, they share an answer.
    """

    id: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    variant: int = 0


@dataclass(frozen=True)
class Rejected:
    """Why an answer does not fit.

    Attributes:
        reason: one of a few, to be counted; it continues the sentence "the answer ...", such as
            `is no JSON` or `changes a number`.
        detail: what exactly is wrong with this one; a prompt can tell the teacher.
    """

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        """Return reason and detail on one line."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Synthesis(ABC, Generic[V]):
    """An opened kind, with its settings.

    Attributes:
        prompt: Jinja file of the prompt; see `prompt_file`.
    """

    prompt: Path

    @abstractmethod
    def requests(self, records: Iterable[Record]) -> Iterator[Item]:
        """Yield what the teacher is asked about, in an order that never changes.

        Args:
            records: of `data.sources`, each read when it is needed; a kind without input leaves
                them alone.
        """

    @abstractmethod
    def parse(self, answer: str, item: Item) -> V | Rejected:
        """Read an answer; a pure function, since stored answers are read again.

        Args:
            answer: as the teacher wrote it, without white space around it.
            item: that was asked about.
        """

    @abstractmethod
    def record(self, item: Item, value: V) -> dict[str, Any]:
        """Return the record of an answer that fits, without `id` and `provenance`.

        An `id` of its own is kept; without one it gets the item's.
        """

    def records(self, item: Item, value: V) -> list[dict[str, Any]]:
        """Return the records of an answer that fits; several need ids of their own."""
        return [self.record(item, value)]

    def given(self) -> Iterator[dict[str, Any]]:
        """Yield records that no teacher has to write, each with an `id`; they come first."""
        return iter(())

    def expected_tokens(self, item: Item) -> int | None:
        """Return about how many tokens an answer has, for the estimate of tokens and money.

        None where nothing is known; then the longest answer counts.
        """
        del item
        return None


class SynthesisKind(ABC):
    """A kind of synthesis.

    Attributes:
        name: value of `synthesis.kind`.
        reads_records: it makes its items from `data.sources`.
        keys: of the group `synthesis` that it follows beside `SHARED_KEYS`.
    """

    name: ClassVar[str]
    reads_records: ClassVar[bool] = True
    keys: ClassVar[tuple[str, ...]] = ()

    def prompt(self, settings: SynthesisConfig) -> Path:
        """Return the prompt file in use: that of the settings, or the kind's own.

        Those that come with musicllm are named after their kinds; a kind elsewhere says its own.
        """
        if settings.prompt is None:
            return PROMPTS / f"{self.name}.jinja"
        return Path(settings.prompt).expanduser()

    @abstractmethod
    def open(self, settings: SynthesisConfig, seed: int) -> Synthesis[Any]:
        """Return the kind with its settings.

        Args:
            settings: `synthesis` of the configuration.
            seed: of the run, for items that are drawn.

        Raises:
            InputError: a file that a setting names cannot be read.
        """

    def files(self, settings: SynthesisConfig) -> dict[str, Path]:
        """Return setting -> the file in use, whose contents decide the result, as the prompt's."""
        return {"prompt": self.prompt(settings)}

    def problems(self, settings: SynthesisConfig) -> Iterator[Problem]:
        """Yield settings that are missing or wrong; those that have no effect are reported."""
        del settings
        return iter(())


SYNTHESES: Registry[SynthesisKind] = Registry("synthesis", "musicllm.synthesis.kinds")
"""A user adds a kind with `extensions=`."""
