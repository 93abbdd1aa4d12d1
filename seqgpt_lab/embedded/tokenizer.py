"""Builds the embedded model's tokenizer: BLOOM's byte-level BPE and special tokens, merges within one character only.

A character is one token (or, when rare, its UTF-8 bytes), never part of a longer one, so a span has the same tokens wherever it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from seqgpt_lab.extraction.tokenizer import GENERATE_TOKEN, byte_symbols
from seqgpt_lab.files import write_atomically, write_json

SPECIAL_TOKENS = ("<unk>", "<s>", "</s>", "<pad>")
BLOOM_SPLIT = r" ?[^(\s|[.,!?…。，、।۔،])]+"
_SELDOM = 3  # times; a character that is rarer is written as its bytes
_FULL_WIDTH = [chr(code) for code in range(0xFF01, 0xFF5F)]
_MARKS = "。，、；：？！“”‘’（）《》〈〉【】〔〕「」『』—…·～￥¥°％‰×÷±№①②③④⑤⑥⑦⑧⑨⑩〇　✓√□■●○◆★☆→Ⅰ Ⅱ Ⅲ�".replace(" ", "")


def common_characters() -> list[str]:
    """The 3,755 everyday Han characters (GB 2312, level 1), with Chinese and full-width marks."""
    rows = (bytes([high, low]) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
    han = [character for row in rows if (character := row.decode("gb2312", errors="ignore"))]
    return list(dict.fromkeys([*han, *_MARKS, *_FULL_WIDTH]))


def build_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer that knows the common characters and every other one that `texts` hold at least three times."""
    counted = Counter(character for text in texts for character in text)
    seen = sorted(character for character, count in counted.items() if count >= _SELDOM and len(character.encode()) > 1)
    characters = list(dict.fromkeys([*common_characters(), *seen]))
    vocabulary, merges = _merge_within_characters(characters)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False, byte_fallback=False))
    split = pre_tokenizers.Split(Regex(BLOOM_SPLIT), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in (*SPECIAL_TOKENS, GENERATE_TOKEN)])
    return tokenizer


def _merge_within_characters(characters: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary: special tokens, the 256 bytes, then each character's prefixes of 2, 3 and 4 bytes as merges build them."""
    symbols = byte_symbols()
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *symbols])}
    merges: list[tuple[str, str]] = []
    for character in characters:
        written = "".join(symbols[byte] for byte in character.encode())
        for length in range(2, len(written) + 1):
            if written[:length] not in vocabulary:
                vocabulary[written[:length]] = len(vocabulary)
                merges.append((written[: length - 1], written[length - 1]))
    return vocabulary, merges


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that the tokenizer is known to have."""
    found = tokenizer.token_to_id(token)
    assert found is not None, f"the tokenizer lacks {token}"
    return found


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Write tokenizer.json and the two small files that let transformers load it as BLOOM's."""
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "tokenizer.json", tokenizer.to_str(pretty=True))
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    config = {**special, "tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "left", "clean_up_tokenization_spaces": False}
    write_json(directory / "special_tokens_map.json", {**special, "additional_special_tokens": [GENERATE_TOKEN]})
    write_json(directory / "tokenizer_config.json", config)
