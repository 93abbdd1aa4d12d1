"""What tests of training have in common."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from seqgpt_lab.embedded.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    built = build_tokenizer([])
    built.encode_special_tokens = True
    return built
