from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoints import write_random_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, so that it loads and steps fast; 12 heads, a vocabulary of 1001."""
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), heads=12, hidden=48, vocabulary=1001)
