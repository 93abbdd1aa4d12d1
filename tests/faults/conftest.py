from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seqgpt_lab.engine.engine import Engine
from tests.checkpoints import write_random_checkpoint
from tests.faults.strikes import REQUESTS, VOCABULARY


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, so that it loads and steps fast; 12 heads, an odd vocabulary."""
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), heads=12, hidden=48, vocabulary=VOCABULARY)


@pytest.fixture(scope="module", params=((2, 1), (1, 2)), ids=("ranks", "replicas"))
def engine(checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    ranks, replicas = request.param
    with Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=1, tensor_parallel=ranks, replicas=replicas) as engine:
        yield engine


@pytest.fixture(scope="module")
def wanted(checkpoint: Path) -> list[tuple[int, ...]]:
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as engine:
        return [completion.token_ids for completion in engine.generate(REQUESTS)]
