"""The answers that are copies: `label: value<TAB>value` or `label: None`, a line a label, byte by byte. Knows no tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seqgpt_lab.extraction.answer import ABSENT
from seqgpt_lab.extraction.copyable import Copyable, Places
from seqgpt_lab.extraction.vocabulary import first_separator

_ABSENT = ABSENT.encode()


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where an answer is: in line `line` (as many as there are lines: after the last one), `named` bytes into `label: `, then into a
    value of which `value` is written and may end at `places`; `used` are the values before it in this line."""

    line: int = 0
    named: int = 0
    used: tuple[bytes, ...] = ()
    value: bytes = b""
    places: Places = None


class Grammar:
    """Which bytes may follow a state. names: what each line begins with. multiple: which lines may hold several values.

    A value may stand in a line as often as in what it is copied from. The last line's break may be left out.
    """

    def __init__(self, copyable: Copyable, names: Sequence[str], multiple: Sequence[bool]) -> None:
        self.copyable, self.multiple = copyable, tuple(multiple)
        self.names = tuple(name.encode() for name in names)

    def name_left(self, state: State) -> bytes:
        """What is left of the current line's name; nothing within a value and after the last line."""
        return self.names[state.line][state.named :] if state.line < len(self.names) else b""

    def may_stop(self, state: State) -> bool:
        """Whether the answer may be over here."""
        last = state.line == len(self.names) - 1
        return state.line == len(self.names) or (last and self.separate(state, b"\n") is not None)

    def walk(self, state: State, piece: bytes) -> State | None:
        """The state after more bytes; None when they cannot follow, or nothing could follow them."""
        while piece:
            name = self.name_left(state)
            at = first_separator(piece)
            if name:
                count = min(len(name), len(piece))
                following = replace(state, named=state.named + count) if piece.startswith(name[:count]) else None
            elif at:
                count, following = at, self.copy(state, piece[:at])
            else:
                count, following = 1, self.separate(state, piece[:1])
            if following is None:
                return None
            state, piece = following, piece[count:]
        return state

    def copy(self, state: State, piece: bytes) -> State | None:
        """The state after more bytes of a value, or of the word for an absent one."""
        if state.line == len(self.names):
            return None
        longer = State(state.line, state.named, state.used, state.value + piece, self.copyable.follow(state.places, piece))
        return longer if self.absent_left(longer) is not None or self._can_end(longer) else None

    def separate(self, state: State, separator: bytes) -> State | None:
        """The state after a value that ends with a line break or a tab."""
        if state.line == len(self.names) or self.name_left(state):
            return None
        whole = self.copyable.complete(state.places) and state.value not in self.spent(state)
        if separator == b"\n":
            return State(state.line + 1) if whole or self.absent_left(state) == b"" else None
        following = State(state.line, state.named, (*state.used, state.value))
        return following if whole and self.multiple[state.line] and self._can_end(following) else None

    def absent_left(self, state: State) -> bytes | None:
        """What is left of the word for an absent value; None where it is not being written."""
        here = state.line < len(self.names) and not self.name_left(state) and not state.used
        return _ABSENT[len(state.value) :] if here and _ABSENT.startswith(state.value) else None

    def spent(self, state: State) -> set[bytes]:
        """Values that stand in this line as often as they may."""
        return {value for value in state.used if state.used.count(value) >= self.copyable.times(value)}

    def forced(self, state: State) -> bytes:
        """The bytes that must follow."""
        found = b""
        while len(options := self._options(state)) == 1:
            found += options[0]
            following = self.walk(state, options[0])
            assert following is not None, f"{options[0]!r} is all that may follow {state}, yet it may not"
            state = following
        return found

    def _options(self, state: State) -> list[bytes]:
        """What may follow: the rest of a name, or single bytes. Some may be too many, none too few."""
        if name := self.name_left(state):
            return [name]
        if state.line == len(self.names):
            return []
        options = set(self.copyable.next_bytes(state.places))
        options |= {separator[0] for separator in (b"\n", b"\t") if self.separate(state, separator)}
        options |= set((self.absent_left(state) or b"")[:1])
        may_stop = [b""] if self.may_stop(state) else []
        return [bytes([option]) for option in options] + may_stop

    def _can_end(self, state: State) -> bool:
        """Whether the value that is being copied can still become one that may be written here."""
        spent = {value for value in self.spent(state) if value.startswith(state.value)}
        return any(state.value + ending not in spent for ending in self.copyable.endings(state.places))
