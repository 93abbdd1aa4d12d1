"""A random checkpoint, and an engine that answers from a list instead of a model, for the command line's tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from seqgpt_lab.apps.cli import app
from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.engine.decode import More
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.progress import Progress
from tests.checkpoints import write_random_checkpoint

KNOWN = {"姓名": ["张伟", "李娜"], "年龄": ["35", "28"], "公司": ["上海云智科技有限公司"]}
load_tokenizer = cache(TextTokenizer.load)
PROMPT = re.compile("输入: (.*)\n(抽取|分类): (.*)\n输出: ", re.DOTALL)


@dataclass(slots=True)
class ScriptedEngine:
    """Answers prompts with the known values that their text holds; keeps what it was loaded with and how many prompts came at once."""

    checkpoint: Checkpoint
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    loaded: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    batch_size: int = 8

    def load(self, source: str, **options: object) -> ScriptedEngine:
        self.loaded.append((source, options))
        return self

    def __enter__(self) -> ScriptedEngine:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        self.batches.append(len(requests))
        tokenizer = load_tokenizer(self.checkpoint.tokenizer)
        completions = []
        for done, request in enumerate(requests, start=1):
            found = PROMPT.fullmatch(tokenizer.decode(request.prompt_ids).text)
            assert found
            ids = tuple(tokenizer.encode(_answer(*found.groups())).ids)
            completions.append(Completion(ids, (0.99,) * len(ids), "stop", 0.99, Timing(0.0, 0.0)))
            if progress:
                progress(done, len(requests))
        return completions

    def serve(self, more: More, finish: Callable[[Sequence[int], Sequence[Completion]], None]) -> None:
        """What comes together is answered together."""
        while found := more(self.batch_size):
            finish([number for number, _ in found], self.generate([request for _, request in found]))

    def wake(self) -> None:
        """Nothing: it asks for more until there is none."""


def _answer(text: str, task: str, labels: str) -> str:
    names = labels.split("，")
    if task == "分类":
        return "\t".join(name for name in names if any(value in text for value in KNOWN.get(name, [])))
    values = {name: [value for value in KNOWN.get(name, []) if value in text] for name in names}
    return "".join(f"{name}: {chr(9).join(found) or 'None'}\n" for name, found in values.items())


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BLOOM with random weights: real arithmetic, meaningless answers."""
    return write_random_checkpoint(tmp_path_factory.mktemp("models") / "random", hidden=64, heads=1, layers=1)


@pytest.fixture
def scripted(random_model: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    """Every command loads this engine, whatever model it names."""
    engine = ScriptedEngine(find_checkpoint(random_model))
    monkeypatch.setattr(Engine, "load", engine.load)
    return engine


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs `seqgpt-lab` with these words in an empty folder; a bug's traceback reaches the test."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], input=stdin, catch_exceptions=False)

    return run
