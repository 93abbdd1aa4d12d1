"""Text to token ids and back, byte for byte, with special tokens out of a document's reach; knows no prompt and no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from seqgpt_lab.errors import CheckpointError

GENERATE_TOKEN = "[GEN]"


def _bytes_by_symbol() -> dict[str, int]:
    """Byte-level BPE writes each byte as a printable character (Radford et al. 2019, GPT-2); this is the way back."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return {chr(byte) if byte in printable else chr(next(others)): byte for byte in range(256)}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text of some tokens, and where each token's bytes begin: token i covers bytes [starts[i], starts[i + 1])."""

    text: str
    starts: tuple[int, ...]

    def tokens_of(self, start: int, end: int) -> range:
        """Indices of the tokens that hold any byte of characters [start, end)."""
        first, last = len(self.text[:start].encode("utf-8", "replace")), len(self.text[:end].encode("utf-8", "replace"))
        return range(
            max((index for index, begin in enumerate(self.starts[:-1]) if begin <= first), default=0),
            next((index for index, begin in enumerate(self.starts) if begin >= last), len(self.starts) - 1),
        )


class TextTokenizer:
    """A byte-level BPE tokenizer of a checkpoint."""

    def __init__(self, tokenizer: Tokenizer, plain: Tokenizer) -> None:
        self._plain = plain
        symbols = _bytes_by_symbol()
        special = set(tokenizer.get_added_tokens_decoder())
        self._bytes: dict[int, bytes] = {}
        for token, index in tokenizer.get_vocab().items():
            if index not in special:
                if not all(character in symbols for character in token):
                    raise CheckpointError(f"the tokenizer's token {token!r} is not byte-level BPE, as BLOOM's tokens are; wrong tokenizer.json?")
                self._bytes[index] = bytes(symbols[character] for character in token)
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
            # Without its added tokens a tokenizer reads `[GEN]` or `</s>` in a document as the plain characters they are.
            plain = Tokenizer.from_str(json.dumps(json.loads(written) | {"added_tokens": []}))
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
        except Exception as error:  # tokenizers raises bare Exception for a file it cannot parse
            raise CheckpointError(f"{path} is not a tokenizer.json ({error}); copy the one that belongs to the model") from error
        return cls(tokenizer, plain)

    def encode(self, text: str) -> Encoding:
        """Plain tokens of a text without lone surrogates; never a special token. `ids`, and `offsets` in code points."""
        return self._plain.encode(text, add_special_tokens=False)

    def decode(self, ids: Sequence[int]) -> Decoded:
        """The text of some tokens; special tokens have none, bytes that are no UTF-8 become U+FFFD."""
        pieces = [self._bytes.get(index, b"") for index in ids]
        starts = [0]
        for piece in pieces:
            starts.append(starts[-1] + len(piece))
        text = b"".join(pieces).decode("utf-8", errors="replace")
        return Decoded(text, tuple(starts))
