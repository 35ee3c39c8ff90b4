"""The grammar of legal tunes, and the states of a text that is written by it."""

from __future__ import annotations

from typing import Self

from musicllm.errors import InputError
from musicllm.music.grammar import bars, music
from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.endings import next_piece
from musicllm.music.grammar.metres import metre
from musicllm.music.grammar.prose import enter, prose
from musicllm.music.grammar.rules import TuneRules
from musicllm.music.grammar.tables import compile_rules
from musicllm.music.grammar.trie import Node

_AFTER_BAR = (music.item, music.line, music.lone_stroke, bars.more)
_FENCED = (music.after_fence,)


class State(Cursor):
    """A text so far, which is the beginning of something legal. Never changes.

    Cost of `after`: about 5 microseconds for each character, whatever the length of the text so
    far (a form in which letters come back also costs the length of a section); `ending` costs about
    50 for each item that is missing. The memory of a state does not grow with the text.
    """

    __slots__ = ()

    def after(self, text: str) -> Self | None:
        """Return the state after more text; None if nothing legal starts so."""
        new = self.copy()
        return new if new.read(text) else None

    @property
    def is_free(self) -> bool:
        """Outside tunes, where every character may follow but the few that `prose` names."""
        return self.step is prose

    @property
    def may_end(self) -> bool:
        """Whether the text may end here: outside tunes, or after the last bar line of one."""
        if self.step is prose:
            return self.num_tunes > 0 or not self.tables.rules.required
        if self.step is bars.more:
            new = self.copy()
            return bars.finish(new) and bars.is_whole(new)
        return (self.step in _AFTER_BAR or self.step in _FENCED) and bars.is_whole(self)

    def ending(self) -> str:
        """Return a short text after which the text may end; empty if it may end here."""
        pieces = []
        state = self
        while not state.may_end:
            piece = next_piece(state)
            following = state.after(piece)
            assert piece, f"nothing ends {state.step.__name__}"
            assert following is not None, f"{piece!r} does not end {state.step.__name__}"
            pieces.append(piece)
            state = following
        return "".join(pieces)


class Grammar:
    """The grammar of legal tunes amid prose, for some rules.

    Raises:
        ConfigError: rules that cannot be kept, by their keys in `generation.tune`.
    """

    def __init__(self, rules: TuneRules | None = None) -> None:
        self.rules = rules or TuneRules()
        self._tables = compile_rules(self.rules)

    def start(self, text: str = "") -> State:
        """Return the state after a text that is already there.

        Raises:
            InputError: the text is not the beginning of anything legal.
        """
        state, length = self.read(text)
        if length < len(text):
            rule = f"{text[length]!r} cannot stand here in a legal tune"
            raise InputError(f"{place_of(text, length)} of the beginning: {rule}")
        return state

    def read(self, text: str) -> tuple[State, int]:
        """Return the state after the longest legal beginning of a text, and its length."""
        state = State(self._tables, metre(""), Node())
        enter(state)
        for length, char in enumerate(text):
            following = state.after(char)
            if following is None:
                return state, length
            state = following
        return state, len(text)


def place_of(text: str, index: int) -> str:
    """Return the place of a character, such as `line 5, column 8`."""
    line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
    return f"line {line}, column {column}"
