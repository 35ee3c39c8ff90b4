"""Tokens that keep a text a prefix of what a grammar allows, and let it end in time.

The grammar reads characters (`music.grammar`); a token may spell several, reach over bar lines and
into the next line, or end inside a character. Tokens are tried in the order in which they would
be drawn. Only where many are refused in a row all that are allowed are looked up, in a tree of
what tokens spell.

As the budget of tokens gets short, only tokens are allowed after which the shortest ending that the
grammar knows, one token per character, and the end token still fit: so a tune always ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from musicllm.data.encoder import Encoder
from musicllm.errors import InputError
from musicllm.inference.decoding.choosing import Race
from musicllm.inference.decoding.spelling import Node, Spelling, advanced, completed
from musicllm.music.grammar import Grammar, TuneRules

PATIENCE = 24
"""Tokens of a race that are tried one by one before all allowed ones are looked up."""

MEMORY = 32
"""Positions whose allowed tokens are remembered."""

GROWTH = 16
"""Characters by which a further character of a text lengthens its shortest ending at most, unless
rules ask for bars that have yet to be written."""


class State(Protocol):
    """A text so far, as `music.grammar` has it; immutable."""

    @property
    def may_end(self) -> bool:
        """Whether the text may end here."""

    @property
    def is_free(self) -> bool:
        """Whether this is prose."""

    def after(self, text: str) -> State | None:
        """Return the state after more text; None where that is not the beginning of anything."""

    def ending(self) -> str:
        """Return a short text after which it may end."""


class Position(NamedTuple):
    """Where a text is: the state behind its whole characters, and bytes that begin another one."""

    state: State
    tail: bytes

    def after(self, data: bytes) -> Position | None:
        """Return the position after bytes, or None where they are not allowed."""
        reached = _reached(self.state, self.tail, data)
        return None if reached is None else reached.completable()

    def completable(self) -> Position | None:
        """Return the position itself, or None where the character that is begun cannot be."""
        if self.tail and self.state.after((self.tail + completed(self.tail)).decode()) is None:
            return None
        return self

    @property
    def may_end(self) -> bool:
        """Whether the text may end here."""
        return not self.tail and self.state.may_end

    def tokens_to_end(self) -> int:
        """Return how many tokens it takes at most to where the text has ended; 0: it may end here.

        Every character of an ending may take a token, and so does the end.
        """
        if not self.tail:
            return 0 if self.state.may_end else len(self.state.ending()) + 1
        rest = completed(self.tail)
        state = self.state.after((self.tail + rest).decode())
        assert state is not None, "a character is begun only where it can be completed"
        return len(rest) + len(state.ending()) + 1


class Vocabulary:
    """What the tokens of one tokenizer do to positions.

    Args:
        spelling: of the tokens.
        end_ids: tokens that end a text.
    """

    def __init__(self, spelling: Spelling, end_ids: list[int]) -> None:
        self.spelling = spelling
        self.end_ids = frozenset(end_ids)
        self._allowed: dict[tuple[Position, bool], dict[int, Position]] = {}

    @classmethod
    def of(cls, encoder: Encoder) -> Vocabulary:
        """Return the vocabulary of an encoder's tokenizer.

        Raises:
            InputError: it cannot spell a note.
        """
        return cls(Spelling.of(encoder.lexicon), encoder.end_ids)

    def after(self, position: Position, token: int, *, is_first: bool) -> Position | None:
        """Return the position after a token that is no end, or None where it is not allowed."""
        spelling = self.spelling
        data = spelling.data[token] if token < len(spelling.data) else None
        if not data:  # it writes nothing: in prose it does no harm
            return position if position.state.is_free and not position.tail else None
        if is_first and spelling.drops_blank and data.startswith(b" "):
            data = data[1:]
        elif not position.tail and (text := spelling.texts[token]) is not None:
            state = position.state.after(text)
            return None if state is None else Position(state, b"")
        return position.after(data) if data else position

    def allowed(self, position: Position, *, is_first: bool) -> dict[int, Position]:
        """Return the tokens allowed at a position, without ends, and where they lead."""
        is_first = is_first and self.spelling.drops_blank
        key = (position, is_first)
        if (stored := self._allowed.get(key)) is not None:
            return stored
        if is_first:
            tried = (
                (token, self.after(position, token, is_first=True))
                for token in range(len(self.spelling.data))
                if token not in self.end_ids
            )
            ways = {token: way for token, way in tried if way is not None}
        else:
            ways = dict(_walk(self.spelling.tree, position))
            if position.state.is_free and not position.tail:
                nothing = (token for token, data in enumerate(self.spelling.data) if not data)
                ways |= {token: position for token in nothing if token not in self.end_ids}
        if len(self._allowed) >= MEMORY:
            self._allowed.pop(next(iter(self._allowed)))
        self._allowed[key] = ways
        return ways


@dataclass(frozen=True, eq=False)
class Constraint:
    """A grammar on what is written after one prompt.

    Attributes:
        vocabulary: of the model.
        start: state before the first token.
        max_new_tokens: budget.
        begins_text: the first token begins a text, which some tokenizers decode without its blank.
        counts_always: the way to the end is counted at every token, since a character may lengthen
            it by more than `GROWTH`, as with a number of bars, a form or chords to keep to.
    """

    vocabulary: Vocabulary
    start: State
    max_new_tokens: int
    begins_text: bool = True
    counts_always: bool = False

    @classmethod
    def of(
        cls, vocabulary: Vocabulary, rules: TuneRules, max_new_tokens: int, text: str = ""
    ) -> Constraint:
        """Return the constraint by which tunes keep to rules, from where a text leaves off.

        Raises:
            ConfigError: rules that cannot be kept.
            InputError: the text is not the beginning of anything legal.
        """
        return cls(
            vocabulary,
            Grammar(rules).start(text),
            max_new_tokens,
            begins_text=not text,
            counts_always=rules.ask_for_bars,
        )

    def begin(self) -> Progress:
        """Return where a new text stands.

        Raises:
            InputError: the budget is smaller than what has to be written.
        """
        progress = Progress(self)
        if (least := progress.position.tokens_to_end()) > self.max_new_tokens:
            raise InputError(
                f"generation.max_new_tokens={self.max_new_tokens} is less than the {least} tokens "
                f"that the shortest tune of these rules may take; write at least {least}"
            )
        return progress


class Progress:
    """What one text may still become; mutable."""

    def __init__(self, constraint: Constraint) -> None:
        self._vocabulary = constraint.vocabulary
        self._left = constraint.max_new_tokens
        self._is_first = constraint.begins_text
        self._counts_always = constraint.counts_always
        self.position = Position(constraint.start, b"")
        self._need = self.position.tokens_to_end()

    def copy(self) -> Progress:
        """Return the same place, to go on from in another way."""
        return copy(self)

    def accept(self, token: int) -> bool:
        """Take a token, if it is allowed."""
        if token in self._vocabulary.end_ids:
            return self.position.may_end
        position = self._vocabulary.after(self.position, token, is_first=self._is_first)
        need = None if position is None else self._need_of(position, token)
        if position is None or need is None:
            return False
        self.position = position
        self._need = need
        self._left -= 1
        self._is_first = False
        return True

    def first(self, race: Race) -> int | None:
        """Take the first token of a race that is allowed, or return None where none is."""
        for token in islice(race.order(), PATIENCE):
            if self.accept(token):
                return token
        for token in race.order_of(sorted(self._ways())):
            if self.accept(token):
                return token
        return None

    def allowed(self) -> set[int]:
        """Return all tokens that `accept` would take."""
        return {
            token
            for token, way in self._ways().items()
            if way is None or self._need_of(way, token) is not None
        }

    def _ways(self) -> dict[int, Position | None]:
        """Return where tokens lead that the grammar allows, the budget aside; None: to the end."""
        ways: dict[int, Position | None] = {}
        ways |= self._vocabulary.allowed(self.position, is_first=self._is_first)
        return ways | dict.fromkeys(self._vocabulary.end_ids) if self.position.may_end else ways

    def _need_of(self, way: Position, token: int) -> int | None:
        """Return how many tokens it may take to the end after one, or None if too many are left.

        Endings take a while to find, so as long as the budget is large they are only estimated.
        """
        data = self._vocabulary.spelling.data[token] or b""
        estimate = self._need + GROWTH * len(data)
        starts = self.position.state.is_free and not way.state.is_free  # a tune of many bars may
        is_enough = estimate < self._left and not (starts or self._counts_always)
        need = estimate if is_enough else way.tokens_to_end()
        return need if need < self._left else None


def _reached(state: State, tail: bytes, data: bytes) -> Position | None:
    """Return the position after bytes, whether or not a character that they begin is allowed."""
    if (read := advanced(tail, data)) is None:
        return None
    text, rest = read
    after = state.after(text) if text else state
    return None if after is None else Position(after, rest)


def _walk(node: Node, position: Position) -> Iterator[tuple[int, Position]]:
    """Yield the tokens below a node of the tree that are allowed, with where they lead."""
    for byte, below in node.items():
        if byte is None:
            continue
        if byte < 0x80 and not position.tail:
            state = position.state.after(chr(byte))
            reached = None if state is None else Position(state, b"")
        else:
            reached = _reached(position.state, position.tail, bytes([byte]))
        if reached is not None:
            if None in below and reached.completable() is not None:
                yield from ((token, reached) for token in below[None])
            yield from _walk(below, reached)
