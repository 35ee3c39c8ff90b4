"""Kinds of a thing by name: optimizers, loggers, kinds of benchmark, and what else a user may add.

A kind stands in one module, which registers it when it is imported. The modules of a registry's own
package are imported when its kinds are first needed; those of the user are named by `extensions=`
and imported after the configuration is composed. Importing such a module has to be cheap: what is
heavy is imported in the functions that need it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar
from zlib import crc32

from musicllm.errors import InputError, MusicLLMError


class Kind(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str:
        """By which a setting names it."""


K = TypeVar("K", bound=Kind)


class Registry(Mapping[str, K], Generic[K]):
    """The kinds of one thing, in the order of their names.

    Args:
        what: the thing, for messages, such as `optimizer`.
        package: whose modules register the kinds that musicllm has.
    """

    def __init__(self, what: str, package: str) -> None:
        self.what = what
        self._package = package
        self._is_discovered = False
        self._kinds: dict[str, K] = {}

    def register(self, kind: K) -> K:
        """Add a kind and return it.

        Raises:
            InputError: another one has this name.
        """
        if _importing:  # a module of the user's: it is the one to be told of a name that is taken
            self._discover()
        if kind.name in self._kinds:
            raise InputError(f"there are two kinds of {self.what} named {kind.name}; rename one")
        self._kinds[kind.name] = kind
        return kind

    def __getitem__(self, name: str) -> K:
        """Return a kind; `checks` has refused names that are not there."""
        self._discover()
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names in order."""
        self._discover()
        return iter(sorted(self._kinds))

    def __len__(self) -> int:
        """Return the number of kinds."""
        self._discover()
        return len(self._kinds)

    def _discover(self) -> None:
        if self._is_discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
            importlib.import_module(module.name)
        self._is_discovered = True


_importing: list[Path] = []
"""The files of the user that are being imported."""

_loaded: list[str] = []


def loaded_extensions() -> list[str]:
    """Return the user's files that this process has imported, which its workers import, too."""
    return list(_loaded)


def load_extensions(places: list[str]) -> None:
    """Import the user's modules, which register kinds of their own; each once in a process.

    A module has the same name in every process, so that pickle finds its classes there.

    Args:
        places: Python files, or folders whose Python files are meant.

    Raises:
        InputError: a place does not exist or holds no Python file, or a file cannot be imported.
    """
    for place in map(Path, places):
        path = place.expanduser().resolve()
        if not path.exists():
            raise InputError(f"extensions names {place}, which does not exist")
        files = sorted(path.glob("*.py")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"extensions names {place}, a folder without Python files")
        for file in files:
            _import_file(file)
            if str(file) not in _loaded:
                _loaded.append(str(file))


def _import_file(file: Path) -> None:
    name = f"musicllm_extension_{file.stem}_{crc32(bytes(file)):x}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"extensions names {file}, which is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    _importing.append(file)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        reason = str(error) if isinstance(error, MusicLLMError) else repr(error)
        raise InputError(f"extensions: {file} cannot be imported: {reason}") from error
    finally:
        _importing.remove(file)
