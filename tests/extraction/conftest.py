"""Two tokenizers: the embedded model's, one token a character, and one that merges characters and marks, as BLOOM's does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from seqgpt_lab.embedded.tokenizer import BLOOM_SPLIT, SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.extraction.tokenizer import GENERATE_TOKEN, TextTokenizer

CORPUS = [
    "输入: 张伟，35岁，现任上海云智科技有限公司高级算法工程师 (全职)\n抽取: 姓名，年龄，公司\n输出: 姓名: 张伟\n年龄: 35岁\n",
    "供应商: 上海云智科技有限公司 (甲方)\n金额: 120,000元 (含税)\n交货期: 2024年5月9日\n",
]


def trained_tokenizer(texts: list[str], size: int = 420) -> Tokenizer:
    """A byte-level BPE with BLOOM's split whose merges run over characters, spaces and marks."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(BLOOM_SPLIT), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [AddedToken(word, normalized=False, special=True) for word in SPECIAL_TOKENS]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False, min_frequency=1)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(GENERATE_TOKEN, normalized=False, special=True)])
    return tokenizer


def model_directory(directory: Path, tokenizer: Tokenizer) -> Path:
    """All of a model but its weights; its tokenizer's file."""
    save_tokenizer(tokenizer, directory)
    (directory / "config.json").write_text(json.dumps(ModelConfig(500, 64, 1, 1).to_json()), encoding="utf-8")
    return directory / "tokenizer.json"


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    return model_directory(directory, build_tokenizer([]))


@pytest.fixture(scope="session")
def merging_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("merging")
    return model_directory(directory, trained_tokenizer(CORPUS))


@pytest.fixture(scope="session", params=["of characters", "merging"])
def file(request: pytest.FixtureRequest, tokenizer_file: Path, merging_file: Path) -> Path:
    """Of each of the two tokenizers in turn."""
    return tokenizer_file if request.param == "of characters" else merging_file


@pytest.fixture(scope="session")
def either(file: Path) -> TextTokenizer:
    return TextTokenizer.load(file)


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> TextTokenizer:
    return TextTokenizer.load(tokenizer_file)


@pytest.fixture(scope="session")
def merging(merging_file: Path) -> TextTokenizer:
    return TextTokenizer.load(merging_file)
