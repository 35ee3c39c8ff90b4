"""What an engine promises, and how results and errors cross from a worker process to the caller."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

from musicllm import console
from musicllm.errors import MusicLLMError
from musicllm.registry import load_extensions, loaded_extensions

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKER_ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Of every worker process: the cores are shared out among processes, not threads."""


class Engine(Protocol):
    """Maps a function over items, wherever the processes are."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        description: str,
        unit: str = "part",
    ) -> Iterator[Result]:
        """Yield `function(item)` for every item, in the order of the items.

        Several items are worked on at a time. Function, items and results travel between
        processes, so they are small; heavy data goes through files. An item may be given to a
        second worker when the first is lost, so the function gives its files their final names
        only when they are complete.

        Args:
            function: pure but for its files; picklable, so on the top level of a module or a
                dataclass with `__call__`. Each worker gets its own copy once, after it has
                imported the user's extensions.
            items: picklable.
            description: shown beside the progress bar.
            unit: singular name of an item, for the bar.

        Raises:
            MusicLLMError: whatever the function raised, as it was raised there.
            StageError: a worker process was lost and is not replaced.
        """
        ...


def counted(
    results: Iterable[Result], num_items: int, description: str, unit: str
) -> Iterator[Result]:
    """Yield results as they come, and show how many of them there are."""
    with console.progress(description, num_items, unit) as advance:
        for result in results:
            advance()
            yield result


@dataclass(frozen=True)
class _Failure:
    """An exception, taken apart.

    Pickle would make it again by calling its class with its text, which is not what the
    `__init__` of every exception takes.
    """

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: dict[str, Any]
    trace: str

    def error(self) -> BaseException:
        """Return the exception; one that is not for users carries the worker's traceback."""
        error = self.kind.__new__(self.kind, *self.args)
        error.__dict__.update(self.state)
        if not issubclass(self.kind, MusicLLMError):
            error.add_note(f"in a worker process:\n{self.trace}")
        return error


class Task:
    """A function on its way to a worker process.

    The worker imports the user's extensions before it unpickles the function or an item, which
    may be made of their classes.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._extensions = loaded_extensions()
        self._pickled = pickle.dumps(function)

    @cached_property
    def _function(self) -> Callable[[Any], Any]:
        load_extensions(self._extensions)
        function: Callable[[Any], Any] = pickle.loads(self._pickled)
        return function

    def attempt(self, item: bytes) -> bytes:
        """Return what the function returns or raises for a pickled item, as `outcome` opens it."""
        try:
            return pickle.dumps(self._function(pickle.loads(item)))
        except Exception as error:  # noqa: BLE001  # raised again where the caller is
            trace = "".join(traceback.format_exception(error))
            state = {name: value for name, value in vars(error).items() if name != "__notes__"}
            try:
                return pickle.dumps(_Failure(type(error), error.args, state, trace))
            except Exception:  # noqa: BLE001  # whatever pickle says of an exception
                return pickle.dumps(_Failure(RuntimeError, (repr(error),), {}, trace))


def outcome(answer: bytes) -> Any:
    """Return what the function returned.

    Raises:
        BaseException: what it raised instead.
    """
    result = pickle.loads(answer)
    if isinstance(result, _Failure):
        raise result.error()
    return result
