"""What tests of training have in common."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from seqgpt_lab.embedded.fused import build
from seqgpt_lab.embedded.tokenizer import build_tokenizer


@pytest.fixture(scope="session")
def compiled() -> None:
    """What training has compiled is there, or the test is skipped for want of a C++ compiler."""
    try:
        build.load()
    except build.NotCompiledError as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    built = build_tokenizer([])
    built.encode_special_tokens = True
    return built
