"""A tokenizer's tokens by their bytes: which ones a run of bytes may be written with. Knows no answer and no document."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

from seqgpt_lab.extraction.tokenizer import TextTokenizer

_SEPARATORS = b"\n\t"
_TOKENIZERS, _TEXTS = 4, 4096  # kept at hand


def first_separator(piece: bytes) -> int:
    """Where the first line break or tab stands; the length where there is none."""
    return next((at for at, byte in enumerate(piece) if byte in _SEPARATORS), len(piece))


class Vocabulary:
    """ids: of each token's bytes. heads: the bytes before the first line break or tab, of tokens in which one follows other bytes."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids = {piece: index for index, piece in tokenizer.pieces.items()}
        self.heads = {piece[:at] for piece in self.ids if 0 < (at := first_separator(piece)) < len(piece)}
        self._sorted = sorted(self.ids)
        self._longest = max(map(len, self._sorted))
        self.settled = lru_cache(_TEXTS)(self._settled)

    def begins(self, start: bytes) -> bool:
        """Whether a token begins with these bytes, or is them."""
        at = bisect_left(self._sorted, start)
        return at < len(self._sorted) and self._sorted[at].startswith(start)

    def along(self, written: bytes, data: bytes, at: int) -> tuple[list[int], list[bytes]]:
        """Tokens that write `written` and bytes of `data` from `at` on, one or more up to a separator; and those that make a head."""
        found, heads = [], []
        for end in range(at + 1, min(len(data), at + self._longest) + 1):
            if data[end - 1] in _SEPARATORS:
                break
            piece = written + data[at:end]
            if piece in self.ids:
                found.append(self.ids[piece])
            if piece in self.heads:
                heads.append(data[at:end])
            if not self.begins(piece):
                break
        return found, heads

    def _settled(self, text: bytes) -> tuple[int, ...]:
        """The first ids of `text`: as many as stay the same whatever follows it.

        What follows can change ids only through a token that begins inside the text and ends beyond it, so the text up to where
        such a token may begin is encoded too, and the ids that all have in common are settled.
        """
        if text and text[0] & 0xC0 == 0x80:  # begins within a character
            return ()
        whole = text.decode("utf-8", errors="ignore")  # half a character at the end is not settled either
        cuts = [cut for cut in range(len(whole)) if self._goes_on(whole[cut:].encode())]
        encoded = [self.tokenizer.encode(whole[:cut]).ids for cut in [*cuts, len(whole)]]
        return tuple(column[0] for column in takewhile(lambda column: len(set(column)) == 1, zip(*encoded, strict=False)))

    def _goes_on(self, start: bytes) -> bool:
        """Whether a longer token begins with these bytes."""
        at = bisect_right(self._sorted, start)
        return at < len(self._sorted) and self._sorted[at].startswith(start)


def load_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a tokenizer.json, read once a process unless the file changes. Raises CheckpointError as `TextTokenizer.load`."""
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(_TOKENIZERS)
def _load(path: Path, _changed: int) -> Vocabulary:
    return Vocabulary(TextTokenizer.load(path))
