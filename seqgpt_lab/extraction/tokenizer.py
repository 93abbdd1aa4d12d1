"""Text to token ids and back, byte for byte, with special tokens out of a document's reach; knows no prompt and no model."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from seqgpt_lab.errors import CheckpointError

GENERATE_TOKEN = "[GEN]"
_STRETCH = 16_384  # characters that are encoded at once where only part of a text may be needed: some 20 ms
_ESCAPED = re.compile("[\udc80-\udcff]")


def byte_symbols() -> list[str]:
    """The printable character that byte-level BPE writes for each byte 0..255 (Radford et al. 2019, GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text of some tokens, and the byte at which each token and each character begins; both lists end with the number of bytes."""

    text: str
    token_starts: tuple[int, ...]
    character_starts: tuple[int, ...]

    def tokens_of(self, start: int, end: int) -> range:
        """Indices of the tokens that hold any byte of characters [start, end), at least one; an end past the text is the text's end."""
        first, last = self.character_starts[start], self.character_starts[min(end, len(self.text))]
        # Special tokens have no bytes and begin where the token after them does, hence the last one that begins there.
        return range(bisect_right(self.token_starts, first) - 1, bisect_left(self.token_starts, last))


class TextTokenizer:
    """A byte-level BPE tokenizer of a checkpoint."""

    def __init__(self, tokenizer: Tokenizer, plain: Tokenizer) -> None:
        self._plain = plain
        symbols = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
        special = set(tokenizer.get_added_tokens_decoder())
        self.pieces: dict[int, bytes] = {}  # what each token that is not special writes
        for token, index in tokenizer.get_vocab().items():
            if index not in special:
                if not all(character in symbols for character in token):
                    raise CheckpointError(f"the token {token!r} is not byte-level BPE, as BLOOM's tokens are; wrong tokenizer.json?")
                self.pieces[index] = bytes(symbols[character] for character in token)
        generate = tokenizer.token_to_id(GENERATE_TOKEN)
        if generate is None:
            raise CheckpointError(f"the tokenizer has no {GENERATE_TOKEN} token, so this is not a SeqGPT checkpoint (plain BLOOM lacks it)")
        self.generate_id: int = generate

    @classmethod
    def load(cls, path: Path) -> TextTokenizer:
        """Read a tokenizer.json. Raises CheckpointError when it is corrupt, not byte-level BPE, or lacks [GEN]."""
        try:
            written = path.read_text(encoding="utf-8")
            tokenizer = Tokenizer.from_str(written)
            # Without its added tokens a tokenizer reads `[GEN]` or `</s>` in a document as the plain characters they are. A file
            # saved after training may still carry that training's truncation and padding, which would cut texts silently.
            plain = Tokenizer.from_str(json.dumps(json.loads(written) | {"added_tokens": [], "truncation": None, "padding": None}))
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
        except Exception as error:  # tokenizers raises bare Exception for a file it cannot parse
            raise CheckpointError(f"{path} is not a tokenizer.json ({error}); copy the one that belongs to the model") from error
        return cls(tokenizer, plain)

    def encode(self, text: str) -> Encoding:
        """Plain tokens of a text without lone surrogates; never a special token. `ids`, and `offsets` in code points."""
        return self._plain.encode(text, add_special_tokens=False)

    def settle(self, text: str) -> tuple[Encoding, int]:
        """`encode` of a text, and how many of its tokens stay whatever follows the text: those of all its words but the last.

        Words are what the tokenizer cuts a text into, from left to right, before it joins bytes within each. So the ids of a longer
        text are the settled ones and then those of what begins with the last word; none is settled in a text of one word.
        """
        encoding = self.encode(text)
        words = [0 if word is None else word for word in encoding.word_ids]
        return encoding, bisect_left(words, words[-1]) if words else 0

    def token_starts(self, text: str, stretch: int = _STRETCH) -> Iterator[list[int]]:
        """Where each token of a text begins, ascending; at most `stretch` characters are encoded at once, when they are asked for.

        They are those of the whole text's tokens, but that a word longer than a stretch is cut where the stretch ends.
        """
        at = 0
        while len(text) - at > stretch:
            encoding, settled = self.settle(text[at : at + stretch])
            offsets = encoding.offsets
            yield [at + start for start, _ in offsets[: settled or None]]
            at += offsets[settled][0] if settled else stretch
        yield [at + start for start, _ in self.encode(text[at:]).offsets]

    def decode(self, ids: Sequence[int]) -> Decoded:
        """The text of some tokens; special tokens have none, a byte that belongs to no UTF-8 character becomes U+FFFD."""
        pieces = [self.pieces.get(index, b"") for index in ids]
        escaped = b"".join(pieces).decode("utf-8", errors="surrogateescape")
        widths = [len(character.encode("utf-8", errors="surrogateescape")) for character in escaped]
        text = _ESCAPED.sub("\ufffd", escaped)
        return Decoded(text, tuple(accumulate(map(len, pieces), initial=0)), tuple(accumulate(widths, initial=0)))
